//! How soon a logout on one node, or the end of all of a user's logins, holds on the other.

use std::time::Duration;

use tenure_testing::RedisServer;
use tenure_tests::Browser;
use tokio::time::Instant;

use crate::nodes::{Nodes, STALENESS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_holds_on_the_other_node() {
    holds_on_the_other_node("a logout", "/logout").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s25_the_end_of_all_logins_holds_on_the_other_node() {
    holds_on_the_other_node("the end of all", "/end-all/ada").await;
}

async fn holds_on_the_other_node(what: &str, path: &str) {
    let nodes = Nodes::start_with(RedisServer::start(), None, &["--index"]).await;
    let [here, there] = nodes.both();
    let mut times = Vec::new();
    let mut at_once = 0;
    for _ in 0..TRIALS {
        let mut browser = Browser::new();
        browser.get(here, "/login/ada").await.ok();
        let thief = browser.clone();
        // The connections are there, and the session is in both caches.
        assert_eq!(thief.peek(there, "/whoami").await.ok(), "ada");
        browser.get(here, path).await.ok();
        let logged_out = Instant::now();
        let mut answers = 0;
        while thief.peek(there, "/whoami").await.ok() == "ada" {
            answers += 1;
            assert!(logged_out.elapsed() < STALENESS, "still logged in");
        }
        at_once += usize::from(answers == 0);
        times.push(logged_out.elapsed());
    }
    times.sort_unstable();
    let percentile = |percent: usize| times[TRIALS * percent / 100];
    println!(
        "from {what}'s answer to the first refusal, {TRIALS} trials: p50 {:?}, p99 {:?}, most {:?}; \
         {at_once} were refused at the first request",
        percentile(50),
        percentile(99),
        times.last().unwrap(),
    );
    // Far from what is measured, and as far from the staleness bound, which a lost report would take.
    assert!(percentile(99) < Duration::from_secs(1));
}

const TRIALS: usize = 500;
