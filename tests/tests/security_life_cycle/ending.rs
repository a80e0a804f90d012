//! S19 to S21: what ends or takes rights away, against everything that is under way.

use std::time::Duration;

use tenure_testing::{Moment, Verb};
use tenure_tests::{
    Adapter, Backend, Browser, Cluster, Combination, CookieParts, for_every_combination,
};
use tokio::task::JoinSet;

/// Asserts that none of these cookies stands for anybody, on any node, and that nothing is stored of
/// their session.
async fn assert_logged_out(cluster: &Cluster, nodes: usize, cookies: &[String]) {
    cluster.catch_up().await;
    for cookie in cookies {
        let mut browser = Browser::new();
        browser.set_cookie(Some(cookie));
        for node in 0..nodes {
            let node = cluster.node(node);
            assert_eq!(browser.peek(node, "/whoami").await.ok(), "-");
            assert_eq!(browser.peek(node, "/get/secret").await.ok(), "-");
        }
    }
}

async fn s19_after_a_logout_the_old_cookie_is_refused_on_every_node(combination: Combination) {
    let cluster = combination.cluster().nodes(3).start().await;
    for round in 0..20 {
        let mut browser = Browser::new();
        browser.get(cluster.node(0), "/login/ada").await.ok();
        browser.get(cluster.node(0), "/set/secret/s").await.ok();
        // Where there are near caches, every node has it in memory.
        for node in 0..3 {
            let node = cluster.node(node);
            assert_eq!(browser.peek(node, "/whoami").await.ok(), "ada");
        }
        let old = browser.cookie().unwrap().to_owned();
        browser.get(cluster.node(round % 3), "/logout").await.ok();
        assert_logged_out(&cluster, 3, &[old]).await;
    }
}

/// The same on a near cache that may not be stale at all: at once, not one round trip later.
async fn s19_in_strict_mode_nothing_needs_to_arrive_first(adapter: Adapter) {
    let strict = Combination::new(adapter, Backend::NearCache);
    let cluster = strict
        .cluster()
        .nodes(2)
        .max_staleness(Duration::ZERO)
        .start()
        .await;
    for round in 0..100 {
        let (here, there) = (cluster.node(round % 2), cluster.node((round + 1) % 2));
        let mut browser = Browser::new();
        browser.get(here, "/login/ada").await.ok();
        assert_eq!(browser.peek(there, "/whoami").await.ok(), "ada");
        let old = browser.clone();
        browser.get(here, "/logout").await.ok();
        assert_eq!(old.peek(there, "/whoami").await.ok(), "-");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s19_in_strict_mode_on_every_adapter() {
    for adapter in [Adapter::Tower, Adapter::Axum, Adapter::Actix] {
        s19_in_strict_mode_nothing_needs_to_arrive_first(adapter).await;
    }
}

/// Everything that writes in any way, a lease's renewal included.
const WRITES: [&str; 6] = [
    "/incr",
    "/incr-now",
    "/rotate",
    "/set/key/value",
    "/fill/100",
    "/read",
];

/// The race as it happens, 10 times: slow requests on both nodes, and a logout in their midst.
async fn s20_a_slow_write_never_outlives_a_logout(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    for round in 0..10 {
        let mut browser = Browser::new();
        browser.get(cluster.node(0), "/login/ada").await.ok();
        browser.get(cluster.node(0), "/set/secret/s").await.ok();
        let id = CookieParts::of(browser.cookie().unwrap()).id();
        // Every response now renews the lease.
        cluster.clock().advance(Duration::from_secs(5 * 60));
        let mut slow = JoinSet::new();
        for (number, route) in WRITES.into_iter().cycle().take(18).enumerate() {
            let (mut clone, node) = (browser.clone(), cluster.node(number % 2));
            slow.spawn(async move {
                let path = format!("{route}?ms={}", 5 + 5 * (number % 7));
                clone.get(node, &path).await;
                clone.cookie().map(str::to_owned)
            });
        }
        let mut leaver = browser.clone();
        let logout = leaver.get(cluster.node(round % 2), "/logout?ms=15").await;
        let mut cookies: Vec<_> = browser.cookie().map(str::to_owned).into_iter().collect();
        cookies.extend(slow.join_all().await.into_iter().flatten());
        if logout.status == 409 {
            // A rotation was faster than the logout's own load: this round's logout comes now, with
            // the newest cookie, and everything else is over.
            let newest = cookies.iter().max_by_key(|cookie| {
                let cookie = CookieParts::of(cookie);
                (cookie.id() == id, cookie.counter())
            });
            leaver.set_cookie(newest.map(String::as_str));
            leaver.get(cluster.node(0), "/logout").await.ok();
        } else {
            assert_eq!(logout.status, 200);
        }
        assert_logged_out(&cluster, 2, &cookies).await;
        assert_eq!(cluster.record(id).await, None);
    }
}

/// The same, arranged: all have loaded the session, and none has reached the store with what it
/// wants there, when the logout is confirmed.
async fn s20_writes_that_reach_the_store_after_a_logout_write_nothing(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    cluster.clock().advance(Duration::from_secs(5 * 60));

    let gates = cluster.gates(0);
    let loads = gates.hold(Verb::Load, Moment::AfterCall);
    let mut slow = JoinSet::new();
    for route in WRITES {
        let (mut clone, node) = (browser.clone(), cluster.node(0));
        slow.spawn(async move { (route, clone.get(node, route).await) });
    }
    loads.arrivals(WRITES.len()).await;
    let commits = gates.hold(Verb::Commit, Moment::BeforeCall);
    let renewals = gates.hold(Verb::Renew, Moment::BeforeCall);
    loads.open();
    commits.arrivals(1).await;
    renewals.arrivals(1).await;
    let mut leaver = browser.clone();
    leaver.get(cluster.node(1), "/logout").await.ok();
    assert_eq!(cluster.stored(), 0);
    commits.open();
    renewals.open();

    for (route, answer) in slow.join_all().await {
        assert_eq!(answer.session_cookie(), None, "{route}");
        let expected = if route == "/read" { 200 } else { 409 };
        assert_eq!(answer.status, expected, "{route}");
    }
    assert_eq!(cluster.stored(), 0);
    assert_eq!(cluster.record(id).await, None);
    assert_logged_out(&cluster, 2, &[browser.cookie().unwrap().to_owned()]).await;
}

/// A privilege that is kept in the session, taken away while others write what they read before.
async fn s21_a_privilege_that_was_dropped_stays_dropped(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let (here, there) = (cluster.node(0), cluster.node(1));
    for _ in 0..5 {
        let mut browser = Browser::new();
        browser.get(here, "/set/role/admin").await.ok();
        let gates = cluster.gates(0);
        let loads = gates.hold(Verb::Load, Moment::AfterCall);
        let mut writes = JoinSet::new();
        let routes = [
            "/incr",
            "/incr",
            "/set/other/value",
            "/incr-now",
            "/fill/10",
        ];
        for route in routes {
            let mut clone = browser.clone();
            writes.spawn(async move { clone.get(here, route).await.status });
        }
        loads.arrivals(routes.len()).await;
        let commits = gates.hold(Verb::Commit, Moment::BeforeCall);
        loads.open();
        commits.arrivals(1).await;
        // The others have read that the role is admin, and are about to write.
        let mut dropping = browser.clone();
        dropping.get(there, "/set/role/user").await.ok();
        cluster.catch_up().await;
        // It is seen everywhere from the very next request.
        for cookie in [&browser, &dropping] {
            assert_eq!(cookie.peek(there, "/get/role").await.ok(), "user");
            assert_eq!(cookie.peek(here, "/get/role").await.ok(), "user");
        }
        commits.open();
        assert_eq!(writes.join_all().await, [200; 5]);
        for node in [here, there] {
            assert_eq!(dropping.peek(node, "/get/role").await.ok(), "user");
            assert_eq!(dropping.peek(node, "/read").await.number(), 3);
            assert_eq!(dropping.peek(node, "/get/other").await.ok(), "value");
        }
    }
}

/// A privilege that comes with a secret: who writes with the old one comes too late.
async fn s21_a_drop_that_rotates_refuses_writes_from_before(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let (here, there) = (cluster.node(0), cluster.node(1));
    let mut browser = Browser::new();
    browser.get(here, "/login/root").await.ok();
    let commits = cluster.gates(0).hold(Verb::Commit, Moment::BeforeCall);
    let mut late = browser.clone();
    let writing = tokio::spawn(async move { (late.get(here, "/incr").await, late) });
    commits.arrivals(1).await;
    browser.get(there, "/login/guest").await.ok();
    commits.open();
    let (answer, late) = writing.await.unwrap();
    cluster.catch_up().await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.session_cookie(), None);
    for node in [here, there] {
        assert_eq!(late.peek(node, "/whoami").await.ok(), "-");
        assert_eq!(browser.peek(node, "/whoami").await.ok(), "guest");
        assert_eq!(browser.peek(node, "/read").await.number(), 0);
    }
}

/// Class 26: every cookie that a session ever had is worthless after its logout, on every node.
async fn c26_no_earlier_cookie_works_after_a_logout(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    let mut cookies = Vec::new();
    for (step, route) in [
        "/incr",
        "/login/ada",
        "/incr",
        "/rotate",
        "/set/secret/s",
        "/incr",
    ]
    .into_iter()
    .cycle()
    .take(18)
    .enumerate()
    {
        browser.get(cluster.node(step % 2), route).await.ok();
        cookies.extend(browser.cookie().map(str::to_owned));
    }
    assert_eq!(cookies.len(), 18);
    browser.get(cluster.node(1), "/logout").await.ok();
    assert_eq!(cluster.stored(), 0);
    assert_logged_out(&cluster, 2, &cookies).await;
    cluster.clock().advance(Duration::from_secs(3600));
    assert_logged_out(&cluster, 2, &cookies).await;
}

/// Class 25: a handler that fails after it has logged somebody out does not bring them back.
async fn c25_a_logout_stands_even_if_its_handler_fails(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    let cookie = browser.cookie().unwrap().to_owned();
    let answer = browser.get(cluster.node(0), "/logout-boom").await;
    assert_eq!(answer.status, 500);
    assert!(answer.session_cookie().unwrap().is_removal());
    assert_eq!(cluster.stored(), 0);
    assert_logged_out(&cluster, 2, &[cookie]).await;
}

for_every_combination!(
    s19_after_a_logout_the_old_cookie_is_refused_on_every_node,
    s20_a_slow_write_never_outlives_a_logout,
    s20_writes_that_reach_the_store_after_a_logout_write_nothing,
    s21_a_privilege_that_was_dropped_stays_dropped,
    s21_a_drop_that_rotates_refuses_writes_from_before,
    c25_a_logout_stands_even_if_its_handler_fails,
    c26_no_earlier_cookie_works_after_a_logout,
);
