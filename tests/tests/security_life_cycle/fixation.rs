//! S15 to S18: whose identifier counts, and until when.

use std::{net::SocketAddr, time::Duration};

use tenure_core::CookieConfig;
use tenure_tests::{Browser, Combination, CookieParts, capture, for_every_combination, random_key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn s15_a_signed_id_that_was_never_issued_is_not_adopted(combination: Combination) {
    let log = capture();
    let key = random_key();
    let elsewhere = combination.cluster().keys(&[&key]).start().await;
    let cluster = combination.cluster().keys(&[&key]).start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    browser.get(elsewhere.node(0), "/login/ada").await.ok();
    let foreign = browser.cookie().unwrap().to_owned();

    // A read sees nothing and stores nothing.
    let answer = browser.peek(node, "/whoami").await;
    assert!(answer.session_cookie().is_none_or(|set| set.is_removal()));
    assert_eq!(answer.ok(), "-");
    assert_eq!(log.events("unknown_session").len(), 1);
    assert_eq!(cluster.stored(), 0);

    // A write begins a session of its own.
    for route in ["/incr", "/login/eve", "/rotate", "/logout"] {
        let mut browser = browser.clone();
        browser.get(node, route).await.ok();
        let cookie = browser.cookie().filter(|cookie| *cookie != foreign);
        assert_eq!(
            cookie.is_some(),
            matches!(route, "/incr" | "/login/eve"),
            "{route}"
        );
        if let Some(cookie) = cookie {
            let (new, old) = (CookieParts::of(cookie), CookieParts::of(&foreign));
            assert_ne!(new.id(), old.id(), "{route}");
            assert_ne!(new.secret(), old.secret(), "{route}");
        }
    }
    assert_eq!(cluster.stored(), 2);
    assert_eq!(log.events("unknown_session").len(), 5);
    let id = CookieParts::of(&foreign).id();
    assert_eq!(cluster.record(id).await, None);
    // The session that the cookie belongs to lives on where it was issued.
    assert_eq!(browser.get(elsewhere.node(0), "/whoami").await.ok(), "ada");
}

/// Sends a request as it is and returns the whole answer.
async fn raw(node: SocketAddr, request: String) -> String {
    let mut stream = TcpStream::connect(node).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn s16_an_id_anywhere_but_in_the_cookie_is_ignored(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut ada = Browser::new();
    ada.get(node, "/login/ada").await.ok();
    let value = ada.cookie().unwrap();
    let id = *CookieParts::of(value).id().as_uuid();
    let calls = cluster.calls(0);
    calls.clear();

    let stranger = Browser::new();
    for path in [
        format!("/whoami?session={value}"),
        format!("/whoami?ms=0&session={value}&__Host-session={value}&sid={id}&id={id}"),
        format!("/whoami?Cookie=session={value}"),
        format!("/whoami;session={value}"),
        format!("/whoami/{value}"),
        format!("/{value}/whoami"),
        format!("/whoami#session={value}"),
    ] {
        let answer = stranger.peek(node, &path).await;
        assert!(!answer.body.contains("ada"), "{path}");
        assert_eq!(answer.session_cookie(), None, "{path}");
    }
    for name in [
        "session",
        "x-session",
        "x-session-id",
        "authorization",
        "cookie2",
        "set-cookie",
        "x-cookie",
        "x-auth-token",
        "x-original-cookie",
        "x-forwarded-cookie",
        "proxy-authorization",
    ] {
        for text in [
            value.to_owned(),
            format!("session={value}"),
            format!("Bearer {value}"),
            id.to_string(),
        ] {
            let answer = stranger
                .send(node, "/whoami", &[(name, text.as_bytes())])
                .await;
            assert_eq!(answer.session_cookie(), None, "{name}");
            assert_eq!(answer.ok(), "-", "{name}: {text}");
        }
    }
    let body = format!("session={value}&id={id}");
    for kind in [
        "application/x-www-form-urlencoded",
        "application/json",
        "text/plain",
    ] {
        let answer = raw(
            node,
            format!(
                "GET /whoami HTTP/1.1\r\nhost: {node}\r\nconnection: close\r\ncontent-type: {kind}\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n-"), "{answer}");
    }
    // In trailers, which come after the session was looked for.
    let answer = raw(
        node,
        format!(
            "GET /whoami HTTP/1.1\r\nhost: {node}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
             trailer: cookie\r\n\r\n0\r\ncookie: session={value}\r\n\r\n"
        ),
    )
    .await;
    assert!(answer.ends_with("\r\n\r\n-"), "{answer}");
    assert!(calls.is_empty(), "no store was asked: {:?}", calls.calls());
    assert_eq!(ada.get(node, "/whoami").await.ok(), "ada");
}

async fn s17_every_change_of_privileges_replaces_the_secret_on_all_nodes(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let nodes = [cluster.node(0), cluster.node(1)];
    let mut browser = Browser::new();
    browser.get(nodes[0], "/incr").await.ok();
    let id = CookieParts::of(browser.cookie().unwrap()).id();
    let mut outdated = Vec::new();
    // A login, another one as the same user, a step up, a login as somebody else.
    for (step, route) in ["/login/ada", "/login/ada", "/rotate", "/login/root"]
        .into_iter()
        .enumerate()
    {
        let before = browser.clone();
        browser.get(nodes[step % 2], route).await.ok();
        cluster.catch_up().await;
        let (old, new) = [&before, &browser]
            .map(|browser| CookieParts::of(browser.cookie().unwrap()))
            .into();
        assert_ne!(old.secret(), new.secret(), "{route}");
        assert_eq!(new.id(), id, "{route}");
        outdated.push(before);
        for old in &outdated {
            for node in nodes {
                assert_eq!(old.peek(node, "/whoami").await.ok(), "-", "{route}");
                assert_eq!(old.peek(node, "/read").await.number(), 0, "{route}");
                for write in ["/incr", "/set/a/b", "/rotate", "/logout"] {
                    let answer = old.peek(node, write).await;
                    assert_eq!(answer.status, 409, "{route} {write}");
                    assert_eq!(answer.session_cookie(), None, "{route} {write}");
                }
            }
        }
        for node in nodes {
            assert_eq!(browser.peek(node, "/read").await.number(), 1, "{route}");
        }
    }
    assert_eq!(browser.get(nodes[1], "/whoami").await.ok(), "root");
    // When the grace is over, an old cookie is worth as much as none: a session of its own.
    cluster.clock().advance(Duration::from_secs(31));
    for old in &mut outdated {
        assert_eq!(old.get(nodes[0], "/incr").await.number(), 1);
        assert_ne!(CookieParts::of(old.cookie().unwrap()).id(), id);
        assert_eq!(old.get(nodes[1], "/whoami").await.ok(), "-");
    }
    assert_eq!(browser.get(nodes[0], "/incr").await.number(), 2);
    assert_eq!(browser.get(nodes[1], "/whoami").await.ok(), "root");
}

/// The strategy of WSTG-SESS-03, "testing for forced cookies". `name` is the cookie's; the jar is
/// restored without those whose prefix protects them.
async fn forced_cookies(combination: Combination, name: &'static str) {
    let cluster = combination
        .cluster()
        .configure(move |builder| match name {
            "session" => builder,
            _ => builder.cookie(CookieConfig::default()),
        })
        .start()
        .await;
    let node = cluster.node(0);
    let is_protected = name.starts_with("__Host-") || name.starts_with("__Secure-");
    // 1, 2: the login page, and the jar as it is then.
    let mut victim = Browser::with_cookie_name(name);
    victim.get(node, "/incr").await.ok();
    let snapshot = victim.cookie().filter(|_| !is_protected).map(str::to_owned);
    // 3 to 6: the victim logs in, the jar goes back, the secure function is triggered.
    victim.get(node, "/login/victim").await.ok();
    victim.get(node, "/set/address/home").await.ok();
    let mut forced = Browser::with_cookie_name(name);
    forced.set_cookie(snapshot.as_deref());
    assert_eq!(forced.peek(node, "/whoami").await.ok(), "-");
    assert_eq!(forced.peek(node, "/get/address").await.ok(), "-");
    forced.get(node, "/set/address/forced").await;
    assert_eq!(victim.get(node, "/get/address").await.ok(), "home");
    // 7 to 10: the attacker logs in, and the snapshot overwrites what it has of the attacker's jar.
    let mut attacker = Browser::with_cookie_name(name);
    attacker.get(node, "/login/attacker").await.ok();
    if let Some(snapshot) = &snapshot {
        attacker.set_cookie(Some(snapshot));
    }
    attacker.get(node, "/set/address/attacked").await;
    assert_ne!(attacker.peek(node, "/whoami").await.ok(), "victim");
    // 11, 12: the victim logs in again, and finds everything as it was.
    assert_eq!(victim.get(node, "/get/address").await.ok(), "home");
    victim.get(node, "/login/victim").await.ok();
    assert_eq!(victim.get(node, "/get/address").await.ok(), "home");
    assert_eq!(victim.get(node, "/whoami").await.ok(), "victim");
}

async fn s18_forced_cookies_give_no_access(combination: Combination) {
    forced_cookies(combination, "session").await;
    forced_cookies(combination, "__Host-session").await;
}

for_every_combination!(
    s15_a_signed_id_that_was_never_issued_is_not_adopted,
    s16_an_id_anywhere_but_in_the_cookie_is_ignored,
    s17_every_change_of_privileges_replaces_the_secret_on_all_nodes,
    s18_forced_cookies_give_no_access,
);
