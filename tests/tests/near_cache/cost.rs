//! What is left for Redis to do.

use std::time::Duration;

use tenure_testing::RedisServer;
use tenure_tests::{Browser, storm};
use tokio::time::Instant;

use crate::nodes::{Nodes, figure};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_reads_on_two_nodes_cost_next_to_nothing() {
    let nodes = Nodes::start(RedisServer::start(), None).await;
    let mut browsers = Vec::new();
    for _ in 0..SESSIONS {
        let mut browser = Browser::new();
        browser.get(nodes.node(0), "/incr").await.ok();
        browsers.push(browser);
    }
    nodes.redis.reset_command_stats();
    println!("before: {:?}", nodes.redis.command_stats());
    for browser in &browsers {
        let both = nodes.both();
        let reads = storm(&both, browser, 8, READS / SESSIONS, |_| "/read".to_owned());
        for answer in reads.await {
            assert_eq!(answer.number(), 1);
        }
    }
    println!("after: {:?}", nodes.redis.command_stats());
    let commands = nodes.redis.sent_commands();
    println!(
        "{READS} reads of {SESSIONS} sessions on 2 nodes: {commands} commands besides heartbeats"
    );
    assert!(commands <= 100, "{commands} commands");
    // Those that come while a session is being loaded for the first time wait for that load.
    let mut answered = 0;
    for node in nodes.both() {
        for name in ["/hits", "/shared_loads"] {
            answered += figure(node, name).await;
        }
    }
    assert!(
        answered >= (READS - 100) as u64,
        "{answered} answered without a load"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_modifying_request_costs_exactly_its_commit() {
    let nodes = Nodes::start(RedisServer::start(), None).await;
    let mut browser = Browser::new();
    for _ in 0..2 {
        browser.get(nodes.node(0), "/incr").await.ok();
    }
    for (path, requests) in [("/incr", 1000), ("/incr-now", 100), ("/rotate", 100)] {
        nodes.redis.reset_command_stats();
        let begun = Instant::now();
        for _ in 0..requests {
            browser.get(nodes.node(0), path).await.ok();
        }
        let commands = nodes.redis.sent_commands();
        println!("{path}: {commands} commands for {requests} requests");
        // A heartbeat that is answered while a commit's own push waits for its caller takes the session out of
        // the cache, and the next request loads it.
        let heartbeats = begun.elapsed().as_millis() / HEARTBEAT.as_millis() + 1;
        assert!(commands >= requests, "{path}");
        assert!(u128::from(commands - requests) <= heartbeats, "{path}");
    }
}

const READS: usize = 10_000;
const SESSIONS: usize = 20;

/// A quarter of the staleness bound.
const HEARTBEAT: Duration = Duration::from_millis(500);
