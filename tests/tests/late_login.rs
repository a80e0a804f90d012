//! The story: a request committed, went on, and logged somebody in. Meanwhile another login had replaced the
//! session's secret, so the request's own login was to begin a session of its own, which the store had no room
//! for. The answer was 503, as it should be, and carried the cookie of the request's first commit: with the old
//! secret, over the cookie of the login that had replaced it. The user was logged out by an error.

use tenure_core::{MemoryStore, SessionError, SessionManager, StoreErrorKind};
use tenure_testing::{FaultyStore, Moment, Verb};
use tenure_tests::{AnyStore, Visitor, random_key};

#[tokio::test]
async fn a_late_login_that_cannot_be_stored_leaves_the_cookie_of_the_earlier_one() {
    let store = FaultyStore::new(AnyStore::Memory(MemoryStore::new()));
    let sessions = SessionManager::builder(store.clone(), random_key().parse().unwrap());
    let mut browser = Visitor::new(sessions.build().unwrap());
    browser
        .request(async |session| session.insert("x", 1).unwrap())
        .await;

    let (late, session) = browser.load().await;
    session.insert("step", 1).unwrap();
    session.commit().await.unwrap();
    browser
        .request(async |session| session.login("ada").unwrap())
        .await;
    session.login("ada").unwrap();
    store.fail_next(1, Verb::Create, Moment::BeforeCall, StoreErrorKind::Full);
    let finish = browser.finish(&late).await;

    assert!(matches!(finish.refusal, Some(SessionError::Store(_))));
    assert_eq!(store.pending_faults(), 0);
    assert!(finish.set_cookie.is_none());
    let (_, session) = browser.load().await;
    assert!(session.principal().is_some(), "ada is logged in");
}
