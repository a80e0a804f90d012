//! Two processes behind one Redis: what concurrent requests of one visitor keep.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs them")]

use std::{collections::HashSet, net::SocketAddr};

use tenure_testing::RedisServer;
use tenure_tests::{Answer, Browser, Node, random_key, storm};

struct TwoNodes {
    nodes: Vec<Node>,
    _redis: RedisServer,
}

impl TwoNodes {
    /// `options` are the testbed's: which adapter, and whether with a near cache.
    async fn start(options: &str) -> Self {
        let redis = RedisServer::start();
        let (url, keys) = (redis.url(), random_key());
        let mut options: Vec<_> = options.split(' ').collect();
        options.extend(["--store", "redis", "--redis", &url, "--keys", &keys]);
        let program = env!("CARGO_BIN_EXE_testbed-node");
        let nodes = vec![
            Node::start(program, &options).await,
            Node::start(program, &options).await,
        ];
        Self {
            nodes,
            _redis: redis,
        }
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(Node::address).collect()
    }

    async fn visitor(&self) -> Browser {
        let mut browser = Browser::new();
        browser
            .get(self.nodes[0].address(), "/set/first/visit")
            .await
            .ok();
        browser
    }

    async fn storm(
        &self,
        browser: &Browser,
        requests: usize,
        path: impl Fn(usize) -> String,
    ) -> Vec<Answer> {
        storm(&self.addresses(), browser, 16, requests, path).await
    }
}

async fn concurrent_increments_lose_nothing(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let mut browser = cluster.visitor().await;
    for answer in cluster
        .storm(&browser, 800, |_| "/incr?ms=2".to_owned())
        .await
    {
        answer.ok();
    }
    let kept = browser
        .get(cluster.nodes[1].address(), "/read")
        .await
        .number();
    println!("{options}: 800 concurrent increments, kept {kept}");
    assert_eq!(kept, 800);
}

async fn every_increment_that_is_committed_at_once_has_a_value_of_its_own(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let browser = cluster.visitor().await;
    let answers = cluster
        .storm(&browser, 800, |_| "/incr-now?ms=2".to_owned())
        .await;
    let values: HashSet<_> = answers.into_iter().map(Answer::number).collect();
    println!(
        "{options}: 800 committed increments, {} different values",
        values.len()
    );
    assert_eq!(values, (1..=800).collect());
}

async fn a_naive_increment_is_kept_or_refused_but_never_lost(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let mut browser = cluster.visitor().await;
    let answers = cluster
        .storm(&browser, 800, |_| "/incr-naive?ms=2".to_owned())
        .await;
    let successes = answers.iter().filter(|answer| answer.status == 200).count();
    let conflicts = answers.iter().filter(|answer| answer.status == 409).count();
    let count = browser
        .get(cluster.nodes[0].address(), "/read")
        .await
        .number();
    println!(
        "{options}: 800 naive increments, {successes} answered 200, {conflicts} answered 409, count {count}"
    );
    assert_eq!(count, successes as u64);
    assert_eq!(successes + conflicts, 800);
    assert!(successes > 0);
    assert!(
        conflicts > 0,
        "no request met another one: this shows nothing"
    );
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!((answer.session_cookie(), &*answer.body), (None, ""));
    }
}

async fn concurrent_writes_of_different_keys_all_survive(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let mut browser = cluster.visitor().await;
    for answer in cluster
        .storm(&browser, 192, |i| format!("/set/k{i}/{i}?ms=2"))
        .await
    {
        answer.ok();
    }
    let kept = browser
        .get(cluster.nodes[1].address(), "/keys")
        .await
        .number()
        - 1;
    println!("{options}: 192 concurrent writes of different keys, kept {kept}");
    assert_eq!(kept, 192);
    for i in 0..192 {
        let value = browser
            .get(cluster.nodes[i % 2].address(), &format!("/get/k{i}"))
            .await;
        assert_eq!(value.ok(), i.to_string());
    }
}

async fn alternating_writes_of_one_browser_are_all_kept(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let mut browser = cluster.visitor().await;
    for i in 0..200 {
        assert_eq!(
            browser
                .get(cluster.nodes[i % 2].address(), "/incr")
                .await
                .number(),
            i as u64 + 1
        );
    }
    let kept = browser
        .get(cluster.nodes[0].address(), "/read")
        .await
        .number();
    println!("{options}: 200 alternating increments, kept {kept}");
    assert_eq!(kept, 200);
}

async fn no_read_on_the_other_node_is_stale(options: &str) {
    let cluster = TwoNodes::start(options).await;
    let mut browser = cluster.visitor().await;
    let mut stale = 0;
    for i in 1..=200 {
        assert_eq!(
            browser
                .get(cluster.nodes[0].address(), "/incr")
                .await
                .number(),
            i
        );
        stale += usize::from(
            browser
                .get(cluster.nodes[1].address(), "/read")
                .await
                .number()
                != i,
        );
    }
    println!("{options}: 200 reads on the other node right after a write, stale {stale}");
    assert_eq!(stale, 0);
}

macro_rules! on_every_pair_of_nodes {
    ($($story:ident),+ $(,)?) => {
        on_every_pair_of_nodes!(@ tower, "--adapter tower", $($story),+);
        on_every_pair_of_nodes!(@ tower_with_near_cache, "--adapter tower --near-cache", $($story),+);
        on_every_pair_of_nodes!(@ axum, "--adapter axum", $($story),+);
        on_every_pair_of_nodes!(@ axum_with_near_cache, "--adapter axum --near-cache", $($story),+);
        on_every_pair_of_nodes!(@ actix, "--adapter actix", $($story),+);
        on_every_pair_of_nodes!(@ actix_with_near_cache, "--adapter actix --near-cache", $($story),+);
    };
    (@ $pair:ident, $options:literal, $($story:ident),+) => {
        mod $pair {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story($options).await;
                }
            )+
        }
    };
}

on_every_pair_of_nodes!(
    concurrent_increments_lose_nothing,
    every_increment_that_is_committed_at_once_has_a_value_of_its_own,
    a_naive_increment_is_kept_or_refused_but_never_lost,
    concurrent_writes_of_different_keys_all_survive,
    alternating_writes_of_one_browser_are_all_kept,
    no_read_on_the_other_node_is_stale,
);
