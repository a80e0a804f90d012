//! S12: which cookie is ours. Class 2: what it helps to plant one.
//!
//! Tests that count events need a process of their own each, as nextest gives them.

use tenure_tests::{
    Answer, Browser, Cluster, Combination, CookieParts, capture, for_every_combination,
};

use super::{NAME, browser, default_cookie};

/// Sends cookie fields and returns what the application makes of them, and the answer. The store must
/// be asked exactly if `asks`; a near cache may answer for it.
async fn who(cluster: &Cluster, fields: &[&[u8]], asks: bool) -> (String, Answer) {
    let calls = cluster.calls(0);
    calls.clear();
    if let Some(redis) = cluster.redis() {
        redis.reset_command_stats();
    }
    let fields: Vec<_> = fields.iter().map(|field| ("cookie", *field)).collect();
    let answer = Browser::new()
        .send(cluster.node(0), "/whoami", &fields)
        .await;
    assert_eq!(calls.is_empty(), !asks, "{fields:?}");
    if let Some(redis) = cluster.redis() {
        let gets = redis.command_stats().get("get").copied().unwrap_or(0);
        assert!(asks || gets == 0, "{fields:?}");
    }
    (answer.clone().ok(), answer)
}

async fn s12_look_alikes_are_other_cookies(combination: Combination) {
    let cluster = default_cookie(combination).await;
    let mut browser = browser();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    let value = browser.cookie().unwrap();
    let genuine = format!("{NAME}={value}");
    for prefix in [
        "__host-session=",
        "__HOST-session=",
        "__Host-Session=",
        "%5F%5FHost-session=",
        "\u{2000}__Host-session=",
        "\u{85}__Host-session=",
        "\u{a0}__Host-session=",
        "\u{feff}__Host-session=",
        "=__Host-session=",
        "\"__Host-session\"=",
        "__Host-session\"=",
        "__Host-session =",
        "__Host-session\t=",
        "__Host-session.=",
        "__Host-session[]=",
        "x__Host-session=",
        "$__Host-session=",
        "$Version=1,__Host-session=",
        "a=\"__Host-session=",
        "session=",
    ] {
        let alone = format!("{prefix}{value}");
        let (body, answer) = who(&cluster, &[alone.as_bytes()], false).await;
        assert_eq!(body, "-", "{alone}");
        assert_eq!(answer.set_cookie(NAME), None, "{alone}");
        // Beside the genuine one it changes nothing, on either side and in a field of its own.
        for fields in [
            vec![format!("{alone}; {genuine}")],
            vec![format!("{genuine}; {alone}")],
            vec![alone.clone(), genuine.clone()],
        ] {
            let fields: Vec<_> = fields.iter().map(String::as_bytes).collect();
            assert_eq!(who(&cluster, &fields, true).await.0, "ada", "{alone}");
        }
    }
    // These bytes are no text in UTF-8, but a space in Latin-1.
    let latin: Vec<_> = [b"\x85", b"\xa0"]
        .into_iter()
        .map(|space| [space, genuine.as_bytes()].concat())
        .collect();
    for field in latin {
        assert_eq!(who(&cluster, &[&field], false).await.0, "-");
    }
    // RFC 2965 is dead: its attributes are cookies like others, and quotes belong to the value.
    let old_fashioned = format!("$Version=1; {genuine}; $Path=/");
    assert_eq!(
        who(&cluster, &[old_fashioned.as_bytes()], true).await.0,
        "ada"
    );
    let quoted = format!("{NAME}=\"{value}\"");
    assert_eq!(who(&cluster, &[quoted.as_bytes()], false).await.0, "-");
}

async fn s12_of_two_different_cookies_with_our_name_none_is_believed(combination: Combination) {
    let log = capture();
    let cluster = default_cookie(combination).await;
    let node = cluster.node(0);
    let (mut ada, mut eve) = (browser(), browser());
    ada.get(node, "/login/ada").await.ok();
    eve.get(node, "/login/eve").await.ok();
    let [ada, eve] = [&ada, &eve].map(|browser| format!("{NAME}={}", browser.cookie().unwrap()));
    let requests = [
        vec![format!("{ada}; {eve}")],
        vec![format!("{eve}; {ada}")],
        vec![ada.clone(), eve.clone()],
        vec![format!("a=1; {ada}"), format!("b=2;{eve}"), ada.clone()],
        vec![format!("{ada}; {ada}; {eve}")],
        vec![format!("{ada}; {NAME}=")],
        vec![format!("{NAME}=short; {ada}")],
    ];
    for (index, fields) in requests.iter().enumerate() {
        let fields: Vec<_> = fields.iter().map(String::as_bytes).collect();
        let (body, answer) = who(&cluster, &fields, false).await;
        assert_eq!(body, "-");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.set_cookie(NAME), None);
        assert_eq!(log.events("cookie_ambiguous").len(), index + 1);
    }
    assert_eq!(log.events("cookie_refused"), [""; 0]);
    // Neither session has suffered.
    for (field, user) in [(ada, "ada"), (eve, "eve")] {
        assert_eq!(who(&cluster, &[field.as_bytes()], true).await.0, user);
    }
}

/// Some clients and proxies send a cookie twice, in one field or in two.
async fn s12_the_same_cookie_twice_is_one_cookie(combination: Combination) {
    let log = capture();
    let cluster = default_cookie(combination).await;
    let mut ada = browser();
    ada.get(cluster.node(0), "/login/ada").await.ok();
    let ada = format!("{NAME}={}", ada.cookie().unwrap());
    for fields in [
        vec![format!("{ada}; {ada}")],
        vec![ada.clone(), format!("a=1;{ada}"), ada.clone()],
    ] {
        let fields: Vec<_> = fields.iter().map(String::as_bytes).collect();
        assert_eq!(who(&cluster, &fields, true).await.0, "ada");
    }
    assert_eq!(log.events("cookie_ambiguous"), [""; 0]);
}

/// Class 2: an attacker plants a genuine cookie of their own in the victim's browser, and shows it
/// again after the victim has logged in.
async fn c2_a_planted_cookie_opens_nothing_after_the_victim_s_login(combination: Combination) {
    let cluster = combination.cluster().nodes(2).start().await;
    let node = cluster.node(0);
    for planted_is_logged_in in [false, true] {
        let mut attacker = Browser::new();
        attacker.get(node, "/set/note/planted").await.ok();
        if planted_is_logged_in {
            attacker.get(node, "/login/eve").await.ok();
        }
        let planted = attacker.cookie().unwrap().to_owned();

        // The victim had no cookie: the planted one is taken for its own.
        let mut victim = Browser::new();
        victim.set_cookie(Some(&planted));
        victim.get(node, "/login/ada").await.ok();
        victim.get(node, "/set/iban/secret").await.ok();

        // The victim had one: both arrive, and a new session begins.
        let mut owner = Browser::new();
        owner.get(node, "/incr").await.ok();
        let both = format!("session={}; session={planted}", owner.cookie().unwrap());
        let login = owner
            .send(node, "/login/ada", &[("cookie", both.as_bytes())])
            .await;
        assert_eq!(login.status, 200);
        owner.keep(&login);
        owner.get(node, "/set/iban/secret").await.ok();
        assert_ne!(
            CookieParts::of(owner.cookie().unwrap()).id(),
            CookieParts::of(&planted).id()
        );

        for node in [cluster.node(0), cluster.node(1)] {
            assert_eq!(attacker.peek(node, "/whoami").await.ok(), "-");
            assert_eq!(attacker.peek(node, "/get/iban").await.ok(), "-");
            assert_eq!(attacker.peek(node, "/set/iban/mine").await.status, 409);
            assert_eq!(victim.peek(node, "/whoami").await.ok(), "ada");
            assert_eq!(victim.peek(node, "/get/iban").await.ok(), "secret");
            assert_eq!(owner.peek(node, "/whoami").await.ok(), "ada");
        }
    }
}

for_every_combination!(
    s12_look_alikes_are_other_cookies,
    s12_of_two_different_cookies_with_our_name_none_is_believed,
    s12_the_same_cookie_twice_is_one_cookie,
    c2_a_planted_cookie_opens_nothing_after_the_victim_s_login,
);
