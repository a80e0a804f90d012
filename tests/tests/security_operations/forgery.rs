//! S31: a cookie's value that was changed in any way, or belongs elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tenure_core::CookieConfig;
use tenure_tests::{
    Browser, Captured, Cluster, Combination, CookieParts, capture, for_every_combination,
};

/// Begins to count what the node asks of its store.
fn watch(cluster: &Cluster, node: usize) {
    cluster.calls(node).clear();
    if let Some(redis) = cluster.redis() {
        redis.reset_command_stats();
    }
}

/// Asserts that nothing has been asked since.
fn assert_no_store_calls(cluster: &Cluster, node: usize) {
    let calls = cluster.calls(node).calls();
    assert!(calls.is_empty(), "{calls:?}");
    if let Some(redis) = cluster.redis() {
        let commands = redis.command_stats();
        // This question's, and the heartbeat of a near cache.
        let is_own = |name: &String| name == "info" || name == "ping" || name.starts_with("config");
        assert!(commands.keys().all(is_own), "{commands:?}");
    }
}

/// Sends each value for a read, a write and a logout; all must be treated as no cookie at all, with
/// one event for each.
async fn assert_refused(cluster: &Cluster, node: usize, values: &[String], log: &Captured) {
    let before = log.events("cookie_refused").len();
    watch(cluster, node);
    for value in values {
        let mut browser = Browser::new();
        browser.set_cookie(Some(value));
        for route in ["/whoami", "/logout"] {
            let answer = browser.peek(cluster.node(node), route).await;
            assert_eq!(answer.session_cookie(), None, "{value}");
            assert!(!answer.ok().contains("ada"), "{value}");
        }
    }
    assert_no_store_calls(cluster, node);
    let refused = log.events("cookie_refused").len() - before;
    assert_eq!(refused, 2 * values.len());
}

async fn s31_a_value_with_any_bit_flipped_is_refused_before_the_store(combination: Combination) {
    let log = capture();
    let cluster = combination.cluster().start().await;
    let mut ada = Browser::new();
    ada.get(cluster.node(0), "/login/ada").await.ok();
    let genuine = CookieParts::of(ada.cookie().unwrap());
    let flipped: Vec<_> = (0..CookieParts::BYTES * 8)
        .map(|bit| {
            let mut forged = genuine.clone();
            forged.bytes()[bit / 8] ^= 1 << (bit % 8);
            forged.value()
        })
        .collect();
    assert_refused(&cluster, 0, &flipped, &log).await;
    let bad_codes = log.events("cookie_refused");
    let is_bad_code = |line: &&String| line.contains("reason=\"bad_mac\"");
    // All but those in the format and in the key's id, which are known before the code is.
    assert_eq!(
        bad_codes.iter().filter(is_bad_code).count(),
        2 * 8 * (CookieParts::BYTES - 2)
    );
    assert_eq!(ada.get(cluster.node(0), "/whoami").await.ok(), "ada");
}

/// Class 6 too: empty, short and over-long.
async fn s31_a_value_of_another_length_or_alphabet_is_refused(combination: Combination) {
    let log = capture();
    let cluster = combination.cluster().start().await;
    let mut ada = Browser::new();
    ada.get(cluster.node(0), "/login/ada").await.ok();
    let value = ada.cookie().unwrap().to_owned();
    let mut changed: Vec<_> = (0..value.len())
        .map(|end| value[..end].to_owned())
        .collect();
    changed.extend((1..value.len()).map(|start| value[start..].to_owned()));
    changed.extend(
        ["A", "=", "==", ".", "%00", "%3D", "A".repeat(5000).as_str()]
            .map(|end| format!("{value}{end}")),
    );
    changed.push(format!("\"{value}\""));
    changed.push(value.to_ascii_lowercase());
    changed.push("A".repeat(88));
    changed.push("+".repeat(88));
    changed.push("-1".to_owned());
    changed.push("../../../../etc/passwd".to_owned());
    changed.push(format!("%{:x}{}", value.as_bytes()[0], &value[1..]));
    assert_refused(&cluster, 0, &changed, &log).await;
    assert_eq!(ada.get(cluster.node(0), "/whoami").await.ok(), "ada");
}

async fn s31_swapped_and_mixed_fields_are_refused(combination: Combination) {
    let log = capture();
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut ada = Browser::new();
    ada.get(node, "/login/ada").await.ok();
    let old = CookieParts::of(ada.cookie().unwrap());
    ada.get(node, "/rotate").await.ok();
    let new = CookieParts::of(ada.cookie().unwrap());
    let mut eve = Browser::new();
    eve.get(node, "/login/eve").await.ok();
    let eves = CookieParts::of(eve.cookie().unwrap());
    let mut forged = Vec::new();
    // Each field of one genuine cookie in the place of another one's: id, secret, counter, tag, code.
    for (from, into) in [(&new, &eves), (&eves, &new), (&new, &old), (&old, &new)] {
        for field in [2..18, 18..34, 34..42, 42..50, 50..66, 2..34, 34..66] {
            let mut mixed = into.clone();
            mixed.bytes()[field.clone()].copy_from_slice(&from.clone().bytes()[field]);
            if mixed != *into {
                forged.push(mixed.value());
            }
        }
    }
    let mut swapped = new.clone();
    let (id, secret) = swapped.bytes()[2..34].split_at_mut(16);
    id.swap_with_slice(secret);
    forged.push(swapped.value());
    assert!(forged.len() >= 26);
    assert_refused(&cluster, 0, &forged, &log).await;
    assert_eq!(ada.get(node, "/whoami").await.ok(), "ada");
    assert_eq!(eve.get(node, "/whoami").await.ok(), "eve");
}

/// Class 9 too: nodes with one store and one key, but each another application.
async fn s31_a_value_is_worth_nothing_under_another_name_or_application(combination: Combination) {
    let log = capture();
    let number = Arc::new(AtomicUsize::new(0));
    let cluster = combination
        .cluster()
        .nodes(3)
        .configure(move |builder| {
            let insecure = CookieConfig::builder().danger_insecure_for_localhost();
            match number.fetch_add(1, Ordering::SeqCst) {
                0 => builder,
                1 => builder.application("other"),
                _ => builder.cookie(insecure.name("other").build().unwrap()),
            }
        })
        .start()
        .await;
    let names = ["session", "session", "other"];
    for (from, name) in names.into_iter().enumerate() {
        let mut browser = Browser::with_cookie_name(name);
        browser.get(cluster.node(from), "/login/ada").await.ok();
        let value = browser.cookie().unwrap().to_owned();
        for (to, name) in names.into_iter().enumerate() {
            let refused = log.events("cookie_refused").len();
            let mut moved = Browser::with_cookie_name(name);
            moved.set_cookie(Some(&value));
            watch(&cluster, to);
            let user = moved.peek(cluster.node(to), "/whoami").await.ok();
            if from == to {
                assert_eq!(user, "ada");
                continue;
            }
            assert_eq!(user, "-", "from {from} to {to}");
            assert_no_store_calls(&cluster, to);
            assert_eq!(log.events("cookie_refused").len(), refused + 1);
        }
    }
}

for_every_combination!(
    s31_a_value_with_any_bit_flipped_is_refused_before_the_store,
    s31_a_value_of_another_length_or_alphabet_is_refused,
    s31_swapped_and_mixed_fields_are_refused,
    s31_a_value_is_worth_nothing_under_another_name_or_application,
);
