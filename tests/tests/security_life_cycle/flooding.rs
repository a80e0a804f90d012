//! S27 and S28: what strangers cannot put into the store, and what one flow cannot put into another's.

use tenure_core::{Key, KeyRing, MemoryStore, Session, SessionError, SessionManager};
use tenure_testing::Verb;
use tenure_tests::{Browser, Combination, CookieParts, Visitor, for_every_combination, storm};

async fn s27_no_flood_of_strangers_creates_an_entry(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let nodes = [cluster.node(0)];
    let mut owners = Vec::new();
    for _ in 0..10 {
        let mut browser = Browser::new();
        browser.get(nodes[0], "/login/ada").await.ok();
        owners.push(browser);
    }
    let mut gone = Browser::new();
    gone.get(nodes[0], "/login/eve").await.ok();
    let logged_out = gone.cookie().unwrap().to_owned();
    gone.get(nodes[0], "/logout").await.ok();
    let mut forged = CookieParts::of(&logged_out);
    forged.bytes()[20] ^= 1;
    assert_eq!(cluster.stored(), 10);
    cluster.calls(0).clear();

    let cookies = [
        None,
        Some(forged.value()),
        Some(String::new()),
        Some("x".repeat(88)),
        Some("AAAA".to_owned()),
        Some(logged_out),
    ];
    let routes = [
        "/plain", "/read", "/whoami", "/get/a", "/logout", "/rotate", "/keys", "/boom",
    ];
    let each = 10_000 / cookies.len() + 1;
    for cookie in cookies {
        let mut browser = Browser::new();
        browser.set_cookie(cookie.as_deref());
        let path = |request: usize| routes[request % routes.len()].to_owned();
        for answer in storm(&nodes, &browser, 16, each, path).await {
            assert!(answer.status == 200 || answer.body == "boom", "{answer:?}");
            // At most the useless cookie is taken away.
            assert!(answer.session_cookie().is_none_or(|set| set.is_removal()));
        }
        assert_eq!(cluster.stored(), 10);
    }
    for verb in [Verb::Create, Verb::Commit, Verb::Renew, Verb::Delete] {
        assert_eq!(cluster.calls(0).count(verb), 0, "{verb:?}");
    }
    for owner in &mut owners {
        assert_eq!(owner.get(nodes[0], "/whoami").await.ok(), "ada");
    }
}

for_every_combination!(s27_no_flood_of_strangers_creates_an_entry);

/// Somebody at an application of their own.
fn visitor() -> Visitor {
    let keys = KeyRing::generate().unwrap();
    let manager = SessionManager::builder(MemoryStore::new(), keys);
    Visitor::new(manager.build().unwrap())
}

const RESET: Key<String> = Key::new("email").in_namespace("password-reset");
const SIGN_UP: Key<String> = Key::new("email").in_namespace("sign-up");
const PLAIN: Key<String> = Key::new("email");
const RESET_NUMBER: Key<u64> = Key::new("email").in_namespace("password-reset");

#[tokio::test]
async fn s28_a_value_of_one_flow_satisfies_no_other_flow() {
    let mut visitor = visitor();
    let insert = async |session: &Session| session.insert(RESET, "eve@example.org".to_owned());
    visitor.request(insert).await.unwrap();
    visitor
        .request(async |session| {
            assert_eq!(session.get(SIGN_UP).unwrap(), None);
            assert_eq!(session.get(PLAIN).unwrap(), None);
            assert_eq!(session.get::<String>("email").unwrap(), None);
            assert!(!session.contains(SIGN_UP).unwrap());
            assert_eq!(session.get(RESET).unwrap().unwrap(), "eve@example.org");
            // Nor does one flow take away or overwrite what is the other's.
            session.remove(SIGN_UP).unwrap();
            session.insert(PLAIN, "ada@example.org".to_owned()).unwrap();
        })
        .await;
    visitor
        .request(async |session| {
            assert_eq!(session.get(RESET).unwrap().unwrap(), "eve@example.org");
            assert_eq!(session.get(PLAIN).unwrap().unwrap(), "ada@example.org");
            assert_eq!(session.keys().len(), 2);
        })
        .await;
}

#[tokio::test]
async fn s28_no_text_names_a_value_in_a_namespace() {
    let mut visitor = visitor();
    visitor
        .request(async |session| {
            session.insert(RESET, "eve@example.org".to_owned()).unwrap();
            let own = session.keys().remove(0);
            for name in [&*own, "password-reset\u{1f}email", "password-reset\0email"] {
                let refused = session.insert(name, "ada@example.org");
                assert!(matches!(refused, Err(SessionError::Key(_))), "{name:?}");
                assert!(session.get::<String>(name).is_err(), "{name:?}");
                assert!(session.remove(name).is_err(), "{name:?}");
            }
            for name in [
                "password-reset.email",
                "password-reset:email",
                "password-reset/email",
            ] {
                assert_eq!(session.get::<String>(name).unwrap(), None);
            }
        })
        .await;
    let kept = visitor.request(async |session| session.get(RESET)).await;
    assert_eq!(kept.unwrap().unwrap(), "eve@example.org");
}

#[tokio::test]
async fn s28_a_value_of_another_type_is_an_error_and_not_a_value() {
    let mut visitor = visitor();
    let insert = async |session: &Session| session.insert(RESET, "7".to_owned());
    visitor.request(insert).await.unwrap();
    visitor
        .request(async |session| {
            let wrong = session.get(RESET_NUMBER);
            assert!(matches!(wrong, Err(SessionError::Decode { .. })));
            assert!(session.take(RESET_NUMBER).is_err());
            assert!(session.update(RESET_NUMBER, |_| 8).is_err());
        })
        .await;
    let kept = visitor.request(async |session| session.get(RESET)).await;
    assert_eq!(kept.unwrap().unwrap(), "7");
}
