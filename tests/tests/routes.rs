//! What the testbed's routes do on every adapter, as far as other tests do not show it.

use std::time::Duration;

use tenure_tests::{Browser, Combination, Node, for_every_combination};
use tokio::time::{Instant, sleep};

async fn a_request_that_commits_twice_counts_twice(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    let printed = browser.get(cluster.node(0), "/incr-twice").await.number();
    assert_eq!(printed, 2);
    let printed = browser.get(cluster.node(1), "/incr-twice").await.number();
    assert_eq!(printed, 4);
    assert_eq!(browser.get(cluster.node(0), "/read").await.number(), 4);
}

async fn a_refreshed_request_counts_what_a_cache_does_not_know_of(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/incr").await.ok();
    let old = browser.clone();
    assert_eq!(old.peek(cluster.node(1), "/read").await.number(), 1);
    browser.get(cluster.node(0), "/incr").await.ok();
    assert_eq!(old.peek(cluster.node(1), "/refresh").await.number(), 2);
}

async fn a_blocked_thread_is_blocked_for_as_long_as_was_asked(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let browser = Browser::new();
    let begun = Instant::now();
    let answer = browser.peek(cluster.node(0), "/block?ms=60").await;
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert!(answer.session_cookie().is_none());
    assert_eq!(answer.ok(), "blocked");
}

for_every_combination!(
    a_request_that_commits_twice_counts_twice,
    a_refreshed_request_counts_what_a_cache_does_not_know_of,
    a_blocked_thread_is_blocked_for_as_long_as_was_asked,
);

/// The process has a clock that nobody can move.
#[tokio::test]
async fn a_node_ends_sessions_after_the_times_that_it_was_told() {
    let program = env!("CARGO_BIN_EXE_testbed-node");
    let options = "--adapter axum --store memory --idle-ms 1000 --absolute-ms 1500";
    let options: Vec<_> = options.split(' ').collect();
    let node = Node::start(program, &options).await;
    let mut active = Browser::new();
    let mut idle = Browser::new();
    assert_eq!(active.get(node.address(), "/incr").await.number(), 1);
    assert_eq!(idle.get(node.address(), "/incr").await.number(), 1);
    for _ in 0..3 {
        sleep(Duration::from_millis(350)).await;
        active.peek(node.address(), "/read").await.ok();
    }
    assert_eq!(idle.peek(node.address(), "/read").await.number(), 0);
    // Activity does not help over the limit.
    for _ in 0..2 {
        active.peek(node.address(), "/read").await.ok();
        sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(active.peek(node.address(), "/read").await.number(), 0);
}
