//! Rows 25 and 26 of the checklist by the hundred: logins at once on two nodes with near caches on one Redis, against
//! whoever ends them and against limits.
//!
//! `TENURE_ROUNDS` sets the number of rounds, 10 by default; ten thousand of them are for the night.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a surprise is a failed test"
)]

use std::{collections::BTreeSet, time::Duration};

use tenure_core::{
    Freshness, LoginOptions, LoginRefusal, OnLimit, SessionError, SessionId, SessionManager,
    SessionManagerBuilder, SessionStore,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::RedisServer;
use tenure_tests::{Visitor, random_key};
use tokio::task::JoinSet;

struct Site {
    nodes: [(SessionManager, NearCache<RedisStore>); 2],
    _server: RedisServer,
}

impl Site {
    async fn start(configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder) -> Self {
        let server = RedisServer::start();
        let key = random_key();
        let node = async || {
            let deadline = Duration::from_secs(30);
            let store = RedisStore::builder(server.url()).deadline(deadline);
            let cache = NearCache::new(store.connect().await.unwrap());
            let builder = SessionManager::builder(cache.clone(), key.parse().unwrap())
                .deadline(deadline)
                .login_index(cache.clone());
            (configure(builder).build().unwrap(), cache)
        };
        Self {
            nodes: [node().await, node().await],
            _server: server,
        }
    }

    fn node(&self, number: usize) -> &SessionManager {
        &self.nodes[number % 2].0
    }

    /// Waits for a round trip of each cache, behind which it knows of every change from before.
    async fn catch_up(&self) {
        for (_, cache) in &self.nodes {
            let nobody = SessionId::from_bytes([0; 16]);
            let _ = cache.load(nobody, Freshness::Latest).await.unwrap();
        }
    }

    /// The sessions that are listed of a user.
    async fn listed(&self, user: &str) -> BTreeSet<SessionId> {
        let (mut listed, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.node(0).index().logins_of(user, after).await.unwrap();
            listed.extend(page.sessions.iter().map(|info| info.login.session()));
            after = page.next;
            if after.is_none() {
                return listed;
            }
        }
    }

    /// Those of some visitors who are logged in, as both nodes agree.
    async fn usable(&self, visitors: &[Visitor]) -> BTreeSet<SessionId> {
        self.catch_up().await;
        let mut usable = BTreeSet::new();
        for visitor in visitors {
            let mut ids = Vec::new();
            for (node, _) in &self.nodes {
                let (_, session) = visitor.at(node).load().await;
                ids.push(session.principal().and(session.id()));
            }
            assert_eq!(ids[0], ids[1], "the nodes do not agree");
            usable.extend(ids[0]);
        }
        usable
    }

    /// A hundred logins of one user at once, every third in a session that exists.
    fn logins(
        &self,
        user: &str,
        options: LoginOptions,
    ) -> JoinSet<(Visitor, Option<LoginRefusal>)> {
        let mut logins = JoinSet::new();
        for number in 0..LOGINS {
            let mut visitor = Visitor::new(self.node(number).clone());
            let user = user.to_owned();
            logins.spawn(async move {
                if number % 3 == 0 {
                    visitor
                        .request(async |session| session.insert("basket", 1).unwrap())
                        .await;
                }
                let refusal = log_in(&mut visitor, &user, options).await;
                (visitor, refusal)
            });
        }
        logins
    }
}

async fn log_in(visitor: &mut Visitor, user: &str, options: LoginOptions) -> Option<LoginRefusal> {
    let (handle, session) = visitor.load().await;
    session.login_with(user, options).unwrap();
    let finish = visitor.finish(&handle).await;
    match finish.refusal? {
        SessionError::LoginRefused(refusal) => {
            assert!(finish.set_cookie.is_none());
            Some(refusal)
        }
        other => panic!("{other}"),
    }
}

fn rounds() -> usize {
    let rounds = std::env::var("TENURE_ROUNDS").ok();
    rounds.map_or(10, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_hundred_logins_against_the_end_of_all() {
    let site = Site::start(|builder| builder).await;
    let (mut survivors, mut refused) = (0, 0);
    for round in 0..rounds() {
        let user = format!("user-{round}");
        let mut logins = site.logins(&user, LoginOptions::new());
        // Somewhere in the middle, and in another place each round.
        let mut visitors = Vec::new();
        for _ in 0..round * 7 % LOGINS {
            visitors.push(logins.join_next().await.unwrap().unwrap());
        }
        let before: Vec<_> = visitors
            .iter()
            .map(|(visitor, _)| visitor.clone())
            .collect();
        site.node(round).index().end_all(&user).await.unwrap();
        assert_eq!(
            site.usable(&before).await.len(),
            0,
            "they were logged in before"
        );
        visitors.extend(logins.join_all().await);
        refused += visitors
            .iter()
            .filter(|(_, refusal)| refusal.is_some())
            .count();
        let all: Vec<_> = visitors.into_iter().map(|(visitor, _)| visitor).collect();
        let usable = site.usable(&all).await;
        assert_eq!(
            usable,
            site.listed(&user).await,
            "who is logged in is listed"
        );
        survivors += usable.len();
        site.node(round + 1).index().end_all(&user).await.unwrap();
        assert_eq!(
            site.usable(&all).await.len(),
            0,
            "nobody escapes the second"
        );
    }
    println!(
        "{} rounds: {survivors} logins came after the end and were listed, {refused} refused, 0 escaped",
        rounds()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_hundred_logins_with_a_fence_from_before_the_end() {
    let site = Site::start(|builder| builder).await;
    for round in 0..rounds() {
        let user = format!("user-{round}");
        let fence = site.node(0).index().fence(&user).await.unwrap();
        let mut logins = site.logins(&user, LoginOptions::new().fence(fence));
        let mut visitors = Vec::new();
        for _ in 0..round * 7 % LOGINS {
            visitors.push(logins.join_next().await.unwrap().unwrap());
        }
        site.node(round).index().end_all(&user).await.unwrap();
        visitors.extend(logins.join_all().await);
        let all: Vec<_> = visitors.into_iter().map(|(visitor, _)| visitor).collect();
        assert_eq!(site.usable(&all).await.len(), 0);
        assert_eq!(site.listed(&user).await.len(), 0);
    }
    println!("{} rounds: 0 survived", rounds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_a_hundred_logins_against_one_who_ends_the_others() {
    let site = Site::start(|builder| builder).await;
    for round in 0..rounds() {
        let user = format!("user-{round}");
        let mut here = Visitor::new(site.node(round).clone());
        assert_eq!(log_in(&mut here, &user, LoginOptions::new()).await, None);
        let mut logins = site.logins(&user, LoginOptions::new());
        let mut visitors = Vec::new();
        for _ in 0..round * 7 % LOGINS {
            visitors.push(logins.join_next().await.unwrap().unwrap());
        }
        here.request(async |session| session.end_others().await.unwrap())
            .await;
        let before: Vec<_> = visitors
            .iter()
            .map(|(visitor, _)| visitor.clone())
            .collect();
        assert_eq!(site.usable(&before).await.len(), 0);
        visitors.extend(logins.join_all().await);
        let mut all: Vec<_> = visitors.into_iter().map(|(visitor, _)| visitor).collect();
        all.push(here.clone());
        assert_eq!(site.usable(&all).await, site.listed(&user).await);
        assert_eq!(site.usable(&[here]).await.len(), 1, "this one lives on");
    }
    println!("{} rounds: this session lived on in each", rounds());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s26_a_hundred_logins_against_each_limit() {
    for on_limit in [OnLimit::Refuse, OnLimit::EndOldest] {
        for most in [1, 3, 10] {
            let site = Site::start(|builder| builder.max_sessions(most, on_limit)).await;
            let rounds = rounds().div_ceil(5);
            for round in 0..rounds {
                let user = format!("user-{round}");
                let visitors = site.logins(&user, LoginOptions::new()).join_all().await;
                let all: Vec<_> = visitors.into_iter().map(|(visitor, _)| visitor).collect();
                let usable = site.usable(&all).await;
                assert_eq!(usable, site.listed(&user).await);
                assert_eq!(usable.len(), usize::try_from(most).unwrap(), "{on_limit:?}");
            }
            println!("{rounds} rounds: {most} of {LOGINS} in each ({on_limit:?})");
        }
    }
}

const LOGINS: usize = 100;
