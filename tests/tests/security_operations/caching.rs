//! S30: no personal response in a shared cache.

use std::time::Duration;

use tenure_core::StoreErrorKind;
use tenure_testing::{Moment, Verb};
use tenure_tests::{Answer, Browser, Combination, for_every_combination};

/// Asserts that no shared cache may keep this answer for anybody else.
fn assert_personal(answer: &Answer, what: &str) {
    let directives: Vec<_> = answer
        .texts("cache-control")
        .flat_map(|field| field.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    let has = |name: &str| directives.iter().any(|directive| directive == name);
    assert!(has("no-store") || has("private"), "{what}: {answer:?}");
    let is_shared = |directive: &String| directive == "public" || directive.starts_with("s-maxage");
    assert!(!directives.iter().any(is_shared), "{what}: {answer:?}");
    for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
        assert_eq!(answer.texts(name).count(), 0, "{what}: {answer:?}");
    }
    let mut varies = answer.texts("vary").flat_map(|field| field.split(','));
    assert!(
        varies.any(|name| name.trim().eq_ignore_ascii_case("cookie")),
        "{what}: {answer:?}"
    );
}

async fn s30_no_response_that_saw_the_session_may_be_shared(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    let stranger = Browser::new();
    for route in [
        "/public",
        "/read",
        "/incr",
        "/public",
        "/cookies",
        "/whoami",
        "/login/ada",
        "/public",
        "/rotate",
        "/boom",
        "/version",
        "/logout",
        "/public",
    ] {
        assert_personal(&stranger.peek(node, route).await, route);
        let before = browser.clone();
        assert_personal(&browser.get(node, route).await, route);
        // The same with an older cookie: re-issued, superseded or refused.
        assert_personal(&before.peek(node, route).await, route);
    }
    // An application's own directives stay, as far as they do no harm.
    let answer = stranger.peek(node, "/public").await;
    assert!(
        answer
            .texts("cache-control")
            .any(|field| field.contains("max-age=60"))
    );
}

async fn s30_renewals_removals_and_refusals_may_not_be_shared_either(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    browser.get(node, "/login/ada").await.ok();
    let old = browser.clone();
    browser.get(node, "/incr").await.ok();

    let reissued = old.peek(node, "/public").await;
    assert!(reissued.session_cookie().is_some());
    assert_personal(&reissued, "re-issued");

    browser.get(node, "/rotate").await.ok();
    let conflict = old.peek(node, "/incr").await;
    assert_eq!(conflict.status, 409);
    assert_personal(&conflict, "superseded");

    let faults = cluster.faults(0);
    let down = StoreErrorKind::Unavailable;
    faults.fail_next(1, Verb::Load, Moment::BeforeCall, down);
    let failed = browser.peek(node, "/public").await;
    assert_eq!(failed.status, 503);
    assert_personal(&failed, "store down");

    cluster.clock().advance(Duration::from_secs(20 * 60));
    let renewed = browser.peek(node, "/public").await;
    assert_personal(&renewed, "renewed");

    let removed = browser.peek(node, "/logout").await;
    assert!(removed.session_cookie().unwrap().is_removal());
    assert_personal(&removed, "removed");

    for cookie in ["", "forged", &"x".repeat(88)] {
        browser.set_cookie(Some(cookie));
        assert_personal(&browser.peek(node, "/public").await, cookie);
    }
}

async fn s30_an_untouched_response_keeps_its_headers(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    browser.get(node, "/login/ada").await.ok();
    // Time to renew the lease and to re-issue the cookie, if anybody asked for the session.
    cluster.clock().advance(Duration::from_secs(20 * 60));
    for visitor in [&browser, &Browser::new()] {
        let asset = visitor.peek(node, "/asset").await;
        let kept: Vec<_> = asset.texts("cache-control").collect();
        assert_eq!(kept, ["public, max-age=60"]);
        for name in ["cdn-cache-control", "surrogate-control", "x-accel-expires"] {
            assert_eq!(asset.texts(name).count(), 1, "{name}");
        }
        for answer in [asset, visitor.peek(node, "/plain").await] {
            assert_eq!(answer.texts("vary").count(), 0, "{answer:?}");
            assert_eq!(answer.texts("set-cookie").count(), 0, "{answer:?}");
        }
    }
}

for_every_combination!(
    s30_no_response_that_saw_the_session_may_be_shared,
    s30_renewals_removals_and_refusals_may_not_be_shared_either,
    s30_an_untouched_response_keeps_its_headers,
);
