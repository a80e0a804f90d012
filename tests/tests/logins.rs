//! Who is logged in where: logins through the index, on two nodes of one store.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::time::Duration;

use tenure_core::{
    ClientInfo, Clock, Finish, KeyRing, Lifetimes, LoginOptions, LoginRefusal, MemoryStore,
    OnLimit, Operator, Session, SessionError, SessionIndex, SessionManager, SessionManagerBuilder,
    SessionManagerError,
};
use tenure_testing::{ManualClock, Moment, SlowStore, Verb};
use tenure_tests::{Visitor, random_key, settle};

/// Two nodes on one store, and what they share.
struct Site {
    nodes: [SessionManager; 2],
    store: SlowStore<MemoryStore>,
    clock: ManualClock,
}

impl Site {
    fn new(configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        let clock = ManualClock::new();
        let index = MemoryStore::builder().clock(clock.clone()).build();
        let store = SlowStore::new(index.clone());
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
            clock,
        }
    }

    fn unlimited() -> Self {
        Self::new(|builder| builder)
    }

    fn limited(most: u32, on_limit: OnLimit) -> Self {
        Self::new(|builder| builder.max_sessions(most, on_limit))
    }

    fn visitor(&self) -> Visitor {
        Visitor::new(self.nodes[0].clone())
    }

    async fn logged_in(&self, user: &str) -> Visitor {
        let mut visitor = self.visitor();
        assert_eq!(log_in(&mut visitor, user).await, None);
        visitor
    }

    /// How many logins of a user are listed.
    async fn listed(&self, user: &str) -> usize {
        let logins = self.nodes[1].index().logins_of(user, None).await.unwrap();
        logins.sessions.len()
    }

    /// How many sessions are stored.
    fn stored(&self) -> usize {
        self.store.inner().len()
    }
}

/// Logs in and says why not, if not.
async fn log_in(visitor: &mut Visitor, user: &str) -> Option<LoginRefusal> {
    log_in_with(visitor, user, LoginOptions::new()).await
}

async fn log_in_with(
    visitor: &mut Visitor,
    user: &str,
    options: LoginOptions,
) -> Option<LoginRefusal> {
    let (handle, session) = visitor.load().await;
    session.login_with(user, options).unwrap();
    refusal(&visitor.finish(&handle).await)
}

fn refusal(finish: &Finish) -> Option<LoginRefusal> {
    match &finish.refusal {
        None => None,
        Some(SessionError::LoginRefused(refusal)) => {
            assert!(finish.set_cookie.is_none(), "a cookie of a refused login");
            Some(*refusal)
        }
        Some(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_login_is_listed_and_a_logout_is_not() {
    let site = Site::unlimited();
    let mut ada = site.logged_in("ada").await;
    site.logged_in("ada").await;
    site.logged_in("grace").await;
    assert_eq!(
        (site.listed("ada").await, site.listed("grace").await),
        (2, 1)
    );
    ada.request(async |session| session.destroy().unwrap())
        .await;
    settle().await;
    assert_eq!(site.listed("ada").await, 1);
    let page = site.nodes[0].index().users(None).await.unwrap();
    assert!(page.users.len() <= 2);
}

#[tokio::test]
async fn what_is_listed_tells_when_and_for_how_long() {
    let site = Site::unlimited();
    let begun = site.clock.now();
    let mut ada = site.visitor();
    ada.request(async |session| session.insert("basket", 1).unwrap())
        .await;
    site.clock.advance(Duration::from_secs(60));
    let remembered = LoginOptions::new().remembered();
    assert_eq!(log_in_with(&mut ada, "ada", remembered).await, None);
    let logins = site.nodes[1].index().logins_of("ada", None).await.unwrap();
    let [info] = &logins.sessions[..] else {
        panic!("{logins:?}")
    };
    let at = begun.after(Duration::from_secs(60));
    assert_eq!(
        (info.created_at, info.authenticated_at, info.seen_at),
        (begun, at, at)
    );
    assert!(info.is_remembered && info.idle_end < info.absolute_end);
    assert_eq!(logins.next, None);
}

#[tokio::test]
async fn ending_all_logs_out_everywhere_and_lets_the_next_login_in() {
    let site = Site::unlimited();
    let mut devices = [site.logged_in("ada").await, site.logged_in("ada").await];
    let other = site.logged_in("grace").await;
    let ended = site.nodes[1].index().end_all("ada").await.unwrap();
    assert_eq!(ended.count, 2);
    for device in &devices {
        assert_eq!(device.at(&site.nodes[1]).user().await, None);
    }
    assert_eq!(other.user().await.as_deref(), Some("grace"));
    assert_eq!(log_in(&mut devices[0], "ada").await, None);
    assert_eq!(site.listed("ada").await, 1);
    assert_eq!(site.stored(), 2);
}

#[tokio::test]
async fn s25_a_login_whose_commit_is_under_way_when_all_are_ended_is_refused() {
    let site = Site::unlimited();
    let mut ada = site.visitor();
    ada.request(async |session| session.insert("basket", 1).unwrap())
        .await;
    for verb in [Verb::Commit, Verb::Create] {
        let gate = site.store.hold(verb, Moment::AfterCall);
        let mut late = if verb == Verb::Commit {
            ada.clone()
        } else {
            site.visitor()
        };
        let logging_in = tokio::spawn(async move { log_in(&mut late, "ada").await });
        gate.arrivals(1).await;
        site.nodes[1].index().end_all("ada").await.unwrap();
        gate.open();
        assert_eq!(
            logging_in.await.unwrap(),
            Some(LoginRefusal::Revoked),
            "{verb:?}"
        );
        assert_eq!(site.listed("ada").await, 0);
        assert_eq!(site.stored(), 0, "its session went with it: {verb:?}");
    }
}

#[tokio::test]
async fn s25_a_login_whose_commit_comes_after_all_were_ended_is_refused() {
    let site = Site::unlimited();
    let gate = site.store.hold(Verb::Create, Moment::BeforeCall);
    let mut late = site.visitor();
    let logging_in = tokio::spawn(async move { log_in(&mut late, "ada").await });
    gate.arrivals(1).await;
    site.nodes[1].index().end_all("ada").await.unwrap();
    gate.open();
    assert_eq!(logging_in.await.unwrap(), Some(LoginRefusal::Revoked));
    assert_eq!(site.stored(), 0);
}

#[tokio::test]
async fn a_fence_refuses_who_proved_the_old_password() {
    let site = Site::unlimited();
    let index = site.nodes[0].index();
    let fence = index.fence("ada").await.unwrap();
    let ended = index.end_all("ada").await.unwrap();
    let mut ada = site.visitor();
    let old = LoginOptions::new().fence(fence);
    assert_eq!(
        log_in_with(&mut ada, "ada", old).await,
        Some(LoginRefusal::Revoked)
    );
    assert_eq!(site.stored(), 0, "nothing was written");
    // New password, all logins ended, logged in: in one request.
    let new = LoginOptions::new().fence(ended.fence);
    assert_eq!(log_in_with(&mut ada, "ada", new).await, None);
}

#[tokio::test]
async fn a_user_who_is_blocked_is_logged_out_and_cannot_log_in_until_unblocked() {
    let site = Site::unlimited();
    let mut ada = site.logged_in("ada").await;
    let index = site.nodes[1].index();
    assert_eq!(index.block("ada").await.unwrap().count, 1);
    assert_eq!(ada.user().await, None);
    assert_eq!(log_in(&mut ada, "ada").await, Some(LoginRefusal::Blocked));
    assert_eq!(log_in(&mut ada, "grace").await, None);
    // For as long as it takes.
    site.clock.advance(Lifetimes::MAX);
    let mut ada = site.visitor();
    assert_eq!(log_in(&mut ada, "ada").await, Some(LoginRefusal::Blocked));
    index.unblock("ada").await.unwrap();
    index.unblock("ada").await.unwrap();
    assert_eq!(log_in(&mut ada, "ada").await, None);
}

#[tokio::test]
async fn one_login_is_ended_by_its_name_and_only_its_users() {
    let site = Site::unlimited();
    let (ada, other) = (site.logged_in("ada").await, site.logged_in("ada").await);
    let index = site.nodes[1].index();
    let id = ada.load().await.1.id();
    let logins = index.logins_of("ada", None).await.unwrap().sessions;
    let login = logins.iter().find(|info| Some(info.login.session()) == id);
    let login = login.unwrap().login;
    assert!(!index.end("grace", login).await.unwrap(), "not hers to end");
    assert!(ada.user().await.is_some());
    assert!(index.end("ada", login).await.unwrap());
    assert!(!index.end("ada", login).await.unwrap(), "it has ended");
    assert_eq!(
        (ada.user().await, other.user().await.is_some()),
        (None, true)
    );
}

#[tokio::test]
async fn ending_the_others_keeps_this_login_under_a_new_secret() {
    let site = Site::unlimited();
    let (mut here, other) = (site.logged_in("ada").await, site.logged_in("ada").await);
    let stolen = here.clone();
    site.clock.advance(Duration::from_secs(60));
    let authenticated = site.nodes[0].index().logins_of("ada", None).await.unwrap();
    let (authenticated, end) = {
        let info = &authenticated.sessions[0];
        (info.authenticated_at, info.absolute_end)
    };
    let count = here
        .request(async |session| {
            session.insert("password", "new").unwrap();
            session.end_others().await.unwrap()
        })
        .await;
    assert_eq!(count, 1);
    assert_eq!((other.user().await, stolen.user().await), (None, None));
    assert_eq!(here.at(&site.nodes[1]).user().await.as_deref(), Some("ada"));
    let logins = site.nodes[0].index().logins_of("ada", None).await.unwrap();
    let [info] = &logins.sessions[..] else {
        panic!("{logins:?}")
    };
    // Nobody has authenticated again, so no lifetime has begun again.
    assert_eq!(
        (info.authenticated_at, info.absolute_end),
        (authenticated, end)
    );
}

#[tokio::test]
async fn ending_the_others_needs_somebody_who_is_logged_in() {
    let site = Site::unlimited();
    let (_request, session) = site.visitor().load().await;
    let nobody = session.end_others().await.unwrap_err();
    assert!(matches!(nobody, SessionError::NobodyLoggedIn));
}

#[tokio::test]
async fn s26_of_many_logins_at_once_as_many_succeed_as_are_allowed() {
    for (most, on_limit) in [
        (1, OnLimit::Refuse),
        (3, OnLimit::EndOldest),
        (3, OnLimit::Refuse),
    ] {
        let site = Site::limited(most, on_limit);
        let logins: Vec<_> = (0..20)
            .map(|number| {
                let mut visitor = Visitor::new(site.nodes[number % 2].clone());
                tokio::spawn(async move {
                    let refusal = log_in(&mut visitor, "ada").await;
                    (visitor, refusal)
                })
            })
            .collect();
        let mut usable = 0;
        for login in logins {
            let (visitor, refusal) = login.await.unwrap();
            usable += u32::from(visitor.user().await.is_some());
            let expected = match on_limit {
                OnLimit::EndOldest => LoginRefusal::Displaced,
                OnLimit::Refuse => LoginRefusal::TooMany,
            };
            assert!(
                refusal.is_none_or(|refusal| refusal == expected),
                "{refusal:?}"
            );
        }
        let listed = site.listed("ada").await;
        assert!(usable <= most, "{usable} of {most}");
        assert_eq!(
            (listed, site.stored()),
            (3.min(most as usize), listed),
            "{on_limit:?}"
        );
    }
}

#[tokio::test]
async fn s26_at_the_limit_the_oldest_login_makes_room_or_the_new_one_is_refused() {
    let site = Site::limited(2, OnLimit::EndOldest);
    let oldest = site.logged_in("ada").await;
    site.clock.advance(Duration::from_secs(1));
    let second = site.logged_in("ada").await;
    let third = site.logged_in("ada").await;
    assert_eq!(oldest.user().await, None);
    assert!(second.user().await.is_some() && third.user().await.is_some());

    let site = Site::limited(1, OnLimit::Refuse);
    let mut first = site.logged_in("ada").await;
    let mut second = site.visitor();
    second
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    assert_eq!(
        log_in(&mut second, "ada").await,
        Some(LoginRefusal::TooMany)
    );
    let (_, session) = second.load().await;
    assert_eq!(
        session.get("basket").unwrap(),
        Some(7),
        "nothing was written"
    );
    assert!(first.user().await.is_some());
    // Again in the same session: it replaces itself.
    assert_eq!(log_in(&mut first, "ada").await, None);
    first
        .request(async |session| session.destroy().unwrap())
        .await;
    assert_eq!(log_in(&mut second, "ada").await, None);
}

#[tokio::test]
async fn s26_sessions_that_have_ended_take_nobodys_place() {
    let site = Site::limited(2, OnLimit::Refuse);
    for _ in 0..2 {
        site.logged_in("ada").await;
    }
    site.clock.advance(Lifetimes::default().idle());
    site.logged_in("ada").await;
    site.logged_in("ada").await;
    let mut one_too_many = site.visitor();
    let refused = log_in(&mut one_too_many, "ada").await;
    assert_eq!(refused, Some(LoginRefusal::TooMany));
    assert_eq!(site.listed("ada").await, 2);
}

#[tokio::test]
async fn another_user_in_the_same_session_leaves_the_first_ones_list() {
    let site = Site::unlimited();
    let mut browser = site.logged_in("ada").await;
    assert_eq!(log_in(&mut browser, "grace").await, None);
    settle().await;
    assert_eq!(
        (site.listed("ada").await, site.listed("grace").await),
        (0, 1)
    );
    site.nodes[1].index().end_all("ada").await.unwrap();
    assert_eq!(browser.user().await.as_deref(), Some("grace"));
}

#[tokio::test]
async fn everyone_is_ended_on_every_node_and_may_come_again() {
    tokio::time::pause();
    let site = Site::unlimited();
    let mut ada = site.logged_in("ada").await;
    let mut anonymous = site.visitor();
    anonymous
        .request(async |session| session.insert("basket", 1).unwrap())
        .await;
    let elsewhere = ada.at(&site.nodes[1]);
    assert!(
        elsewhere.user().await.is_some(),
        "the other node knows the gate"
    );
    let held = ada.load().await;
    site.nodes[0].index().end_everyone().await.unwrap();
    assert_eq!(ada.user().await, None);
    assert_eq!(anonymous.load().await.1.get::<u8>("basket").unwrap(), None);
    held.1.insert("late", 1).unwrap();
    let finish = ada.clone().finish(&held.0).await;
    assert!(matches!(finish.refusal, Some(SessionError::Gone)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(elsewhere.user().await, None);
    assert_eq!(log_in(&mut ada, "ada").await, None);
    anonymous
        .request(async |session| session.insert("basket", 2).unwrap())
        .await;
    assert!(ada.at(&site.nodes[1]).user().await.is_some());
    assert!(anonymous.load().await.1.contains("basket").unwrap());
}

#[tokio::test]
async fn a_lost_entry_is_entered_again_with_the_next_renewal_and_a_lost_ending_made_up_for() {
    let site = Site::unlimited();
    let mut ada = site.logged_in("ada").await;
    let login = site.nodes[0]
        .index()
        .logins_of("ada", None)
        .await
        .unwrap()
        .sessions[0]
        .login;
    let index = site.store.inner().clone();
    let principal = tenure_core::Principal::new("ada").unwrap();
    index.settle(&principal, vec![login]).await.unwrap();
    assert_eq!(site.listed("ada").await, 0);
    site.clock.advance(Duration::from_secs(180));
    ada.request(async |_| {}).await;
    settle().await;
    assert_eq!(site.listed("ada").await, 1);

    // All are ended, and a failover loses the entry and the deletion: as if neither had been made.
    index.settle(&principal, vec![login]).await.unwrap();
    site.nodes[0].index().end_all("ada").await.unwrap();
    assert!(ada.user().await.is_some(), "so the session has survived");
    for write in [true, false] {
        site.clock.advance(Duration::from_secs(180));
        ada.request(async |session: &Session| {
            if write && session.principal().is_some() {
                session.insert("x", 1).unwrap();
            }
        })
        .await;
        settle().await;
        assert_eq!(ada.user().await, None);
    }
}

#[tokio::test]
async fn a_logout_can_keep_the_values() {
    let site = Site::unlimited();
    let mut browser = site.visitor();
    let remembered = LoginOptions::new().remembered();
    assert_eq!(log_in_with(&mut browser, "ada", remembered).await, None);
    let stolen = browser.clone();
    browser
        .request(async |session| {
            session.insert("basket", 3).unwrap();
            session.logout_keeping_values().unwrap();
            assert_eq!(
                (session.principal(), session.is_remembered()),
                (None, false)
            );
        })
        .await;
    let (_, session) = browser.load().await;
    assert_eq!(session.principal(), None);
    assert!(!session.is_remembered());
    assert_eq!(session.get("basket").unwrap(), Some(3));
    assert!(!stolen.load().await.1.contains("basket").unwrap());
    settle().await;
    assert_eq!(site.listed("ada").await, 0);
    site.nodes[0].index().end_all("ada").await.unwrap();
    assert_eq!(browser.load().await.1.get("basket").unwrap(), Some(3));
}

#[tokio::test]
async fn a_session_is_ended_and_another_one_begun_with_a_message_for_the_next_page() {
    let site = Site::unlimited();
    let mut browser = site.logged_in("ada").await;
    let (stolen, before) = (browser.clone(), browser.load().await.1.id());
    browser
        .request(async |session| {
            session.insert("secret", 1).unwrap();
            session.regenerate().unwrap();
            assert_eq!(session.get::<u8>("secret").unwrap(), None);
            assert_eq!((session.principal(), session.id()), (None, None));
            session.insert("message", "you are logged out").unwrap();
        })
        .await;
    let (_, session) = browser.load().await;
    assert_eq!(session.keys(), ["message"]);
    assert_ne!(session.id(), before);
    assert_eq!(stolen.user().await, None);
    settle().await;
    assert_eq!((site.listed("ada").await, site.stored()), (0, 1));

    // Without anything to store it is a logout; one that is rolled back, too.
    for status in [200, 500] {
        let mut browser = site.logged_in("ada").await;
        let stolen = browser.clone();
        let (handle, session) = browser.load().await;
        session.regenerate().unwrap();
        if status == 500 {
            session.insert("message", "lost").unwrap();
        }
        let finish = browser.finish_with(&handle, status).await;
        assert!(finish.set_cookie.unwrap().contains("Max-Age=0"));
        assert_eq!(stolen.user().await, None);
        assert_eq!(site.stored(), 1);
    }
}

#[tokio::test]
async fn without_an_index_what_needs_one_says_so() {
    let keys = || KeyRing::generate().unwrap();
    let builder = SessionManager::builder(MemoryStore::new(), keys());
    let limited = builder.max_sessions(1, OnLimit::Refuse).build();
    assert!(matches!(limited, Err(SessionManagerError::NoIndex)));
    let store = MemoryStore::new();
    let none = SessionManager::builder(store.clone(), keys())
        .login_index(store.clone())
        .max_sessions(0, OnLimit::Refuse);
    assert!(matches!(none.build(), Err(SessionManagerError::NoSessions)));

    let sessions = SessionManager::builder(store, keys()).build().unwrap();
    let mut ada = Visitor::new(sessions.clone());
    assert_eq!(log_in(&mut ada, "ada").await, None);
    let errors = [
        sessions.index().end_all("ada").await.map(|_| ()),
        sessions.index().end_everyone().await,
        ada.load().await.1.end_others().await.map(|_| ()),
    ];
    for error in errors {
        assert!(matches!(error, Err(SessionError::NoIndex)), "{error:?}");
        assert_eq!(error.unwrap_err().status(), 500);
    }
}

#[tokio::test]
async fn an_operator_acts_in_a_users_name_and_comes_back() {
    let site = Site::limited(1, OnLimit::Refuse);
    let ada = site.logged_in("ada").await;
    let mut operator = site.logged_in("op").await;
    operator
        .request(async |session| {
            session
                .login_as("ada", Operator::new("op", "ticket 7"))
                .unwrap()
        })
        .await;
    let (_, session) = operator.load().await;
    assert_eq!(session.principal().unwrap(), "ada");
    assert_eq!(session.actor().unwrap(), "op");
    settle().await;
    let listed = site.nodes[1].index().logins_of("ada", None).await.unwrap();
    let actors: Vec<_> = listed
        .sessions
        .iter()
        .map(|info| info.actor.is_some())
        .collect();
    assert_eq!(actors, [true, false], "in the order in which they end");
    assert_eq!(site.listed("op").await, 1);
    // The user's one place is still theirs alone.
    let mut second = site.visitor();
    assert_eq!(
        log_in(&mut second, "ada").await,
        Some(LoginRefusal::TooMany)
    );

    operator
        .request(async |session| session.stop_acting().unwrap())
        .await;
    settle().await;
    let (_, session) = operator.load().await;
    assert_eq!(session.principal().unwrap(), "op");
    assert_eq!(session.actor(), None);
    assert_eq!((site.listed("ada").await, site.listed("op").await), (1, 1));
    assert!(ada.user().await.is_some());
    site.clock.advance(Duration::from_secs(60 * 60));
    assert_eq!(
        operator.user().await,
        None,
        "no longer than acting would have lasted"
    );
}

#[tokio::test]
async fn acting_ends_with_the_logins_of_either_and_nobody_who_is_blocked_acts() {
    for ended in ["ada", "op"] {
        let site = Site::unlimited();
        let mut operator = site.logged_in("op").await;
        operator
            .request(async |session| {
                session
                    .login_as("ada", Operator::new("op", "ticket 7"))
                    .unwrap()
            })
            .await;
        site.nodes[1].index().end_all(ended).await.unwrap();
        assert_eq!(operator.user().await, None, "{ended}");
        settle().await;
        assert_eq!((site.listed("ada").await, site.listed("op").await), (0, 0));

        site.nodes[1].index().block(ended).await.unwrap();
        let (handle, session) = operator.load().await;
        session
            .login_as("ada", Operator::new("op", "ticket 7"))
            .unwrap();
        let refused = refusal(&operator.finish(&handle).await);
        assert_eq!(refused, Some(LoginRefusal::Blocked), "{ended}");
        assert_eq!(site.stored(), 0);
    }
}

#[tokio::test]
async fn nobody_stops_who_does_not_act() {
    let site = Site::unlimited();
    let ada = site.logged_in("ada").await;
    let (_request, session) = ada.load().await;
    assert!(matches!(
        session.stop_acting(),
        Err(SessionError::NobodyLoggedIn)
    ));
}

#[tokio::test]
async fn what_is_kept_of_a_browser_is_what_the_application_asked_for() {
    let address = "192.0.2.77".parse().unwrap();
    for (kept, expected) in [
        (ClientInfo::Off, (None, None)),
        (ClientInfo::UserAgent, (Some("Firefox"), None)),
        (
            ClientInfo::UserAgentAndNetwork,
            (Some("Firefox"), Some("192.0.2.0/24")),
        ),
        (
            ClientInfo::UserAgentAndIp,
            (Some("Firefox"), Some("192.0.2.77")),
        ),
    ] {
        let site = Site::new(|builder| builder.client_info(kept));
        let mut browser = site.visitor();
        let handle = browser.open();
        handle.note_client(Some(b"Firefox"), Some(address));
        handle.load().await.unwrap().login("ada").unwrap();
        assert_eq!(refusal(&browser.finish(&handle).await), None);
        let listed = site.nodes[1].index().logins_of("ada", None).await.unwrap();
        let client = &listed.sessions[0].client;
        assert_eq!((client.user_agent(), client.address()), expected);
        assert_eq!(browser.load().await.1.client_at_login(), *client);
    }
}
