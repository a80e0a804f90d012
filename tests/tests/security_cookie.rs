//! The session cookie as a browser, a proxy and an attacker see it: rows S1 to S13 of the security
//! checklist and class 2 of the known vulnerabilities.
//!
//! S5, S8 and S9 are about configurations that cannot be built; the unit tests in `tenure-core` have
//! them row by row. What of them shows on the wire stands here.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

#[path = "security_cookie/bulk.rs"]
mod bulk;
#[path = "security_cookie/look_alikes.rs"]
mod look_alikes;

use std::time::Duration;

use tenure_core::{CookieConfig, Lifetimes, SameSite};
use tenure_tests::{
    Browser, Cluster, Combination, CookieParts, Secrets, SetCookie, for_every_combination,
};

/// Every route that does something with the session, logout last.
const ROUTES: [&str; 16] = [
    "/plain",
    "/read",
    "/incr",
    "/incr-now",
    "/incr-naive",
    "/set/name/value",
    "/get/name",
    "/keys",
    "/login/ada",
    "/rotate",
    "/whoami",
    "/boom",
    "/version",
    "/fill/100",
    "/public",
    "/logout",
];

/// A node with the cookie that every application has by default.
async fn default_cookie(combination: Combination) -> Cluster {
    combination
        .cluster()
        .configure(|builder| builder.cookie(CookieConfig::default()))
        .start()
        .await
}

fn browser() -> Browser {
    Browser::with_cookie_name(NAME)
}

/// Lets a new visitor take all routes and returns the cookies that were set.
async fn walk(cluster: &Cluster, fields: &[(&str, &[u8])]) -> Vec<SetCookie> {
    let mut browser = browser();
    let mut cookies = Vec::new();
    for route in ROUTES {
        let cookie = browser.cookie().map(|value| format!("{NAME}={value}"));
        let mut fields = fields.to_vec();
        fields.extend(cookie.as_ref().map(|text| ("cookie", text.as_bytes())));
        let answer = browser.send(cluster.node(0), route, &fields).await;
        browser.keep(&answer);
        cookies.extend(answer.set_cookie(NAME));
    }
    assert!(
        cookies.len() > 6,
        "created, changed, logged in, rotated and removed: {cookies:?}"
    );
    assert!(cookies.last().is_some_and(SetCookie::is_removal));
    cookies
}

async fn s1_every_cookie_is_secure_whatever_a_proxy_says(combination: Combination) {
    let cluster = default_cookie(combination).await;
    for field in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-ssl", "off"),
        ("x-url-scheme", "http"),
        ("front-end-https", "off"),
        ("forwarded", "proto=http;host=localhost"),
        ("host", "localhost"),
    ] {
        for cookie in walk(&cluster, &[(field.0, field.1.as_bytes())]).await {
            assert!(
                cookie.attributes.contains_key("secure"),
                "{field:?}: {cookie:?}"
            );
        }
    }
}

async fn s2_the_cookie_is_http_only_and_its_parts_appear_nowhere_else(combination: Combination) {
    let cluster = default_cookie(combination).await;
    let mut browser = browser();
    let mut answers = Vec::new();
    let mut secrets = Secrets::new();
    for route in ROUTES.into_iter().chain(["/nowhere", "/set/name/value"]) {
        let stale = browser.clone();
        let answer = browser.get(cluster.node(0), route).await;
        // The same again with the cookie from before: conflicts, superseded secrets, refusals.
        answers.push(stale.peek(cluster.node(0), route).await);
        if let Some(cookie) = answer.set_cookie(NAME) {
            assert!(cookie.attributes.contains_key("httponly"), "{cookie:?}");
            if !cookie.is_removal() {
                secrets.add_credential(&cookie.value);
                secrets.add_id(&cookie.value);
            }
        }
        answers.push(answer);
    }
    for answer in answers {
        let mut headers = answer.headers.clone();
        headers.remove("set-cookie");
        assert_eq!(secrets.find_in(&answer.body), None);
        assert_eq!(secrets.find_in(format!("{headers:?}")), None);
    }
}

async fn s3_same_site_is_explicit(combination: Combination) {
    let cluster = default_cookie(combination).await;
    for cookie in walk(&cluster, &[]).await {
        let same_site = cookie.attributes.get("samesite").map(String::as_str);
        assert!(matches!(same_site, Some("Lax" | "Strict")), "{cookie:?}");
    }
}

async fn s4_the_default_cookie_belongs_to_one_host(combination: Combination) {
    let cluster = default_cookie(combination).await;
    let mut fresh = browser();
    let answer = fresh.get(cluster.node(0), "/incr").await;
    let names: Vec<_> = answer
        .texts("set-cookie")
        .map(|text| text.split('=').next().unwrap())
        .collect();
    assert_eq!(names, ["__Host-session"]);
    for cookie in walk(&cluster, &[]).await {
        assert_eq!(
            cookie.attributes.get("path").map(String::as_str),
            Some("/"),
            "{cookie:?}"
        );
        assert!(!cookie.attributes.contains_key("domain"), "{cookie:?}");
    }
}

async fn s6_a_logout_removes_the_cookie_with_all_its_attributes(combination: Combination) {
    let builder = CookieConfig::builder();
    let partitioned = builder
        .clone()
        .name("__Secure-s")
        .path("/")
        .domain("example.org")
        .same_site(SameSite::None)
        .partitioned()
        .persistent();
    for config in [
        CookieConfig::default(),
        builder.persistent().build().unwrap(),
        partitioned.build().unwrap(),
    ] {
        let name = config.name().to_owned();
        let cluster = combination
            .cluster()
            .configure(move |builder| builder.cookie(config.clone()))
            .start()
            .await;
        let node = cluster.node(0);
        let mut browser = Browser::with_cookie_name(&name);
        // Not by a response to a session that has just ended: it could come after a login's.
        browser.get(node, "/login/ada").await.ok();
        cluster.clock().advance(Duration::from_secs(31 * 60));
        let expired = browser.get(node, "/whoami").await;
        assert_eq!(expired.texts("set-cookie").count(), 0, "{expired:?}");
        for route in ["/logout", "/logout-boom"] {
            let set = browser.get(node, "/login/ada").await;
            let set = set.set_cookie(&name).unwrap();
            let answer = browser.get(node, route).await;
            assert_eq!(answer.texts("set-cookie").count(), 1, "{answer:?}");
            let removal = answer.set_cookie(&name).unwrap();
            assert_eq!(removal.value, "");
            assert_eq!(browser.cookie(), None);
            let apart = |cookie: SetCookie| {
                let mut attributes = cookie.attributes;
                let age = ["max-age", "expires"].map(|name| attributes.remove(name));
                (age, attributes)
            };
            let (age, attributes) = apart(removal);
            let (kept, as_set) = apart(set);
            assert_eq!(age[0].as_deref(), Some("0"));
            assert_eq!(age[1].as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
            assert_eq!(attributes, as_set);
            // A cookie that is kept says so in both ways, any other in none.
            assert_eq!(kept[0].is_some(), kept[1].is_some());
        }
    }
}

async fn s7_the_longest_legal_cookie_is_kept_whole(combination: Combination) {
    let name = "n".repeat(4096 - 88);
    let config = CookieConfig::builder()
        .name(&name)
        .path(format!("/{}", "p".repeat(1023)))
        .build()
        .unwrap();
    let cluster = combination
        .cluster()
        .configure(move |builder| builder.cookie(config.clone()))
        .start()
        .await;
    let mut browser = Browser::with_cookie_name(&name);
    let answer = browser.get(cluster.node(0), "/incr").await;
    let cookie = answer.set_cookie(&name).unwrap();
    assert_eq!(name.len() + cookie.value.len(), 4096);
    assert!(cookie.attributes.values().all(|value| value.len() <= 1024));
    assert_eq!(browser.get(cluster.node(0), "/incr").await.number(), 2);
}

async fn s8_no_cookie_asks_to_live_longer_than_browsers_grant(combination: Combination) {
    let cluster = combination
        .cluster()
        .configure(|builder| {
            let cookie = CookieConfig::builder().persistent().build();
            let lifetimes = Lifetimes::new(Lifetimes::MAX, Lifetimes::MAX);
            builder
                .cookie(cookie.unwrap())
                .lifetimes(lifetimes.unwrap())
        })
        .start()
        .await;
    for cookie in walk(&cluster, &[]).await {
        let age: u64 = cookie.attributes["max-age"].parse().unwrap();
        assert!(age <= 34_560_000, "{cookie:?}");
    }
}

async fn s9_a_partitioned_cookie_is_secure_and_for_all_sites(combination: Combination) {
    let cluster = combination
        .cluster()
        .configure(|builder| {
            let cookie = CookieConfig::builder().same_site(SameSite::None);
            builder.cookie(cookie.partitioned().build().unwrap())
        })
        .start()
        .await;
    for cookie in walk(&cluster, &[]).await {
        for attribute in ["partitioned", "secure"] {
            assert!(cookie.attributes.contains_key(attribute), "{cookie:?}");
        }
        assert_eq!(cookie.attributes["samesite"], "None");
    }
}

async fn s10_a_response_sets_the_session_cookie_at_most_once(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    for route in ["/incr", "/incr-now", "/login/ada", "/incr-now", "/rotate"] {
        let answer = browser.get(node, route).await;
        assert_eq!(answer.texts("set-cookie").count(), 1, "{answer:?}");
    }
    // An application that sets a cookie of the same name by itself loses it, and only it.
    let answer = browser.get(node, "/cookies").await;
    let ours = answer.session_cookie().unwrap();
    assert_eq!(CookieParts::of(&ours.value).counter(), 6);
    assert_eq!(answer.texts("set-cookie").count(), 2, "{answer:?}");
    assert_eq!(answer.set_cookie("theme").unwrap().value, "dark");
    assert_eq!(browser.get(node, "/read").await.number(), 4);
}

async fn s11_a_cookie_survives_a_proxy_that_decodes_forms(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    for count in 1..=50 {
        let rotated = browser.get(node, "/rotate").await;
        assert_eq!(rotated.status, 200);
        assert_eq!(browser.get(node, "/incr").await.number(), count);
        let value = browser.cookie().unwrap().to_owned();
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        assert!(value.bytes().all(is_safe), "{value}");
        let decoded = value.replace('+', " ").replace("%2B", "+");
        browser.set_cookie(Some(&decoded));
    }
}

for_every_combination!(
    s1_every_cookie_is_secure_whatever_a_proxy_says,
    s2_the_cookie_is_http_only_and_its_parts_appear_nowhere_else,
    s3_same_site_is_explicit,
    s4_the_default_cookie_belongs_to_one_host,
    s6_a_logout_removes_the_cookie_with_all_its_attributes,
    s7_the_longest_legal_cookie_is_kept_whole,
    s8_no_cookie_asks_to_live_longer_than_browsers_grant,
    s9_a_partitioned_cookie_is_secure_and_for_all_sites,
    s10_a_response_sets_the_session_cookie_at_most_once,
    s11_a_cookie_survives_a_proxy_that_decodes_forms,
);

const NAME: &str = "__Host-session";
