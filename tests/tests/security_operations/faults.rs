//! S37: a store that is down, slow or full answers nobody as if they were a stranger.

use std::time::Duration;

use tenure_core::StoreErrorKind;
use tenure_testing::{Moment, Verb};
use tenure_tests::{
    Answer, Backend, Browser, Captured, Cluster, Combination, capture, for_every_combination,
};
use tokio::time::Instant;

/// Everything that needs the store when there is a cookie.
const ROUTES: [&str; 8] = [
    "/read",
    "/whoami",
    "/incr",
    "/incr-now",
    "/login/eve",
    "/rotate",
    "/set/a/b",
    "/logout",
];

/// How long the store may take, in the tests that wait for that.
const DEADLINE: Duration = Duration::from_millis(200);

/// A load, a commit and a second look have a deadline each; the rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(3);

/// What a test does to a store, and how it undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Down,
    Slow,
    Full,
}

async fn start(combination: Combination) -> (Cluster, Browser) {
    let cluster = combination.cluster().deadline(DEADLINE).start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    browser.get(cluster.node(0), "/incr").await.ok();
    (cluster, browser)
}

fn assert_refused(answer: &Answer, route: &str) {
    assert_eq!((answer.status, &*answer.body), (503, ""), "{route}");
    assert_eq!(answer.session_cookie(), None, "{route}");
}

/// Sends every route, one at a time, with the cookie and without, while `fault` lasts.
async fn assert_all_refused(cluster: &Cluster, browser: &Browser, fault: Fault, log: &Captured) {
    let node = cluster.node(0);
    for route in ROUTES {
        let failures = log.events("store_failed").len();
        let start = Instant::now();
        let answer = browser.peek(node, route).await;
        assert!(start.elapsed() < LIMIT, "{route}: {:?}", start.elapsed());
        let needs_no_room = ["/read", "/whoami", "/logout"].contains(&route);
        if fault == Fault::Full && needs_no_room {
            continue;
        }
        assert_refused(&answer, route);
        assert!(log.events("store_failed").len() > failures, "{route}");
    }
    // Whoever has no session yet gets none that is not stored.
    for route in ["/incr", "/login/eve"] {
        let start = Instant::now();
        assert_refused(&Browser::new().peek(node, route).await, route);
        assert!(start.elapsed() < LIMIT, "{route}: {:?}", start.elapsed());
    }
    // What needs no store goes on.
    assert_eq!(Browser::new().peek(node, "/read").await.number(), 0);
    assert_eq!(browser.peek(node, "/plain").await.ok(), "plain");
}

async fn s37_a_store_that_is_down_is_503_and_then_works_again(combination: Combination) {
    let log = capture();
    let (cluster, mut browser) = start(combination).await;
    let node = cluster.node(0);
    if let Some(redis) = cluster.redis() {
        redis.kill();
        assert_all_refused(&cluster, &browser, Fault::Down, &log).await;
        redis.restart();
        // The server has lost everything; the application needs no restart for a new session.
        browser.set_cookie(None);
        browser.get(node, "/login/ada").await.ok();
        browser.get(node, "/incr").await.ok();
    } else {
        let down = StoreErrorKind::Unavailable;
        for verb in VERBS {
            cluster
                .faults(0)
                .fail_next(usize::MAX, verb, Moment::BeforeCall, down);
        }
        assert_all_refused(&cluster, &browser, Fault::Down, &log).await;
        cluster.faults(0).heal();
    }
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
}

async fn s37_a_store_that_does_not_answer_is_503_in_bounded_time(combination: Combination) {
    let log = capture();
    let (cluster, mut browser) = start(combination).await;
    let node = cluster.node(0);
    if let (Backend::Redis, Some(redis)) = (combination.backend, cluster.redis()) {
        redis.stop();
        assert_all_refused(&cluster, &browser, Fault::Slow, &log).await;
        redis.cont();
    } else {
        // A near cache would answer reads for some time, so here the calls stop in front of it.
        let gates = VERBS.map(|verb| cluster.gates(0).hold(verb, Moment::BeforeCall));
        assert_all_refused(&cluster, &browser, Fault::Slow, &log).await;
        drop(gates);
    }
    // Every request stopped at its load, so none of the writes has happened, then or later.
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
    assert_eq!(browser.get(node, "/get/a").await.ok(), "-");
}

/// The store stops between the load and the commit.
async fn s37_a_commit_without_an_answer_is_503_and_sends_no_cookie(combination: Combination) {
    let (cluster, mut browser) = start(combination).await;
    let node = cluster.node(0);
    for route in ["/incr", "/login/eve", "/rotate", "/logout"] {
        let gates = [Verb::Commit, Verb::Delete]
            .map(|verb| cluster.gates(0).hold(verb, Moment::BeforeCall));
        let start = Instant::now();
        assert_refused(&browser.get(node, route).await, route);
        assert!(start.elapsed() < LIMIT, "{route}: {:?}", start.elapsed());
        drop(gates);
        assert_eq!(browser.get(node, "/whoami").await.ok(), "ada", "{route}");
    }
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
}

async fn s37_a_full_store_refuses_writes_and_serves_reads_and_logouts(combination: Combination) {
    let log = capture();
    let (cluster, mut browser) = start(combination).await;
    let node = cluster.node(0);
    let mut leaver = Browser::new();
    leaver.get(node, "/login/bob").await.ok();
    if let Some(redis) = cluster.redis() {
        redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    } else {
        for verb in [Verb::Create, Verb::Commit] {
            let full = StoreErrorKind::Full;
            cluster
                .faults(0)
                .fail_next(usize::MAX, verb, Moment::BeforeCall, full);
        }
    }
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
    assert_eq!(browser.get(node, "/read").await.number(), 1);
    assert_all_refused(&cluster, &leaver, Fault::Full, &log).await;
    assert_eq!(cluster.stored(), 1, "the leaver's logout was carried out");
    // A lease is renewed, so a full store logs nobody out.
    cluster.clock().advance(Duration::from_secs(20 * 60));
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
    cluster.clock().advance(Duration::from_secs(20 * 60));
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
    if let Some(redis) = cluster.redis() {
        redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    } else {
        cluster.faults(0).heal();
    }
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
    assert_eq!(leaver.get(node, "/whoami").await.ok(), "-");
}

/// A fault of whatever kind, at whatever moment, never lets a request through as a stranger's.
async fn s37_no_kind_of_fault_makes_a_visitor_a_stranger(combination: Combination) {
    let (cluster, mut browser) = start(combination).await;
    let node = cluster.node(0);
    let faults = cluster.faults(0);
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::TimedOut,
        StoreErrorKind::Interrupted,
        StoreErrorKind::NotReplicated,
        StoreErrorKind::TooLarge,
        StoreErrorKind::Full,
        StoreErrorKind::Refused,
    ] {
        for moment in [Moment::BeforeCall, Moment::AfterCall] {
            for route in ROUTES {
                faults.fail_next(usize::MAX, Verb::Load, moment, kind);
                assert_refused(&browser.get(node, route).await, route);
                faults.heal();
            }
        }
        faults.fail_next(usize::MAX, Verb::Delete, Moment::BeforeCall, kind);
        assert_refused(&browser.get(node, "/logout").await, "/logout");
        faults.heal();
        for route in ["/incr", "/login/eve", "/rotate"] {
            faults.fail_next(usize::MAX, Verb::Commit, Moment::BeforeCall, kind);
            assert_refused(&browser.get(node, route).await, route);
            faults.heal();
        }
        assert_eq!(browser.get(node, "/whoami").await.ok(), "ada", "{kind:?}");
    }
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
    assert_eq!(cluster.stored(), 1);
}

for_every_combination!(
    s37_a_store_that_is_down_is_503_and_then_works_again,
    s37_a_store_that_does_not_answer_is_503_in_bounded_time,
    s37_a_commit_without_an_answer_is_503_and_sends_no_cookie,
    s37_a_full_store_refuses_writes_and_serves_reads_and_logouts,
    s37_no_kind_of_fault_makes_a_visitor_a_stranger,
);

const VERBS: [Verb; 5] = [
    Verb::Load,
    Verb::Create,
    Verb::Commit,
    Verb::Renew,
    Verb::Delete,
];
