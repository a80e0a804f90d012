//! S36: one structured event for everything that happens to a session.

use std::time::Duration;

use tenure_testing::{Moment, Verb};
use tenure_tests::{
    Browser, Captured, Cluster, Combination, CookieParts, capture, for_every_combination,
};

/// What has been logged since it was last asked.
struct News {
    log: Captured,
    read: usize,
}

impl News {
    fn new() -> Self {
        let log = capture();
        let read = log.text().len();
        Self { log, read }
    }

    /// The events since, as `name` or `name(reason)`, in order.
    fn events(&mut self) -> Vec<String> {
        self.lines().iter().map(|line| event(line)).collect()
    }

    fn lines(&mut self) -> Vec<String> {
        let text = self.log.text();
        let lines = text[self.read..].lines();
        let lines = lines
            .filter(|line| line.contains(" tenure: "))
            .map(str::to_owned)
            .collect();
        self.read = text.len();
        lines
    }
}

fn event(line: &str) -> String {
    let name = field(line, "event").expect("an event has a name");
    let name = name.trim_matches('"');
    field(line, "reason").map_or_else(
        || name.to_owned(),
        |reason| format!("{name}({})", reason.trim_matches('"')),
    )
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = line.split(' ');
    fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
}

/// Two nodes, and a browser that has logged in on the first.
async fn logged_in(combination: Combination) -> (Cluster, Browser) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    (cluster, browser)
}

async fn s36_each_step_of_a_session_s_life_is_one_event(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let mut news = News::new();
    let mut browser = Browser::new();
    let mut sessions = Vec::new();
    for (route, expected) in [
        ("/plain", &[][..]),
        ("/read", &[]),
        ("/incr", &["session_created"]),
        ("/incr", &[]),
        ("/incr-now", &[]),
        ("/read", &[]),
        ("/boom", &[]),
        ("/login/ada", &["session_rotated", "principal_bound"]),
        ("/rotate", &["session_rotated"]),
        ("/login/root", &["session_rotated", "principal_bound"]),
        ("/logout", &["session_destroyed(logout)"]),
        ("/logout", &[]),
        ("/login/ada", &["session_created", "principal_bound"]),
    ] {
        browser.get(cluster.node(sessions.len() % 2), route).await;
        let lines = news.lines();
        let events: Vec<_> = lines.iter().map(|line| event(line)).collect();
        assert_eq!(events, expected, "{route}");
        for line in &lines {
            let session = field(line, "session").expect("the session concerned");
            assert_eq!(session.len(), 16, "{line}");
            assert!(
                session.bytes().all(|digit| digit.is_ascii_hexdigit()),
                "{line}"
            );
            sessions.push(session.to_owned());
        }
    }
    // The same on all nodes for one session, another for another one.
    assert_eq!(sessions.len(), 9);
    assert!(sessions[..7].iter().all(|session| *session == sessions[0]));
    assert_eq!(sessions[7], sessions[8]);
    assert_ne!(sessions[0], sessions[8]);
}

async fn s36_ends_and_refusals_are_one_event_each(combination: Combination) {
    let (cluster, browser) = logged_in(combination).await;
    let (clock, node) = (cluster.clock(), cluster.node(1));
    let mut news = News::new();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);

    let mut forged = CookieParts::of(browser.cookie().unwrap());
    forged.bytes()[60] ^= 1;
    let mut forger = Browser::new();
    for (value, reason) in [
        (forged.value(), "bad_mac"),
        ("short".to_owned(), "malformed"),
        ("=".repeat(88), "malformed"),
    ] {
        forger.set_cookie(Some(&value));
        forger.peek(node, "/incr").await.ok();
        let expected = [
            format!("cookie_refused({reason})"),
            "session_created".into(),
        ];
        assert_eq!(news.events(), expected);
    }

    let old = browser.clone();
    let mut rotated = browser.clone();
    rotated.get(node, "/rotate").await.ok();
    assert_eq!(news.events(), ["session_rotated"]);
    assert_eq!(old.peek(node, "/whoami").await.ok(), "-");
    assert_eq!(news.events(), ["secret_superseded"]);
    assert_eq!(old.peek(node, "/incr").await.status, 409);
    assert_eq!(news.events(), ["secret_superseded"]);

    let mut leaver = Browser::new();
    leaver.get(node, "/incr").await.ok();
    let left = leaver.clone();
    leaver.get(node, "/logout").await.ok();
    assert_eq!(
        news.events(),
        ["session_created", "session_destroyed(logout)"]
    );
    for route in ["/whoami", "/logout"] {
        left.peek(node, route).await.ok();
        assert_eq!(news.events(), ["unknown_session"], "{route}");
    }

    clock.advance(minutes(30));
    assert_eq!(rotated.peek(node, "/whoami").await.ok(), "-");
    assert_eq!(news.events(), ["session_expired(idle)"]);

    let mut browser = Browser::new();
    browser.get(node, "/login/ada").await.ok();
    for _ in 0..71 {
        clock.advance(minutes(20));
        browser.get(node, "/read").await.ok();
    }
    assert_eq!(news.events(), ["session_created", "principal_bound"]);
    clock.advance(minutes(20));
    assert_eq!(browser.peek(node, "/whoami").await.ok(), "-");
    assert_eq!(news.events(), ["session_expired(absolute)"]);
}

/// The store goes back to an older state, as after a failover to a replica that was behind.
async fn s36_a_rollback_of_the_store_is_one_event_and_ends_the_session(combination: Combination) {
    let (cluster, mut browser) = logged_in(combination).await;
    let node = cluster.node(1);
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    browser.get(node, "/set/role/admin").await.ok();
    let older = cluster.record(id).await.unwrap();
    browser.get(node, "/set/role/user").await.ok();
    cluster.put_back(older).await;
    let mut news = News::new();
    assert_eq!(browser.peek(node, "/get/role").await.ok(), "-");
    assert_eq!(
        news.events(),
        ["store_rollback", "session_destroyed(store_rollback)"]
    );
    assert_eq!(cluster.stored(), 0);
    cluster.catch_up().await;
    assert_eq!(
        browser.peek(cluster.node(0), "/whoami").await.ok(),
        "-",
        "and stays away"
    );
    assert_eq!(news.events(), ["unknown_session"]);
}

/// Two histories from one state, as when both sides of a partition went on.
async fn s36_a_fork_of_the_store_is_one_event_and_ends_the_session(combination: Combination) {
    for commits_after_the_fork in [1, 4] {
        let (cluster, mut browser) = logged_in(combination).await;
        let node = cluster.node(1);
        let id = CookieParts::of(browser.cookie().unwrap()).id();
        let common = cluster.record(id).await.unwrap();
        let mut other = browser.clone();
        browser.get(node, "/set/role/user").await.ok();
        cluster.put_back(common).await;
        for _ in 0..commits_after_the_fork {
            other.get(cluster.node(0), "/incr").await.ok();
        }
        cluster.catch_up().await;
        let mut news = News::new();
        assert_eq!(browser.peek(node, "/whoami").await.ok(), "-");
        assert_eq!(
            news.events(),
            ["version_fork", "session_destroyed(version_fork)"]
        );
        assert_eq!(cluster.stored(), 0);
        assert_eq!(other.peek(node, "/whoami").await.ok(), "-");
        assert_eq!(news.events(), ["unknown_session"]);
    }
}

/// The history is replaced between a request's load and its commit: nothing of it is written.
async fn s36_a_fork_found_at_the_commit_is_one_event_and_a_refusal(combination: Combination) {
    let (cluster, mut browser) = logged_in(combination).await;
    let node = cluster.node(0);
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    let common = cluster.record(id).await.unwrap();
    let mut other = browser.clone();
    browser.get(node, "/set/role/user").await.ok();
    let commits = cluster.gates(0).hold(Verb::Commit, Moment::BeforeCall);
    let late = browser.clone();
    let writing = tokio::spawn(async move { late.peek(node, "/incr").await });
    commits.arrivals(1).await;
    cluster.put_back(common).await;
    other.get(cluster.node(1), "/set/side/other").await.ok();
    cluster.catch_up().await;
    let mut news = News::new();
    commits.open();
    let answer = writing.await.unwrap();
    assert_eq!((answer.status, &*answer.body), (409, ""));
    assert_eq!(answer.session_cookie(), None);
    let events = news.events();
    let forks = events.iter().filter(|event| *event == "version_fork");
    assert_eq!(forks.count(), 1, "{events:?}");
    assert!(
        events
            .iter()
            .all(|event| event == "version_fork" || event == "commit_conflict"),
        "{events:?}"
    );
    assert_eq!(other.get(node, "/read").await.number(), 0);
    assert_eq!(other.get(node, "/get/side").await.ok(), "other");
}

for_every_combination!(
    s36_each_step_of_a_session_s_life_is_one_event,
    s36_ends_and_refusals_are_one_event_each,
    s36_a_rollback_of_the_store_is_one_event_and_ends_the_session,
    s36_a_fork_of_the_store_is_one_event_and_ends_the_session,
    s36_a_fork_found_at_the_commit_is_one_event_and_a_refusal,
);
