//! A Redis that hangs, dies, comes back or loses replies, under processes that go on.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs them")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tenure_testing::{FaultProxy, RedisServer};
use tenure_tests::{Answer, Browser, Node, random_key};

/// The testbed's default.
const DEADLINE: Duration = Duration::from_secs(1);

/// What a busy machine may add to a deadline.
const SLACK: Duration = Duration::from_millis(500);

/// How soon answers are to be normal again.
const RECOVERY: Duration = Duration::from_secs(2);

struct Setup {
    redis: RedisServer,
    proxy: FaultProxy,
    node: Node,
    browser: Browser,
}

impl Setup {
    /// A node whose connections to Redis go through the proxy, and a visitor whose count is 1.
    async fn start(adapter: &str) -> Self {
        let redis = RedisServer::start();
        let proxy = FaultProxy::start(redis.address());
        let options = [
            "--adapter",
            adapter,
            "--store",
            "redis",
            "--redis",
            &proxy.url(),
            "--keys",
            &random_key(),
        ];
        let node = Node::start(env!("CARGO_BIN_EXE_testbed-node"), &options).await;
        let mut browser = Browser::new();
        browser.get(node.address(), "/set/first/visit").await.ok();
        // A commit, so that the server knows the commit script: whoever has to send it in a second
        // step cannot have it carried out while nobody listens.
        assert_eq!(browser.get(node.address(), "/incr").await.number(), 1);
        Self {
            redis,
            proxy,
            node,
            browser,
        }
    }

    fn address(&self) -> SocketAddr {
        self.node.address()
    }

    async fn count(&self) -> u64 {
        self.browser.peek(self.address(), "/read").await.number()
    }

    /// Requests each kind of page at the same time, several of each, and checks that none of them is
    /// taken for anonymous, that all are refused within `limit`, and that pages without a session
    /// are served as ever.
    async fn all_are_refused_within(&self, limit: Duration) {
        let mut running = tokio::task::JoinSet::new();
        for path in [
            "/read",
            "/incr",
            "/incr-now",
            "/set/a/1",
            "/whoami",
            "/login/ada",
            "/logout",
            "/rotate",
        ]
        .repeat(4)
        {
            let (browser, address) = (self.browser.clone(), self.address());
            running.spawn(async move {
                let (answer, took) = timed(browser.peek(address, path)).await;
                (path, answer, took)
            });
        }
        let mut longest = Duration::ZERO;
        for (path, answer, took) in running.join_all().await {
            assert_eq!((answer.status, &*answer.body), (503, ""), "{path}");
            assert_eq!(answer.session_cookie(), None, "{path}");
            longest = longest.max(took);
        }
        println!("longest wait for a 503: {longest:?}");
        assert!(longest < limit, "{longest:?}");
        self.browser.peek(self.address(), "/plain").await.ok();
    }

    /// Asks until the answer is normal again.
    async fn recovers(&self) {
        let begin = now();
        loop {
            let answer = self.browser.peek(self.address(), "/read").await;
            let took = begin.elapsed();
            assert!(took < RECOVERY, "no recovery after {took:?}: {answer:?}");
            if answer.status == 200 {
                return println!("recovered after {took:?}");
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long an answer takes is what is tested"
)]
fn now() -> Instant {
    Instant::now()
}

async fn timed(answer: impl Future<Output = Answer>) -> (Answer, Duration) {
    let begin = now();
    (answer.await, begin.elapsed())
}

async fn s37_a_store_that_hangs_is_answered_with_503_within_the_deadline(adapter: &str) {
    let setup = Setup::start(adapter).await;
    setup.redis.stop();
    setup.all_are_refused_within(DEADLINE + SLACK).await;
    // Again, now that several calls in a row have timed out.
    setup.all_are_refused_within(DEADLINE + SLACK).await;
    setup.redis.cont();
    setup.recovers().await;
}

async fn s37_a_store_that_is_down_is_answered_with_503_at_once(adapter: &str) {
    let mut setup = Setup::start(adapter).await;
    setup.redis.kill();
    setup.all_are_refused_within(SLACK).await;
    setup.redis.restart();
    setup.recovers().await;
    // The server came back empty: the visitor is a new one, and everything works.
    assert_eq!(
        setup.browser.get(setup.address(), "/incr").await.number(),
        1
    );
    assert_eq!(setup.count().await, 1);
}

async fn a_commit_that_timed_out_but_happened_is_neither_lost_nor_applied_twice(adapter: &str) {
    let mut setup = Setup::start(adapter).await;
    let mut expected = setup.count().await;
    for round in 0..3 {
        let slow = setup.browser.peek(setup.address(), "/incr?ms=300");
        let freeze = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            setup.redis.stop();
        };
        let (answer, ()) = tokio::join!(slow, freeze);
        assert_eq!(answer.status, 503, "round {round}");
        // The commit lies in the server's buffer; it happens when the server goes on.
        setup.redis.cont();
        setup.recovers().await;
        expected += 1;
        assert_eq!(setup.count().await, expected, "round {round}");
        expected += 1;
        assert_eq!(
            setup.browser.get(setup.address(), "/incr").await.number(),
            expected
        );
        assert_eq!(setup.count().await, expected, "round {round}");
    }
}

async fn a_commit_whose_reply_is_lost_is_settled_and_answered(adapter: &str) {
    let mut setup = Setup::start(adapter).await;
    for round in 1..=20 {
        setup.proxy.lose_reply_to("EVALSHA");
        let answer = setup.browser.get(setup.address(), "/incr").await;
        assert_eq!(answer.number(), round + 1);
        assert_eq!(setup.count().await, round + 1);
    }
    assert_eq!(setup.proxy.losses(), 20);
}

async fn a_load_whose_connection_breaks_is_answered(adapter: &str) {
    let setup = Setup::start(adapter).await;
    for _ in 0..20 {
        setup.proxy.cut();
        assert_eq!(setup.count().await, 1);
    }
}

macro_rules! on_every_adapter {
    ($($story:ident),+ $(,)?) => {
        mod tower {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story("tower").await; })+
        }
        mod axum {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story("axum").await; })+
        }
        mod actix {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story("actix").await; })+
        }
    };
}

on_every_adapter!(
    s37_a_store_that_hangs_is_answered_with_503_within_the_deadline,
    s37_a_store_that_is_down_is_answered_with_503_at_once,
    a_commit_that_timed_out_but_happened_is_neither_lost_nor_applied_twice,
    a_commit_whose_reply_is_lost_is_settled_and_answered,
    a_load_whose_connection_breaks_is_answered,
);
