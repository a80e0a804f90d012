//! What a browser sees, whatever order its cookies come in, with two nodes that cache.

use std::collections::HashMap;

use tenure_tests::{Adapter, Answer, Backend, Browser, Cluster, Combination, CookieParts};
use tokio::{task::JoinSet, time::sleep};

use crate::nodes::STALENESS;

/// Chance that can be repeated (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

async fn two_nodes() -> Cluster {
    Combination::new(Adapter::Axum, Backend::NearCache)
        .cluster()
        .nodes(2)
        .start()
        .await
}

fn counter(browser: &Browser) -> u64 {
    CookieParts::of(browser.cookie().unwrap()).counter()
}

/// Read-your-writes and monotonic reads of one jar, one request after the other: the model is a
/// number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_after_the_other_a_browser_sees_all_that_it_did() {
    let (cluster, mut chance) = (two_nodes().await, Chance(0x7e_4e5e));
    let mut browser = Browser::new();
    let mut count = browser.get(cluster.node(0), "/incr").await.number();
    for _ in 0..SERIAL {
        let node = cluster.node(chance.below(2));
        let path = ["/read", "/read", "/incr", "/incr-now"][chance.below(4)];
        count += u64::from(path != "/read");
        assert_eq!(browser.get(node, path).await.number(), count, "{path}");
    }
}

/// Six tabs share a jar, and their answers arrive in any order: each request is answered with what
/// its own cookie has seen, at least.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_parallel_tabs_each_request_sees_at_least_what_its_cookie_has_seen() {
    let (cluster, mut chance) = (two_nodes().await, Chance(0x7e_4e5f));
    let mut jar = Browser::new();
    jar.get(cluster.node(0), "/incr").await.ok();
    let (mut requests, mut regressed) = (0, 0);
    while requests < PARALLEL {
        let mut tabs = JoinSet::new();
        for _ in 0..TABS {
            let tab = jar.clone();
            let node = cluster.node(chance.below(2));
            let path = ["/version", "/version", "/incr"][chance.below(3)];
            tabs.spawn(async move { (path, tab.peek(node, path).await) });
        }
        let presented = counter(&jar);
        let mut answers = tabs.join_all().await;
        requests += answers.len();
        while !answers.is_empty() {
            let (path, answer) = answers.swap_remove(chance.below(answers.len()));
            assert_at_least(presented, path, &answer);
            let before = counter(&jar);
            jar.keep(&answer);
            regressed += usize::from(counter(&jar) < before);
        }
    }
    println!(
        "{requests} requests of {TABS} tabs: {regressed} answers took the jar back to an older cookie"
    );
}

fn assert_at_least(presented: u64, path: &str, answer: &Answer) {
    let told = answer
        .session_cookie()
        .map(|cookie| CookieParts::of(&cookie.value).counter());
    let seen = answer.clone().number();
    if path == "/version" {
        assert!(
            seen >= presented,
            "version {seen} for a cookie of {presented}"
        );
        assert!(told.is_none_or(|told| told >= presented));
    } else {
        assert!(told.unwrap() > presented, "a write that is not told");
    }
}

/// Every cookie that was ever set is presented to every node, over and over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replayed_cookie_gets_nothing_older_than_others_got_and_nothing_after_the_logout() {
    let (cluster, mut chance) = (two_nodes().await, Chance(0x7e_4e60));
    let mut cookies = Vec::new();
    let mut browsers = Vec::new();
    let mut presented = 0;
    for _ in 0..SESSIONS {
        let mut browser = Browser::new();
        let mut served = HashMap::new();
        browser.get(cluster.node(0), "/login/ada").await.ok();
        let mut own = vec![browser.cookie().unwrap().to_owned()];
        for _ in 0..STEPS {
            let path = ["/incr", "/incr", "/incr", "/rotate", "/login/ada"][chance.below(5)];
            browser.get(cluster.node(chance.below(2)), path).await.ok();
            own.push(browser.cookie().unwrap().to_owned());
            for _ in 0..REPLAYS {
                let (cookie, node) = (&own[chance.below(own.len())], chance.below(2));
                let version = replay(&cluster, node, cookie, "/version").await.number();
                presented += 1;
                // A cookie with a replaced secret sees an empty session.
                if version > 0 {
                    let newest = served.insert(node, version);
                    assert!(newest.is_none_or(|newest| version >= newest));
                }
            }
        }
        cookies.append(&mut own);
        browsers.push(browser);
    }
    for browser in &mut browsers {
        browser
            .get(cluster.node(chance.below(2)), "/logout")
            .await
            .ok();
    }
    sleep(STALENESS).await;
    for cookie in &cookies {
        for node in 0..2 {
            let user = replay(&cluster, node, cookie, "/whoami").await.ok();
            presented += 1;
            assert_eq!(user, "-", "logged in after the logout");
        }
    }
    println!(
        "{} cookies of {SESSIONS} sessions, presented {presented} times",
        cookies.len()
    );
    assert!(presented >= 10_000);
}

async fn replay(cluster: &Cluster, node: usize, cookie: &str, path: &str) -> Answer {
    let mut browser = CLIENT.with(Browser::clone);
    browser.set_cookie(Some(cookie));
    browser.peek(cluster.node(node), path).await
}

thread_local! {
    /// Its connections are used again and again.
    static CLIENT: Browser = Browser::new();
}

const SERIAL: usize = 4_000;
const PARALLEL: usize = 6_000;
const TABS: usize = 6;
const SESSIONS: usize = 100;
const STEPS: usize = 20;
const REPLAYS: usize = 4;
