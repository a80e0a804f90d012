//! S22 to S24 and class 27: idle and absolute limits, by the server's clock.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use tenure_core::{Clock, CookieConfig, Lifetimes, Timestamp};
use tenure_tests::{Answer, Browser, Cluster, Combination, CookieParts, for_every_combination};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Two nodes with persistent cookies, 15 minutes idle and 2 hours in all.
async fn cluster(combination: Combination) -> Cluster {
    combination
        .cluster()
        .nodes(2)
        .configure(|builder| {
            let cookie = CookieConfig::builder()
                .danger_insecure_for_localhost()
                .persistent();
            let lifetimes = Lifetimes::new(15 * MINUTE, 120 * MINUTE);
            builder
                .cookie(cookie.build().unwrap())
                .lifetimes(lifetimes.unwrap())
        })
        .start()
        .await
}

async fn visitor(node: SocketAddr) -> Browser {
    let mut browser = Browser::new();
    browser.get(node, "/login/ada").await.ok();
    browser.get(node, "/incr").await.ok();
    browser
}

/// Who the nodes take the browser for; every node must say the same.
async fn who(cluster: &Cluster, browser: &Browser) -> String {
    let first = browser.peek(cluster.node(0), "/whoami").await.ok();
    assert_eq!(browser.peek(cluster.node(1), "/whoami").await.ok(), first);
    first
}

async fn s22_the_server_ends_idle_sessions_whatever_the_cookie_says(combination: Combination) {
    let cluster = cluster(combination).await;
    let (clock, node) = (cluster.clock(), cluster.node(0));
    let mut browser = visitor(node).await;
    let oldest = browser.clone();
    // Activity extends it, reading as well as writing, on whichever node.
    for step in 0..4 {
        clock.advance(14 * MINUTE);
        let route = ["/whoami", "/incr"][step % 2];
        let answer = browser.get(cluster.node(step % 2), route).await;
        let set = answer.session_cookie().unwrap();
        assert_eq!(set.attributes["max-age"], (15 * 60).to_string());
        let _ = answer.ok();
    }
    // A cookie from the beginning knows nothing of that, and opens the session all the same.
    assert_eq!(oldest.peek(node, "/whoami").await.ok(), "ada");
    // The last millisecond counts. Looking renews, so another visitor's session is there for that.
    let early = visitor(node).await;
    browser.get(node, "/incr").await.ok();
    clock.advance(15 * MINUTE - MILLISECOND);
    assert_eq!(who(&cluster, &early).await, "ada");
    clock.advance(MILLISECOND);
    assert_eq!(who(&cluster, &early).await, "ada");
    for cookie in [&oldest, &browser] {
        assert_eq!(who(&cluster, cookie).await, "-");
        assert_eq!(cookie.peek(node, "/read").await.number(), 0);
    }
    // What writes begins anew, under another id.
    let ended = CookieParts::of(browser.cookie().unwrap()).id();
    assert_eq!(browser.get(node, "/incr").await.number(), 1);
    assert_ne!(CookieParts::of(browser.cookie().unwrap()).id(), ended);
    assert_eq!(browser.get(node, "/whoami").await.ok(), "-");
}

async fn s23_an_absolute_limit_holds_although_active_every_minute(combination: Combination) {
    let cluster = cluster(combination).await;
    let clock = cluster.clock();
    let mut browser = visitor(cluster.node(0)).await;
    let start = clock.now();
    for minute in 1..120 {
        clock.advance(MINUTE);
        let route = ["/read", "/incr", "/rotate", "/whoami", "/incr-now"][minute % 5];
        let answer = browser.get(cluster.node(minute % 2), route).await;
        if let Some(set) = answer.session_cookie() {
            let age: u64 = set.attributes["max-age"].parse().unwrap();
            let left = 120 * MINUTE - clock.now().since(start);
            assert_eq!(age, left.min(15 * MINUTE).as_secs(), "minute {minute}");
        }
        let _ = answer.ok();
    }
    clock.advance(MINUTE - MILLISECOND);
    assert_eq!(who(&cluster, &browser).await, "ada");
    clock.advance(MILLISECOND);
    assert_eq!(who(&cluster, &browser).await, "-");
    assert_eq!(browser.peek(cluster.node(0), "/read").await.number(), 0);
}

/// Uses the session every 5 minutes, in turn by everything but a login, until it ends.
async fn minutes_until_it_ends(cluster: &Cluster, browser: &mut Browser) -> u32 {
    let routes = [
        "/read",
        "/incr",
        "/rotate",
        "/set/a/b",
        "/incr-now",
        "/fill/9",
    ];
    for (step, route) in (1..=60).zip(routes.into_iter().cycle()) {
        cluster.clock().advance(5 * MINUTE);
        let node = cluster.node(0);
        if browser.peek(node, "/whoami").await.ok() == "-" {
            return step * 5;
        }
        browser.get(node, route).await.ok();
    }
    unreachable!("it has an absolute limit")
}

async fn s24_a_login_starts_both_clocks_again_and_nothing_else_does(combination: Combination) {
    let cluster = cluster(combination).await;
    let (clock, node) = (cluster.clock(), cluster.node(0));
    let mut browser = visitor(node).await;
    assert_eq!(minutes_until_it_ends(&cluster, &mut browser).await, 120);

    // Logged in again after 100 minutes, it lives for another 120.
    let mut browser = visitor(node).await;
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    for _ in 0..10 {
        clock.advance(10 * MINUTE);
        browser.get(node, "/read").await.ok();
    }
    browser.get(node, "/login/ada").await.ok();
    assert_eq!(CookieParts::of(browser.cookie().unwrap()).id(), id);
    assert_eq!(minutes_until_it_ends(&cluster, &mut browser).await, 120);

    // The idle clock too, at the last moment.
    let mut twins = [visitor(node).await, visitor(node).await];
    clock.advance(15 * MINUTE - MILLISECOND);
    for twin in &mut twins {
        twin.get(node, "/login/ada").await.ok();
    }
    clock.advance(15 * MINUTE - MILLISECOND);
    assert_eq!(who(&cluster, &twins[0]).await, "ada");
    clock.advance(MILLISECOND);
    assert_eq!(who(&cluster, &twins[1]).await, "-");
}

/// Class 27: clocks that jump make no session immortal and bring none back.
async fn c27_a_clock_that_jumps_neither_prolongs_nor_revives(combination: Combination) {
    let cluster = cluster(combination).await;
    let (clock, node) = (cluster.clock(), cluster.node(0));
    let start = clock.now();
    let mut browser = visitor(node).await;
    // Back by an hour: what is done there prolongs nothing.
    clock.set(Timestamp::from_millis(start.as_millis() - 3_600_000));
    for route in ["/read", "/incr", "/rotate"] {
        browser.get(node, route).await.ok();
    }
    clock.set(start.after(15 * MINUTE));
    assert_eq!(who(&cluster, &browser).await, "-");

    // Far ahead, used there, and back: whatever was read, nothing lives beyond its absolute limit.
    clock.set(start);
    let mut browser = visitor(node).await;
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    clock.advance(10 * MINUTE);
    browser.get(node, "/read").await.ok();
    clock.set(start);
    assert_eq!(browser.peek(node, "/whoami").await.ok(), "ada");
    let record = cluster.record(id).await.unwrap();
    assert_eq!(record.absolute_end(), start.after(120 * MINUTE));
    assert!(record.lease_end() <= start.after(25 * MINUTE));
    clock.set(start.after(Duration::MAX));
    assert_eq!(browser.peek(node, "/whoami").await.ok(), "-");
}

/// Whether a browser keeps the cookie of this answer when it closes, and for how long.
fn max_age(answer: &Answer) -> Option<Duration> {
    let set = answer.session_cookie().unwrap();
    let seconds = set.attributes.get("max-age")?.parse();
    Some(Duration::from_secs(seconds.unwrap()))
}

/// The date that it names beside that.
fn expires(answer: &Answer) -> Option<Timestamp> {
    let set = answer.session_cookie().unwrap();
    let date = httpdate::parse_http_date(set.attributes.get("expires")?).unwrap();
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Some(Timestamp::default().after(since_epoch))
}

async fn a_user_is_remembered_for_as_long_as_they_asked_for(combination: Combination) {
    let cluster = combination
        .cluster()
        .nodes(2)
        .configure(|builder| {
            let remembered = Lifetimes::new(14 * DAY, 30 * DAY);
            builder.remembered_lifetimes(remembered.unwrap())
        })
        .start()
        .await;
    let (clock, node) = (cluster.clock(), cluster.node(0));
    let mut browser = Browser::new();
    let anonymous = browser.get(node, "/incr").await;
    assert_eq!((max_age(&anonymous), expires(&anonymous)), (None, None));
    let login = browser.get(node, "/login-remembered/ada").await;
    assert_eq!(max_age(&login), Some(14 * DAY));
    let whole_seconds = |time: Timestamp| Timestamp::from_millis(time.as_millis() / 1000 * 1000);
    let in_days = |days: u32| Some(whole_seconds(clock.now().after(days * DAY)));
    assert_eq!(expires(&login), in_days(14));
    // Every cookie says so from now on, and the lease moves along on every node.
    assert_eq!(max_age(&browser.get(node, "/incr").await), Some(14 * DAY));
    assert_eq!(max_age(&browser.get(node, "/rotate").await), Some(14 * DAY));
    clock.advance(13 * DAY);
    let renewed = browser.get(cluster.node(1), "/whoami").await;
    assert_eq!(max_age(&renewed), Some(14 * DAY));
    assert_eq!(expires(&renewed), in_days(14));
    assert_eq!(renewed.ok(), "ada");
    clock.advance(10 * DAY);
    let near_the_end = browser.get(node, "/whoami").await;
    assert_eq!(max_age(&near_the_end), Some(7 * DAY));
    assert_eq!(expires(&near_the_end), in_days(7));
    clock.advance(7 * DAY - MILLISECOND);
    assert_eq!(who(&cluster, &browser).await, "ada");
    clock.advance(MILLISECOND);
    assert_eq!(who(&cluster, &browser).await, "-");

    // Others are not, and neither is somebody who logs in again without asking for it.
    let mut forgetful = Browser::new();
    let login = forgetful.get(node, "/login-remembered/ada").await;
    assert_eq!(max_age(&login), Some(14 * DAY));
    assert_eq!(max_age(&forgetful.get(node, "/login/ada").await), None);
    clock.advance(30 * MINUTE);
    assert_eq!(who(&cluster, &forgetful).await, "-");
}

for_every_combination!(
    a_user_is_remembered_for_as_long_as_they_asked_for,
    s22_the_server_ends_idle_sessions_whatever_the_cookie_says,
    s23_an_absolute_limit_holds_although_active_every_minute,
    s24_a_login_starts_both_clocks_again_and_nothing_else_does,
    c27_a_clock_that_jumps_neither_prolongs_nor_revives,
);
