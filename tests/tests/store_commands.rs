//! What requests cost: commands that reach Redis, from `INFO commandstats`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; the figures are for whoever runs it"
)]

use std::{net::SocketAddr, time::Duration};

use tenure_testing::RedisServer;
use tenure_tests::{Adapter, Backend, Browser, Cluster, ClusterBuilder, Combination, storm};

struct Setup {
    cluster: Cluster,
    node: SocketAddr,
    browser: Browser,
}

impl Setup {
    async fn start(adapter: Adapter) -> Self {
        let cluster = Combination::new(adapter, Backend::Redis).cluster();
        Self::of(cluster).await
    }

    async fn of(cluster: ClusterBuilder) -> Self {
        let cluster = cluster.start().await;
        let node = cluster.node(0);
        let mut browser = Browser::new();
        // Loads the scripts into the server's cache.
        for path in ["/incr", "/incr", "/logout", "/incr", "/incr"] {
            browser.get(node, path).await.ok();
        }
        Self {
            cluster,
            node,
            browser,
        }
    }

    fn redis(&self) -> &RedisServer {
        self.cluster.redis().unwrap()
    }

    async fn cost(&mut self, path: &str) -> u64 {
        self.redis().reset_command_stats();
        self.browser.get(self.node, path).await.ok();
        self.redis().sent_commands()
    }
}

async fn each_kind_of_request_costs_no_more_than_promised(adapter: Adapter) {
    let mut setup = Setup::start(adapter).await;
    let costs = [
        ("untouched", setup.cost("/plain").await, 0),
        ("read", setup.cost("/read").await, 1),
        ("modifying", setup.cost("/incr").await, 2),
        (
            "modifying, committed at once",
            setup.cost("/incr-now").await,
            2,
        ),
        ("read, then inserted", setup.cost("/incr-naive").await, 2),
        ("rotation", setup.cost("/rotate").await, 2),
        ("login", setup.cost("/login/ada").await, 2),
        ("logout", setup.cost("/logout").await, 2),
        ("first write", setup.cost("/incr").await, 1),
    ];
    for (kind, cost, promised) in costs {
        println!("{adapter:?}: {kind}: {cost} command(s)");
        assert_eq!(cost, promised, "{kind}");
    }
    setup.browser.set_cookie(None);
    assert_eq!(setup.cost("/login/ada").await, 1, "first login");
    setup.browser.set_cookie(None);
    assert_eq!(setup.cost("/read").await, 0, "read without a cookie");
}

/// With an index, the manager asks for the gate now and then, whatever the requests: so the cheapest of some requests
/// of one kind tells what that kind costs.
async fn with_a_login_index_only_logins_cost_more(adapter: Adapter) {
    let cluster = Combination::new(adapter, Backend::Redis).cluster();
    let mut setup = Setup::of(cluster.login_index()).await;
    for path in ["/login/ada", "/login/ada", "/devices", "/logout", "/incr"] {
        setup.browser.get(setup.node, path).await.ok();
    }
    let user = |number: usize| format!("user-{number}");
    let mut cheapest = std::collections::BTreeMap::new();
    for number in 0..4 {
        let login = format!("/login/{}", user(number));
        let end_all = format!("/end-all/{}", user(number));
        let kinds = [
            ("read", "/read", 1),
            ("modifying", "/incr", 2),
            // load, reserve, commit, confirm
            ("login", &*login, 4),
            // load, list, load
            ("list of one", "/devices", 3),
            // load, touch, end, reserve, commit, confirm
            ("end of no others", "/end-others", 6),
            // end, delete, settle
            ("end of all, which is one", &*end_all, 3),
        ];
        for (kind, path, promised) in kinds {
            let cost = setup.cost(path).await;
            let least = cheapest.entry(kind).or_insert((cost, promised));
            least.0 = least.0.min(cost);
        }
        setup.browser.get(setup.node, "/incr").await.ok();
        setup.browser.get(setup.node, &login).await.ok();
        // load, delete, and behind the response settle
        setup.redis().reset_command_stats();
        setup.browser.get(setup.node, "/logout").await.ok();
        let mut cost = setup.redis().sent_commands();
        let begun = std::time::Instant::now();
        while cost < 3 && begun.elapsed() < Duration::from_secs(5) {
            tokio::task::yield_now().await;
            cost = setup.redis().sent_commands();
        }
        let least = cheapest.entry("logout").or_insert((cost, 3));
        least.0 = least.0.min(cost);
        setup.browser.get(setup.node, "/incr").await.ok();
    }
    for (kind, (cost, promised)) in cheapest {
        println!("{adapter:?}, with an index: {kind}: {cost} command(s)");
        assert_eq!(cost, promised, "{kind}");
    }
}

async fn ten_thousand_worthless_cookies_cost_nothing(adapter: Adapter) {
    let setup = Setup::start(adapter).await;
    let genuine = setup.browser.cookie().unwrap().to_owned();
    setup.redis().reset_command_stats();
    let worthless = move |i: usize| match i % 3 {
        0 => genuine[..i % genuine.len()].to_owned(),
        1 => {
            let mut forged = genuine.clone().into_bytes();
            let at = i % (forged.len() - 1);
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            String::from_utf8(forged).unwrap()
        }
        _ => format!("{i:088}"),
    };
    let mut running = tokio::task::JoinSet::new();
    for client in 0..16 {
        let (node, worthless) = (setup.node, worthless.clone());
        running.spawn(async move {
            let mut browser = Browser::new();
            for i in (client..10_000).step_by(16) {
                browser.set_cookie(Some(&worthless(i)));
                assert_eq!(browser.peek(node, "/read").await.number(), 0);
            }
        });
    }
    running.join_all().await;
    println!(
        "{adapter:?}: 10,000 worthless cookies: {} command(s)",
        setup.redis().sent_commands()
    );
    assert_eq!(setup.redis().sent_commands(), 0);
}

async fn a_burst_on_one_session_costs_fewer_commits_than_requests(adapter: Adapter) {
    let mut setup = Setup::start(adapter).await;
    let before = setup.browser.get(setup.node, "/read").await.number();
    setup.redis().reset_command_stats();
    for answer in storm(&[setup.node], &setup.browser, 64, 64 * BURSTS, |_| {
        "/incr".to_owned()
    })
    .await
    {
        answer.ok();
    }
    let commits = setup.redis().command_stats()["evalsha"];
    let requests = 64 * BURSTS;
    println!(
        "{adapter:?}: {requests} increments by 64 clients: {commits} commit scripts, {:.3} per request",
        commits as f64 / requests as f64
    );
    assert!(commits < requests as u64);
    assert_eq!(
        setup.browser.get(setup.node, "/read").await.number(),
        before + requests as u64
    );
}

const BURSTS: usize = 20;

macro_rules! on_every_adapter {
    ($($story:ident),+ $(,)?) => {
        mod tower {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(tenure_tests::Adapter::Tower).await; })+
        }
        mod axum {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(tenure_tests::Adapter::Axum).await; })+
        }
        mod actix {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $story() { super::$story(tenure_tests::Adapter::Actix).await; })+
        }
    };
}

on_every_adapter!(
    each_kind_of_request_costs_no_more_than_promised,
    with_a_login_index_only_logins_cost_more,
    ten_thousand_worthless_cookies_cost_nothing,
    a_burst_on_one_session_costs_fewer_commits_than_requests,
);
