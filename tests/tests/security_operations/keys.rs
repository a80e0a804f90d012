//! S32 and S33: keys that come and go, and keys that must never come.

use std::process::{Command, Stdio};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tenure_core::KeyRing;
use tenure_tests::{Browser, Combination, CookieParts, capture, for_every_combination, random_key};

/// Keys that can be in one ring: in one of 256 pairs both have the same one-byte id.
fn distinct_keys() -> (String, String) {
    loop {
        let (old, new) = (random_key(), random_key());
        if format!("{new},{old}").parse::<KeyRing>().is_ok() {
            return (old, new);
        }
    }
}

async fn s32_an_old_key_s_cookie_is_reissued_and_a_removed_key_s_refused(combination: Combination) {
    let log = capture();
    let (old, new) = distinct_keys();
    let both = format!("{new},{old}");
    let cluster = combination
        .cluster()
        .nodes(3)
        .keys(&[&old, &both, &new])
        .start()
        .await;
    let [before, during, after] = [0, 1, 2].map(|node| cluster.node(node));
    let mut browser = Browser::new();
    browser.get(before, "/login/ada").await.ok();
    let under_old = browser.clone();

    // A mere read is enough to get the same session under the new key.
    let answer = browser.get(during, "/whoami").await;
    assert!(answer.session_cookie().is_some());
    assert_eq!(answer.ok(), "ada");
    let [old_cookie, new_cookie] =
        [&under_old, &browser].map(|browser| CookieParts::of(browser.cookie().unwrap()));
    assert_ne!(old_cookie.value(), new_cookie.value());
    assert_eq!(old_cookie.id(), new_cookie.id());
    assert_eq!(old_cookie.secret(), new_cookie.secret());
    // It is re-issued once, not with every response.
    let again = browser.get(during, "/whoami").await;
    assert_eq!(again.session_cookie(), None);
    assert_eq!(browser.get(after, "/whoami").await.ok(), "ada");
    assert_eq!(log.events("cookie_refused").len(), 0);

    // The removed key is refused, and so is the new one where it is not known yet.
    for (cookie, node, index) in [(&under_old, after, 2), (&browser, before, 0)] {
        cluster.calls(index).clear();
        for route in ["/whoami", "/read", "/logout"] {
            let answer = cookie.peek(node, route).await;
            assert_eq!(answer.session_cookie(), None);
            assert!(["-", "0", "logged out"].contains(&&*answer.ok()));
        }
        assert!(cluster.calls(index).is_empty());
    }
    let refused = log.events("cookie_refused");
    assert_eq!(refused.len(), 6);
    assert!(refused[0].contains("reason=\"unknown_key\""), "{refused:?}");

    // The key's id is part of what is signed, and there is no way around the code.
    let mut forged = old_cookie.clone();
    forged.bytes()[1] = new_cookie.clone().bytes()[1];
    let mut unsigned = new_cookie.clone();
    unsigned.bytes()[50..].fill(0);
    let mut zeroed = unsigned.clone();
    zeroed.bytes()[..2].fill(0);
    let signed_part = URL_SAFE_NO_PAD.encode(&new_cookie.clone().bytes()[..50]);
    for value in [
        forged.value(),
        unsigned.value(),
        zeroed.value(),
        signed_part,
    ] {
        let mut browser = Browser::new();
        browser.set_cookie(Some(&value));
        for (index, node) in [before, during, after].into_iter().enumerate() {
            cluster.calls(index).clear();
            assert_eq!(browser.peek(node, "/whoami").await.ok(), "-");
            assert!(cluster.calls(index).is_empty());
        }
    }
    assert_eq!(browser.get(during, "/whoami").await.ok(), "ada");
}

for_every_combination!(s32_an_old_key_s_cookie_is_reissued_and_a_removed_key_s_refused);

/// What makes a key weak is tested in `tenure-core`; here, that a server does not start with one,
/// and does not print it.
#[test]
fn s33_a_server_with_a_weak_key_does_not_start() {
    let random = random_key();
    let weak = [
        "00".repeat(32),
        "ff".repeat(32),
        "0123456789abcdef".repeat(4),
        random[..62].to_owned(),
        random[..32].repeat(2),
        format!("{random},{random}"),
        format!("{random},{}", "00".repeat(32)),
        // "tenure documentation key, public"
        "74656e75726520646f63756d656e746174696f6e206b65792c207075626c6963".to_owned(),
        "secret".to_owned(),
        String::new(),
    ];
    for keys in weak {
        let output = Command::new(env!("CARGO_BIN_EXE_testbed-node"))
            .args(["--adapter", "tower", "--store", "memory"])
            .args(["--listen", "127.0.0.1:0", "--keys", &keys])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{keys:?}");
        assert!(output.stdout.is_empty(), "{keys:?}");
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(message.contains("Error"), "{message}");
        for key in keys.split(',').filter(|key| key.len() > 12) {
            assert!(!message.contains(key), "{message}");
        }
    }
}
