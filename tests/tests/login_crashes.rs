//! What becomes of logins and endings when a node is killed, or Redis comes back empty, between any two of their steps.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; the figures are for whoever runs it"
)]

use std::{net::SocketAddr, time::Duration};

use tenure_core::{KeyRing, LoginRefusal, SessionError, SessionManager};
use tenure_redis::RedisStore;
use tenure_testing::{FaultProxy, Moment, RedisServer, SlowStore, Traffic, Verb};
use tenure_tests::{Browser, Node, Visitor, random_key};

/// A node that is going to die, and one that goes on.
struct Site {
    _redis: RedisServer,
    proxy: FaultProxy,
    keys: String,
    survivor: Node,
}

impl Site {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let proxy = FaultProxy::start(("127.0.0.1", redis.port()));
        let keys = random_key();
        let survivor = node(&redis.url(), &keys).await;
        // Loads the scripts into the server's cache, so that each step is one command.
        let mut browser = logged_in(survivor.address(), "nobody").await;
        for path in [
            "/incr",
            "/devices",
            "/end-all/nobody",
            "/login/nobody",
            "/logout",
        ] {
            browser.get(survivor.address(), path).await.ok();
        }
        Self {
            _redis: redis,
            proxy,
            keys,
            survivor,
        }
    }

    fn survivor(&self) -> SocketAddr {
        self.survivor.address()
    }

    /// Sends a request to a node that is killed once the server has carried out that many of its commands. Returns
    /// whether it came that far.
    async fn killed_after(&self, commands: usize, browser: &Browser, path: &str) -> bool {
        self.proxy.set(Traffic::Pass);
        let node = node(&self.proxy.url(), &self.keys).await;
        // So that nothing but the request's own commands is counted.
        browser.peek(node.address(), "/whoami").await.ok();
        let before = self.proxy.losses();
        // It does not come back: it dies before it could.
        self.proxy.set(Traffic::Refuse);
        self.proxy.lose_reply(commands);
        let browser = browser.clone();
        let (address, path) = (node.address(), path.to_owned());
        // It panics when the node dies before it has answered.
        let request = tokio::spawn(async move { browser.peek(address, &path).await });
        while self.proxy.losses() == before && !request.is_finished() {
            tokio::task::yield_now().await;
        }
        let struck = self.proxy.losses() > before;
        drop(node);
        let _ = request.await;
        self.proxy.disarm();
        struck
    }

    async fn devices(&self, user: &str) -> u64 {
        let mut browser = logged_in(self.survivor(), user).await;
        // Without the one that asks.
        let devices = browser.get(self.survivor(), "/devices").await.number() - 1;
        browser.get(self.survivor(), "/logout").await.ok();
        devices
    }
}

async fn node(url: &str, keys: &str) -> Node {
    let options = [
        "--adapter",
        "axum",
        "--store",
        "redis",
        "--redis",
        url,
        "--keys",
        keys,
        "--index",
        "--deadline-ms",
        "10000",
    ];
    Node::start(env!("CARGO_BIN_EXE_testbed-node"), &options).await
}

async fn logged_in(node: SocketAddr, user: &str) -> Browser {
    let mut browser = Browser::new();
    browser.get(node, &format!("/login/{user}")).await.ok();
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_whose_node_is_killed_at_any_step_leaves_nobody_logged_in() {
    let site = Site::start().await;
    let mut struck = 0;
    for commands in 1..=6 {
        for with_session in [false, true] {
            let user = format!("user-{commands}-{with_session}");
            let mut browser = Browser::new();
            if with_session {
                browser.get(site.survivor(), "/set/basket/1").await.ok();
            }
            let login = format!("/login/{user}");
            struck += u32::from(site.killed_after(commands, &browser, &login).await);
            let whoami = browser.peek(site.survivor(), "/whoami").await.ok();
            assert_eq!(whoami, "-", "no cookie has left");
            // Whatever is listed is a login whose response was lost, and goes with all others.
            let listed = site.devices(&user).await;
            assert!(listed <= 1);
            let ended = Browser::new()
                .get(site.survivor(), &format!("/end-all/{user}"))
                .await;
            assert!(ended.number() <= 1);
            assert_eq!(site.devices(&user).await, 0);
        }
    }
    println!("{struck} of 12 logins met their node's death");
    assert!(struck >= 6, "the steps of a login are struck");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ending_whose_node_is_killed_at_any_step_is_finished_by_whoever_looks_next() {
    let site = Site::start().await;
    let mut struck = 0;
    for commands in 1..=6 {
        let user = format!("user-{commands}");
        let mut devices = Vec::new();
        for _ in 0..3 {
            devices.push(logged_in(site.survivor(), &user).await);
        }
        let end_all = format!("/end-all/{user}");
        let has_struck = site.killed_after(commands, &Browser::new(), &end_all).await;
        struck += u32::from(has_struck);
        // A login of the same user meets what was left undone, and completes it.
        logged_in(site.survivor(), &user).await;
        for device in &devices {
            assert_eq!(device.peek(site.survivor(), "/whoami").await.ok(), "-");
        }
    }
    println!("{struck} of 6 endings met their node's death");
    assert!(struck >= 3, "the steps of an ending are struck");
}

#[tokio::test]
async fn a_server_that_comes_back_empty_between_two_steps_leaves_no_login_that_escapes_its_end() {
    let redis = RedisServer::start();
    let slow = SlowStore::new(RedisStore::connect(redis.url()).await.unwrap());
    let sessions = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .login_index(slow.clone())
        .deadline(Duration::from_secs(30))
        .build()
        .unwrap();
    let steps = [Verb::Reserve, Verb::Create, Verb::Confirm];
    for verb in steps {
        for moment in [Moment::BeforeCall, Moment::AfterCall] {
            let gate = slow.hold(verb, moment);
            let mut ada = Visitor::new(sessions.clone());
            let logging_in = tokio::spawn(async move {
                let (handle, session) = ada.load().await;
                session.login("ada").unwrap();
                let finish = ada.finish(&handle).await;
                (ada, finish)
            });
            gate.arrivals(1).await;
            redis.command(&["FLUSHALL"]);
            gate.open();
            let (ada, finish) = logging_in.await.unwrap();
            let is_logged_in = ada.load().await.1.principal().is_some();
            match finish.refusal {
                None => assert!(finish.set_cookie.is_some()),
                // Its reservation is gone, and with it the epoch in which it was made.
                Some(SessionError::LoginRefused(
                    LoginRefusal::Displaced | LoginRefusal::Revoked,
                )) => {
                    assert!(!is_logged_in && finish.set_cookie.is_none());
                }
                Some(other) => panic!("{other}"),
            }
            let listed = sessions.index().logins_of("ada", None).await.unwrap();
            assert_eq!(
                listed.sessions.len(),
                usize::from(is_logged_in),
                "{verb:?} {moment:?}"
            );
            sessions.index().end_all("ada").await.unwrap();
            assert!(
                ada.load().await.1.principal().is_none(),
                "{verb:?} {moment:?}"
            );
        }
    }
}
