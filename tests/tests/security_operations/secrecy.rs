//! S34 and S35: what the store and the logs give away.

use std::{fmt::Debug, sync::Arc};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use tenure_core::{KeyRing, MemoryStore, SessionManager, StoreErrorKind};
use tenure_testing::{Moment, Reply, Verb};
use tenure_tests::{
    Browser, Cluster, Combination, CookieParts, Secrets, capture, for_every_combination,
};
use tokio::task::JoinSet;

/// Everything that is stored: keys and values.
async fn dump(cluster: &Cluster, cookies: &[String]) -> Vec<Vec<u8>> {
    let mut dump = Vec::new();
    if let Some(redis) = cluster.redis() {
        let Reply::Array(keys) = redis.call(&["KEYS", "*"]) else {
            panic!("KEYS returns an array");
        };
        for key in keys {
            let Reply::Bulk(key) = key else {
                panic!("a key is bytes");
            };
            let Reply::Bulk(value) = redis.call(&[b"GET", &key[..]]) else {
                panic!("every key holds a string");
            };
            dump.extend([key, value]);
        }
    } else {
        // What a store in memory holds is what it would write.
        for cookie in cookies {
            let record = cluster.record(CookieParts::of(cookie).id()).await.unwrap();
            let id = record.id().as_uuid().to_string().into_bytes();
            dump.extend([id, record.encode().to_vec()]);
        }
    }
    dump
}

async fn s34_nothing_in_the_store_works_as_a_cookie(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut secrets = Secrets::new();
    let mut cookies = Vec::new();
    for number in 0..20 {
        let mut browser = Browser::new();
        for route in ["/incr", "/login/ada", "/rotate", "/fill/100"] {
            browser.get(node, route).await.ok();
            secrets.add_credential(browser.cookie().unwrap());
        }
        browser
            .get(node, &format!("/set/number/{number}"))
            .await
            .ok();
        secrets.add_credential(browser.cookie().unwrap());
        cookies.push(browser.cookie().unwrap().to_owned());
    }
    let dump = dump(&cluster, &cookies).await;
    assert_eq!(dump.len(), 2 * cookies.len());
    for bytes in &dump {
        assert_eq!(secrets.find_in(bytes), None);
    }

    // Whatever a thief of the dump makes of it, in the cookie's place it opens nothing.
    let genuine = CookieParts::of(&cookies[0]);
    for bytes in &dump {
        let mut values = vec![
            String::from_utf8_lossy(bytes).into_owned(),
            URL_SAFE_NO_PAD.encode(bytes),
            STANDARD.encode(bytes),
        ];
        // With and without the header's two bytes, and with what stands for the secret in its place.
        for start in [0, 2, 18, 90, 122] {
            if let Some(part) = bytes.get(start..start + CookieParts::BYTES) {
                values.push(URL_SAFE_NO_PAD.encode(part));
            }
            if let Some(part) = bytes.get(start..start + 16) {
                let mut forged = genuine.clone();
                forged.bytes()[18..34].copy_from_slice(part);
                values.push(forged.value());
                forged.bytes()[50..].copy_from_slice(part);
                values.push(forged.value());
            }
        }
        for value in values {
            let value: String = value.chars().filter(char::is_ascii_graphic).collect();
            let field = format!("session={value}");
            let answer = Browser::new()
                .send(node, "/whoami", &[("cookie", field.as_bytes())])
                .await;
            assert_eq!(answer.ok(), "-", "{value}");
        }
    }
}

/// One visitor's life, with everything that can go wrong in it. Returns each cookie it ever had, and
/// all that it was told besides.
async fn life(cluster: Arc<Cluster>, number: usize) -> (Vec<String>, String) {
    let nodes = [cluster.node(0), cluster.node(1)];
    let mut browser = Browser::new();
    let mut answers = Vec::new();
    for route in [
        format!("/set/{KEY}/{VALUE}"),
        format!("/login/{PRINCIPAL}-{number}"),
        "/incr-naive?ms=2".to_owned(),
        "/rotate".to_owned(),
        "/boom".to_owned(),
        "/logout".to_owned(),
    ] {
        let before = browser.clone();
        // Both at once on two nodes, for conflicts and losses; then the older cookie once more.
        let (answer, other) = tokio::join!(
            browser.get(nodes[0], &route),
            before.peek(nodes[1], "/incr-naive?ms=2")
        );
        answers.extend([answer, other, before.peek(nodes[0], "/whoami").await]);
    }
    if number.is_multiple_of(50) {
        // More than a session may hold; drawing it takes long, so not for everybody.
        let path = format!("/fill/{}", 300 << 10);
        answers.push(browser.get(nodes[0], &path).await);
    }
    let (mut cookies, mut told) = (Vec::new(), String::new());
    for mut answer in answers {
        let set = answer.session_cookie().filter(|set| !set.is_removal());
        cookies.extend(set.map(|set| set.value));
        answer.headers.remove("set-cookie");
        told.push_str(&format!(
            "{} {:?}\n{}\n",
            answer.status, answer.headers, answer.body
        ));
    }
    (cookies, told)
}

async fn s35_no_log_and_no_answer_tells_a_secret(combination: Combination) {
    let log = capture();
    let cluster = Arc::new(combination.cluster().nodes(2).start().await);
    let (mut secrets, mut told) = (Secrets::new(), String::new());
    secrets.add_text("session value", VALUE);
    for batch in 0..SESSIONS / 50 {
        // A few faults of each kind in every batch.
        for verb in [
            Verb::Load,
            Verb::Commit,
            Verb::Create,
            Verb::Renew,
            Verb::Delete,
        ] {
            for kind in [StoreErrorKind::Interrupted, StoreErrorKind::Corrupt] {
                cluster.faults(0).pass_next(20, verb);
                cluster
                    .faults(0)
                    .fail_next(2, verb, Moment::AfterCall, kind);
            }
        }
        let mut lives = JoinSet::new();
        for number in 0..50 {
            lives.spawn(life(Arc::clone(&cluster), 50 * batch + number));
        }
        for (cookies, answers) in lives.join_all().await {
            for cookie in cookies {
                secrets.add_credential(&cookie);
                secrets.add_id(&cookie);
            }
            told.push_str(&answers);
        }
        cluster.faults(0).heal();
    }
    let text = log.text();
    for (event, least) in [
        ("session_created", SESSIONS),
        ("session_rotated", SESSIONS / 2),
        ("session_destroyed", SESSIONS / 2),
        ("secret_superseded", SESSIONS / 2),
        ("commit_conflict", SESSIONS / 10),
        ("store_failed", SESSIONS / 50),
    ] {
        let found = text.matches(&format!("event=\"{event}\"")).count();
        assert!(found >= least, "{found} {event}");
    }
    // The drivers and servers below are heard too, and every session has its keyed hash.
    assert!(text.contains(" hyper_util::"));
    assert!(text.matches(" session=").count() >= 3 * SESSIONS);
    assert_eq!(secrets.find_in(&text), None);
    // Whoever logs in is told so by the testbed, and `/get` was not asked for; so only the logs
    // must not know them.
    let mut names = Secrets::new();
    names.add_text("principal", PRINCIPAL);
    assert_eq!(names.find_in(&text), None);
    let is_echo = |line: &str| line.starts_with(PRINCIPAL) || line == VALUE;
    let told: Vec<_> = told.lines().filter(|line| !is_echo(line)).collect();
    let told = told.join("\n");
    assert_eq!(secrets.find_in(&told), None);
    assert_eq!(names.find_in(&told), None);
}

/// What a trace layer inside of ours would log of a request: `http` hides fields that are marked.
async fn s35_the_application_s_logs_do_not_show_the_request_s_cookie(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let mut browser = Browser::new();
    browser.get(cluster.node(0), "/login/ada").await.ok();
    let mut secrets = Secrets::new();
    secrets.add_credential(browser.cookie().unwrap());
    let printed = browser.get(cluster.node(0), "/headers").await.ok();
    assert!(printed.contains("cookie"), "{printed}");
    assert_eq!(secrets.find_in(printed), None);
}

for_every_combination!(
    s34_nothing_in_the_store_works_as_a_cookie,
    s35_no_log_and_no_answer_tells_a_secret,
    s35_the_application_s_logs_do_not_show_the_request_s_cookie,
);

/// What applications print while they look for a mistake.
#[tokio::test]
async fn s35_no_debug_output_tells_a_secret() {
    let mut secrets = Secrets::new();
    let (mut printed, mut cookie) = (Vec::new(), None);
    let mut print = |what: &'static str, thing: &dyn Debug| {
        printed.push((what, format!("{thing:?}\n{thing:#?}")));
    };
    let store = MemoryStore::new();
    let builder = SessionManager::builder(store.clone(), KeyRing::generate().unwrap());
    print("SessionManagerBuilder", &builder);
    let manager = builder.build().unwrap();
    for step in 0..4 {
        let handle = manager.open(cookie.iter());
        print("SessionHandle, opened", &handle);
        let session = handle.load().await.unwrap();
        match step {
            0 => session.insert(KEY, VALUE).unwrap(),
            1 => session.login(PRINCIPAL).unwrap(),
            2 => session.rotate().unwrap(),
            _ => session.destroy().unwrap(),
        }
        print("Session", &session);
        print("SessionHandle, loaded", &handle);
        print("SessionManager", &manager);
        print("SessionError for a number", &session.get::<u64>(KEY).err());
        print(
            "SessionError for a list",
            &session.get::<Vec<u64>>(KEY).err(),
        );
        let finish = handle.finish(200).await;
        print("SessionHandle, finished", &handle);
        print("MemoryStore", &store);
        print("Finish", &finish);
        print("SessionId", &session.id());
        let text = finish.set_cookie.unwrap();
        let pair = text.split(';').next().unwrap();
        let value = pair.strip_prefix("__Host-session=").unwrap();
        if !value.is_empty() {
            secrets.add_credential(value);
            secrets.add_id(value);
            let id = CookieParts::of(value).id();
            let load = tenure_core::SessionStore::load(&store, id, tenure_core::Freshness::Latest);
            print("Load and Record", &load.await.unwrap());
            print("Principal", &session.principal());
        }
        cookie = Some(pair.to_owned());
    }
    secrets.add_text("session value", VALUE);
    secrets.add_text("principal", PRINCIPAL);
    let telling: Vec<_> = printed
        .into_iter()
        .filter_map(|(what, text)| Some((what, secrets.find_in(text)?.what)))
        .collect();
    assert_eq!(telling, []);
}

/// In each combination of adapter and store; in all of them more than the checklist's thousand.
const SESSIONS: usize = 200;
const KEY: &str = "favourite";
const VALUE: &str = "session-value-that-no-log-must-show";
const PRINCIPAL: &str = "principal-that-no-log-must-show";
