//! Gaps that an outside reading found in the login index: logins that escaped their end, that ended others, or that were
//! refused because of themselves.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::time::Duration;

use tenure_core::{
    KeyRing, Lifetimes, LoginOptions, LoginRefusal, LoginStamp, MemoryStore, OnLimit, Principal,
    Session, SessionError, SessionIndex, SessionManager, SessionManagerBuilder, SessionStore,
    StoreErrorKind, Whose,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{FaultyStore, ManualClock, Moment, RedisServer, SlowStore, Verb};
use tenure_tests::{Visitor, random_key, settle};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two nodes on one memory store; the sessions' side can be held and broken, the index can be broken.
struct Site {
    nodes: [SessionManager; 2],
    store: SlowStore<FaultyStore<MemoryStore>>,
    index: FaultyStore<MemoryStore>,
    memory: MemoryStore,
    clock: ManualClock,
    key: String,
}

impl Site {
    fn new(configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        Self::on(usize::MAX, configure)
    }

    fn on(
        max_bytes: usize,
        configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Self {
        let clock = ManualClock::new();
        let memory = MemoryStore::builder()
            .max_bytes(max_bytes)
            .clock(clock.clone())
            .build();
        let store = SlowStore::new(FaultyStore::new(memory.clone()));
        let index = FaultyStore::new(memory.clone());
        let key = random_key();
        let nodes = [(); 2].map(|()| {
            let builder = SessionManager::builder(store.clone(), key.parse().unwrap())
                .clock(clock.clone())
                .login_index(index.clone());
            configure(builder).build().unwrap()
        });
        Self {
            nodes,
            store,
            index,
            memory,
            clock,
            key,
        }
    }

    fn limited(most: u32, on_limit: OnLimit) -> Self {
        Self::new(|builder| builder.max_sessions(most, on_limit))
    }

    /// A node that has just started.
    fn new_node(
        &self,
        configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> SessionManager {
        let builder = SessionManager::builder(self.store.clone(), self.key.parse().unwrap())
            .clock(self.clock.clone())
            .login_index(self.index.clone());
        configure(builder).build().unwrap()
    }

    fn visitor(&self) -> Visitor {
        Visitor::new(self.nodes[0].clone())
    }

    async fn logged_in(&self, user: &str) -> Visitor {
        let mut visitor = self.visitor();
        log_in(&mut visitor, user).await.unwrap();
        visitor
    }

    async fn listed(&self, user: &str) -> usize {
        let logins = self.nodes[1].index().logins_of(user, None).await.unwrap();
        logins.sessions.len()
    }
}

async fn log_in(visitor: &mut Visitor, user: &str) -> Result<(), SessionError> {
    log_in_with(visitor, user, LoginOptions::new()).await
}

async fn log_in_with(
    visitor: &mut Visitor,
    user: &str,
    options: LoginOptions,
) -> Result<(), SessionError> {
    let (handle, session) = visitor.load().await;
    session.login_with(user, options).unwrap();
    visitor.finish(&handle).await.refusal.map_or(Ok(()), Err)
}

async fn usable(visitors: &[Visitor]) -> usize {
    let mut count = 0;
    for visitor in visitors {
        count += usize::from(visitor.user().await.is_some());
    }
    count
}

fn principal(name: &str) -> Principal {
    Principal::new(name).unwrap()
}

// Promise 1: nothing begun before an ending is usable after it.

/// The commit comes too late for its own session, so the login begins another one, and takes a place in the epoch
/// after the ending.
#[tokio::test]
async fn a_login_under_way_that_has_to_begin_another_session_is_ended_too() {
    let site = Site::new(|builder| builder);
    let mut browser = site.visitor();
    browser
        .request(async |session| session.insert("basket", 1).unwrap())
        .await;
    let gate = site.store.hold(Verb::Commit, Moment::BeforeCall);
    let mut late = browser.clone();
    let logging_in = tokio::spawn(async move {
        let outcome = log_in(&mut late, "ada").await;
        (late, outcome)
    });
    gate.arrivals(1).await;
    // Admitted in the first epoch. Somebody else logs in to the same session, at the other node and past the gate.
    let other = SessionManager::builder(site.memory.clone(), site.key.parse().unwrap())
        .clock(site.clock.clone())
        .login_index(site.index.clone())
        .build()
        .unwrap();
    log_in(&mut browser.at(&other), "bob").await.unwrap();
    site.nodes[1].index().end_all("ada").await.unwrap();
    gate.open();
    let (late, outcome) = logging_in.await.unwrap();
    assert_eq!(
        late.user().await,
        None,
        "a login begun before the end is usable after it: {outcome:?}"
    );
}

/// A creation whose reply is lost is made again under another id, and admitted again in the epoch after the ending.
#[tokio::test]
async fn a_login_under_way_whose_creation_is_made_again_is_ended_too() {
    let site = Site::new(|builder| builder);
    let faulty = site.store.inner();
    faulty.fail_next(
        1,
        Verb::Create,
        Moment::AfterCall,
        StoreErrorKind::Interrupted,
    );
    let gate = site.store.hold(Verb::Create, Moment::AfterCall);
    let mut late = site.visitor();
    let logging_in = tokio::spawn(async move {
        let outcome = log_in(&mut late, "ada").await;
        (late, outcome)
    });
    gate.arrivals(1).await;
    site.nodes[1].index().end_all("ada").await.unwrap();
    gate.open();
    let (late, outcome) = logging_in.await.unwrap();
    assert_eq!(late.user().await, None, "{outcome:?}");
}

/// In a memory store without room, nobody can be logged out.
#[tokio::test]
async fn a_full_store_does_not_keep_logins_alive() {
    let site = Site::on(20_000, |builder| builder);
    let ada = site.logged_in("ada").await;
    let mut anonymous = Vec::new();
    loop {
        let mut visitor = site.visitor();
        let (handle, session) = visitor.load().await;
        session.insert("x", "y").unwrap();
        if visitor.finish(&handle).await.refusal.is_some() {
            break;
        }
        anonymous.push(visitor);
    }
    while site.memory.bytes() + 64 <= 20_000 {
        // The last bytes: one value grows.
        let (handle, session) = anonymous[0].load().await;
        session
            .update("x", |x: Option<String>| x.unwrap_or_default() + "y")
            .unwrap();
        assert!(anonymous[0].finish(&handle).await.refusal.is_none());
    }
    let outcome = site.nodes[1].index().end_all("ada").await;
    let blocked = site.nodes[1].index().block("ada").await;
    assert_eq!(ada.user().await, None, "{outcome:?}, {blocked:?}");
}

/// What works behind a response never asks for the gate.
#[tokio::test(start_paused = true)]
async fn what_is_detached_ends_with_everyone_on_other_nodes_within_two_seconds() {
    let site = Site::new(|builder| builder);
    let ada = site.logged_in("ada").await;
    let detached = {
        let (_handle, session) = ada.at(&site.nodes[1]).load().await;
        session.detach().unwrap()
    };
    site.nodes[0].index().end_everyone().await.unwrap();
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(60)).await;
        settle().await;
    }
    detached.insert("late", 1).unwrap();
    let (written, read) = (detached.commit().await, detached.refresh().await);
    assert!(
        written.is_err() && read.is_err(),
        "ten minutes later: {written:?} {read:?}"
    );
}

/// A login that was made before a node heard of the gate, days after it was raised.
#[tokio::test(start_paused = true)]
async fn everyone_was_ended_long_ago_and_who_logs_in_on_a_new_node_stays_logged_in() {
    let site = Site::new(|builder| builder);
    site.nodes[0].index().end_everyone().await.unwrap();
    tokio::time::advance(DAY).await;
    site.clock.advance(DAY);
    let mut visitor = Visitor::new(site.new_node(|builder| builder));
    log_in(&mut visitor, "ada").await.unwrap();
    assert_eq!(visitor.user().await.as_deref(), Some("ada"));
}

/// The same on a node that had nothing to do for a while.
#[tokio::test(start_paused = true)]
async fn who_logs_in_on_an_idle_node_an_hour_after_everyone_was_ended_stays_logged_in() {
    let site = Site::new(|builder| builder);
    site.logged_in("ada").await;
    let idle = Visitor::new(site.nodes[1].clone());
    site.nodes[0].index().end_everyone().await.unwrap();
    tokio::time::advance(60 * MINUTE).await;
    site.clock.advance(60 * MINUTE);
    let mut visitor = idle;
    log_in(&mut visitor, "ada").await.unwrap();
    assert_eq!(visitor.user().await.as_deref(), Some("ada"));
}

/// … and sessions that ended with everyone refuse a login there.
#[tokio::test(start_paused = true)]
async fn sessions_that_ended_with_everyone_refuse_nobody_on_a_new_node() {
    let limited = |builder: SessionManagerBuilder| builder.max_sessions(1, OnLimit::Refuse);
    let site = Site::new(limited);
    site.logged_in("ada").await;
    site.nodes[0].index().end_everyone().await.unwrap();
    tokio::time::advance(10 * MINUTE).await;
    let mut visitor = Visitor::new(site.new_node(limited));
    log_in(&mut visitor, "ada").await.unwrap();
}

/// A request of a session that has been ended ends the logins that came after it.
#[tokio::test]
async fn who_was_ended_cannot_end_the_logins_after() {
    let site = Site::new(|builder| builder);
    let stolen = site.logged_in("ada").await;
    let (_handle, session) = stolen.load().await;
    let ended = site.nodes[1].index().end_all("ada").await.unwrap();
    assert_eq!(ended.count, 1);
    let ada = site.logged_in("ada").await;
    let outcome = session.end_others().await;
    assert_eq!(
        ada.user().await.as_deref(),
        Some("ada"),
        "the thief's request that was under way: {outcome:?}"
    );
}

/// An operator whose logins have been ended begins to act by a request that was under way: a permission that came
/// out of the session which has ended.
#[tokio::test]
async fn an_operator_who_was_ended_acts_for_nobody_in_a_session_that_begins_anew() {
    let site = Site::new(|builder| builder);
    let mut operator = site.logged_in("op").await;
    let (handle, session) = operator.load().await;
    assert_eq!(session.principal().unwrap(), "op", "who may act");
    site.nodes[1].index().end_all("op").await.unwrap();
    session.regenerate().unwrap();
    session
        .login_as("ada", tenure_core::Operator::new("op", "why"))
        .unwrap();
    let refusal = operator.finish(&handle).await.refusal;
    assert_eq!(operator.user().await, None, "{refusal:?}");
}

/// … and one who has logged out, keeping the values.
#[tokio::test]
async fn an_operator_who_has_logged_out_acts_for_nobody() {
    let site = Site::new(|builder| builder);
    let mut operator = site.logged_in("op").await;
    let mut other_tab = operator.clone();
    let (handle, session) = other_tab.load().await;
    assert_eq!(session.principal().unwrap(), "op", "who may act");
    operator
        .request(async |session| session.logout_keeping_values().unwrap())
        .await;
    site.nodes[1].index().end_all("op").await.unwrap();
    session
        .login_as("ada", tenure_core::Operator::new("op", "why"))
        .unwrap();
    let refusal = other_tab.finish(&handle).await.refusal;
    assert_eq!(other_tab.user().await, None, "{refusal:?}");
}

/// A failover loses the gate. Nodes that know it do not put it back, and a new one opens all sessions that have ended.
#[tokio::test]
async fn everyone_stays_ended_on_a_new_node_although_the_gate_was_lost() {
    let server = RedisServer::start();
    let key = random_key();
    let node = async || {
        let store = RedisStore::connect(server.url()).await.unwrap();
        SessionManager::builder(store.clone(), key.parse().unwrap())
            .login_index(store)
            .deadline(Duration::from_secs(20))
            .build()
            .unwrap()
    };
    let old = node().await;
    let mut ada = Visitor::new(old.clone());
    log_in(&mut ada, "ada").await.unwrap();
    old.index().end_everyone().await.unwrap();
    let gate = server.command(&["KEYS", "*:gate"]);
    let keys: Vec<_> = gate.split_whitespace().collect();
    let key_of_gate = keys.iter().find(|key| key.ends_with(":gate")).unwrap();
    server.command(&["DEL", key_of_gate]);
    // Time for a node that knows it to notice: it asks twice a second.
    for _ in 0..4 {
        assert_eq!(ada.user().await, None);
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let new = node().await;
    assert_eq!(ada.at(&new).user().await, None, "resurrected");
}

// Promise 3: limits.

/// A login whose commit conflicts is answered with 409; the second try is refused by the first one's reservation.
#[tokio::test]
async fn a_login_that_failed_at_its_commit_refuses_nobody() {
    let site = Site::limited(1, OnLimit::Refuse);
    let mut browser = site.visitor();
    browser
        .request(async |session| session.insert("n", 0).unwrap())
        .await;
    let (handle, session) = browser.load().await;
    session.get::<u8>("n").unwrap();
    browser
        .clone()
        .request(async |session| session.insert("n", 1).unwrap())
        .await;
    session.insert("n", 2).unwrap();
    session.login("ada").unwrap();
    let conflict = browser.finish(&handle).await.refusal;
    assert!(matches!(conflict, Some(SessionError::Conflict { .. })));
    log_in(&mut browser, "ada").await.unwrap();
}

/// The place that a repeated creation has given up costs another login's for 10 seconds.
#[tokio::test]
async fn a_creation_that_was_made_again_takes_one_place() {
    for on_limit in [OnLimit::Refuse, OnLimit::EndOldest] {
        let site = Site::limited(2, on_limit);
        site.store.inner().fail_next(
            1,
            Verb::Create,
            Moment::AfterCall,
            StoreErrorKind::Interrupted,
        );
        let first = site.logged_in("ada").await;
        let mut second = site.visitor();
        let outcome = log_in(&mut second, "ada").await;
        assert_eq!(
            usable(&[first, second]).await,
            2,
            "{on_limit:?} {outcome:?}"
        );
    }
}

/// Of two in one session the later begins its own, and refuses itself if the creation is made again.
#[tokio::test]
async fn a_login_is_not_refused_by_places_of_its_own() {
    let site = Site::limited(1, OnLimit::Refuse);
    let mut browser = site.visitor();
    browser
        .request(async |session| session.insert("n", 0).unwrap())
        .await;
    let mut late = browser.clone();
    let (handle, session) = late.load().await;
    log_in(&mut browser, "bob").await.unwrap();
    session.login("ada").unwrap();
    site.store.inner().fail_next(
        1,
        Verb::Create,
        Moment::AfterCall,
        StoreErrorKind::Interrupted,
    );
    let refusal = late.finish(&handle).await.refusal;
    assert!(refusal.is_none(), "ada is logged in nowhere: {refusal:?}");
}

/// The replies of a confirmation are lost: 503, and what is left refuses the user for two weeks.
#[tokio::test]
async fn a_login_whose_confirmation_had_no_reply_does_not_lock_its_user_out() {
    let site = Site::limited(1, OnLimit::Refuse);
    site.index.fail_next(
        2,
        Verb::Confirm,
        Moment::AfterCall,
        StoreErrorKind::Interrupted,
    );
    let mut ada = site.visitor();
    let remembered = LoginOptions::new().remembered();
    let lost = log_in_with(&mut ada, "ada", remembered).await;
    assert!(matches!(lost, Err(SessionError::Store(_))), "{lost:?}");
    let mut refused_days = 0;
    while log_in(&mut site.visitor(), "ada").await.is_err() {
        site.clock.advance(DAY);
        refused_days += 1;
    }
    assert_eq!(refused_days, 0, "locked out by a session that nobody has");
}

/// Redis counts those who act in a user's name.
async fn redis_site(server: &RedisServer, most: u32, on_limit: OnLimit) -> SessionManager {
    let store = NearCache::new(RedisStore::connect(server.url()).await.unwrap());
    SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .login_index(store)
        .max_sessions(most, on_limit)
        .deadline(Duration::from_secs(20))
        .build()
        .unwrap()
}

async fn act(operator: &mut Visitor) {
    operator
        .request(async |session| {
            session
                .login_as("ada", tenure_core::Operator::new("op", "why"))
                .unwrap()
        })
        .await;
}

#[tokio::test]
async fn redis_who_acts_for_a_user_takes_no_place_of_theirs() {
    let server = RedisServer::start();
    let node = redis_site(&server, 1, OnLimit::Refuse).await;
    let mut operator = Visitor::new(node.clone());
    log_in(&mut operator, "op").await.unwrap();
    act(&mut operator).await;
    let mut ada = Visitor::new(node);
    log_in(&mut ada, "ada").await.unwrap();
}

#[tokio::test]
async fn redis_who_acts_for_a_user_never_makes_room() {
    let server = RedisServer::start();
    let node = redis_site(&server, 1, OnLimit::EndOldest).await;
    let mut operator = Visitor::new(node.clone());
    log_in(&mut operator, "op").await.unwrap();
    act(&mut operator).await;
    let mut ada = Visitor::new(node);
    log_in(&mut ada, "ada").await.unwrap();
    assert_eq!(operator.user().await.as_deref(), Some("ada"), "who acts");
}

// Promise 4, in passing.

#[tokio::test]
async fn a_refused_login_in_a_session_that_begins_anew_writes_nothing() {
    let site = Site::limited(1, OnLimit::Refuse);
    site.logged_in("ada").await;
    let mut browser = site.visitor();
    browser
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    let (handle, session) = browser.load().await;
    session.regenerate().unwrap();
    session.login("ada").unwrap();
    let finish = browser.finish(&handle).await;
    assert!(matches!(
        finish.refusal,
        Some(SessionError::LoginRefused(LoginRefusal::TooMany))
    ));
    assert!(finish.set_cookie.is_none(), "it sets the cookie");
    let (_, session) = browser.load().await;
    assert_eq!(session.get("basket").unwrap(), Some(7));
}

/// A fence taken when the list has lapsed and is still there.
#[tokio::test]
async fn a_fence_that_was_taken_just_now_refuses_nobody() {
    let site = Site::new(|builder| builder);
    site.nodes[0].index().end_all("ada").await.unwrap();
    site.clock.advance(31 * DAY);
    let fence = site.nodes[0].index().fence("ada").await.unwrap();
    let options = LoginOptions::new().fence(fence);
    log_in_with(&mut site.visitor(), "ada", options)
        .await
        .unwrap();
}

// Promise 9: healing.

/// Forgets a user's entries, as a failover may.
async fn forget(site: &Site, name: &str) {
    let logins = site
        .memory
        .logins(&principal(name), None, 50)
        .await
        .unwrap();
    let names = logins.logins.iter().map(|listed| listed.login).collect();
    site.memory.settle(&principal(name), names).await.unwrap();
    assert_eq!(site.listed(name).await, 0);
}

async fn read(visitor: &mut Visitor) {
    visitor.request(async |_: &Session| {}).await;
    settle().await;
}

/// A session whose lease cannot be prolonged is never renewed, and so never entered again.
#[tokio::test]
async fn a_lost_entry_heals_after_fifteen_minutes_of_use_of_a_session_of_fixed_length() {
    let hours = Duration::from_secs(8 * 60 * 60);
    let fixed = Lifetimes::new(hours, hours).unwrap();
    let site = Site::new(|builder| builder.lifetimes(fixed));
    let mut ada = site.logged_in("ada").await;
    forget(&site, "ada").await;
    for _ in 0..7 * 60 {
        site.clock.advance(MINUTE);
        read(&mut ada).await;
    }
    assert_eq!(site.listed("ada").await, 1, "after seven hours of use");
}

/// So with the defaults, in the last two weeks of a remembered session.
#[tokio::test]
async fn a_lost_ending_is_made_up_for_in_the_last_days_of_a_remembered_session() {
    let site = Site::new(|builder| builder);
    let mut ada = site.visitor();
    let remembered = LoginOptions::new().remembered();
    log_in_with(&mut ada, "ada", remembered).await.unwrap();
    for _ in 0..17 {
        site.clock.advance(DAY);
        read(&mut ada).await;
    }
    forget(&site, "ada").await;
    site.nodes[1].index().end_all("ada").await.unwrap();
    for _ in 0..12 * 24 {
        site.clock.advance(60 * MINUTE);
        read(&mut ada).await;
    }
    assert_eq!(
        ada.user().await,
        None,
        "ended twelve days ago, in use each hour, and logged in"
    );
}

/// What is not asserted elsewhere, to see that the tools of this file work.
#[tokio::test]
async fn the_tools_work() {
    let site = Site::new(|builder| builder);
    let ada = site.logged_in("ada").await;
    assert_eq!(site.listed("ada").await, 1);
    let id = ada.load().await.1.id().unwrap();
    let _ = site
        .memory
        .delete(id, Whose::Login(LoginStamp::NOBODY))
        .await
        .unwrap();
    assert_eq!(ada.user().await.as_deref(), Some("ada"));
}

/// What held: everything at once on two nodes with near caches on one Redis, a third of it dropped somewhere.
/// Who is logged in is listed, within the limit; an ending of all leaves nobody; and somebody else's logins stay.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_a_storm_of_all_verbs_with_dropped_futures() {
    let rounds: u64 = std::env::var("TENURE_ROUNDS").map_or(5, |rounds| rounds.parse().unwrap());
    for (most, on_limit) in [
        (3, OnLimit::EndOldest),
        (3, OnLimit::Refuse),
        (1000, OnLimit::Refuse),
    ] {
        let server = RedisServer::start();
        let key = random_key();
        let node = async || {
            let deadline = Duration::from_secs(30);
            let store = RedisStore::builder(server.url()).deadline(deadline);
            let cache = NearCache::new(store.connect().await.unwrap());
            let manager = SessionManager::builder(cache.clone(), key.parse().unwrap())
                .deadline(deadline)
                .login_index(cache.clone())
                .max_sessions(most, on_limit)
                .build()
                .unwrap();
            (manager, cache)
        };
        let nodes = [node().await, node().await];
        let (mut dropped, mut survivors) = (0, 0);
        for round in 0..rounds {
            let name = format!("ada-{round}");
            let mut bobs = Vec::new();
            for number in 0..3 {
                let mut bob = Visitor::new(nodes[number % 2].0.clone());
                log_in(&mut bob, &format!("bob-{round}")).await.unwrap();
                bobs.push(bob);
            }
            let mut tasks = tokio::task::JoinSet::new();
            for number in 0..40_u64 {
                let managers = [nodes[0].0.clone(), nodes[1].0.clone()];
                let name = name.clone();
                let mut seed = (round * 1000 + number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                tasks.spawn(async move {
                    let mut next = move |below: u64| {
                        seed ^= seed << 13;
                        seed ^= seed >> 7;
                        seed ^= seed << 17;
                        (seed >> 11) % below
                    };
                    let mut visitor = Visitor::new(managers[0].clone());
                    let mut drops = 0;
                    for _ in 0..8 {
                        let manager = managers[usize::try_from(next(2)).unwrap()].clone();
                        let what = next(12);
                        let limit = if next(3) == 0 { next(6000) } else { 60_000_000 };
                        let mut here = visitor.at(&manager);
                        let step = async {
                            let (handle, session) = here.load().await;
                            match what {
                                0..=4 => session.login(&name).unwrap(),
                                5 => session.destroy().unwrap(),
                                6 => session.logout_keeping_values().unwrap(),
                                7 => {
                                    let _ = session.end_others().await;
                                }
                                8 => {
                                    let _ = manager.index().end_all(&name).await;
                                }
                                9 => {
                                    session.regenerate().unwrap();
                                    session.login(&name).unwrap();
                                }
                                10 => session.rotate().unwrap(),
                                _ => session.insert("x", what).unwrap(),
                            }
                            let _ = here.finish(&handle).await;
                            here
                        };
                        match tokio::time::timeout(Duration::from_micros(limit), step).await {
                            Ok(after) => visitor = after,
                            Err(_) => drops += 1,
                        }
                    }
                    (visitor, drops)
                });
            }
            let mut visitors = Vec::new();
            while let Some(done) = tasks.join_next().await {
                let (visitor, drops) = done.unwrap();
                visitors.push(visitor);
                dropped += drops;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let catch_up = async || {
                for (_, cache) in &nodes {
                    let nobody = tenure_core::SessionId::from_bytes([0; 16]);
                    let _ = cache
                        .load(nobody, tenure_core::Freshness::Latest)
                        .await
                        .unwrap();
                }
            };
            let logged_in = async || {
                catch_up().await;
                let mut ids = std::collections::BTreeSet::new();
                for visitor in &visitors {
                    let mut seen = Vec::new();
                    for (node, _) in &nodes {
                        let (_, session) = visitor.at(node).load().await;
                        seen.push(session.principal().and(session.id()));
                    }
                    assert_eq!(seen[0], seen[1], "the nodes do not agree");
                    ids.extend(seen[0]);
                }
                ids
            };
            // At rest: whoever was left condemned is finished by this look.
            let mut listed = std::collections::BTreeSet::new();
            let mut after = None;
            loop {
                let page = nodes[0].0.index().logins_of(&name, after).await.unwrap();
                listed.extend(page.sessions.iter().map(|info| info.login.session()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let now = logged_in().await;
            survivors += now.len();
            assert!(
                now.is_subset(&listed),
                "somebody is logged in and not listed"
            );
            assert!(now.len() <= most as usize && listed.len() <= most as usize);
            nodes[1].0.index().end_all(&name).await.unwrap();
            assert_eq!(logged_in().await.len(), 0, "somebody escaped");
            assert_eq!(usable(&bobs).await, 3, "bob was logged out");
        }
        assert!(dropped > 0 && survivors > 0, "{dropped} {survivors}");
        println!(
            "{rounds} rounds, {most} {on_limit:?}: {dropped} dropped, {survivors} logged in at rest"
        );
    }
}
