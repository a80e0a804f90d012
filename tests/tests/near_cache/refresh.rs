//! Handlers that must not see anything old.

use tenure_core::{KeyRing, MemoryStore, Session, SessionError, SessionManager};
use tenure_near_cache::NearCache;
use tenure_testing::FedStore;
use tenure_tests::{Visitor, random_key};

#[tokio::test(start_paused = true)]
async fn a_handler_that_refreshes_sees_what_its_cache_has_not_been_told_of() {
    let shared = FedStore::new(MemoryStore::new());
    let keys = random_key();
    let ring = || keys.parse::<KeyRing>().unwrap();
    let node = || {
        let cache = NearCache::new(shared.clone());
        SessionManager::builder(cache, ring()).build().unwrap()
    };
    let (here, there) = (node(), node());
    let mut admin = Visitor::new(here);
    let (handle, session) = admin.load().await;
    session.insert("role", "admin").unwrap();
    assert!(admin.finish(&handle).await.refusal.is_none());
    // An old cookie on a node that hears nothing for the moment.
    let elsewhere = admin.at(&there);
    let role = |session: &Session| session.get::<String>("role").unwrap();
    assert_eq!(role(&elsewhere.load().await.1).unwrap(), "admin");
    shared.silence();
    let (handle, session) = admin.load().await;
    session.insert("role", "user").unwrap();
    assert!(admin.finish(&handle).await.refusal.is_none());

    let (_, session) = elsewhere.load().await;
    assert_eq!(
        role(&session).unwrap(),
        "admin",
        "within the staleness bound"
    );
    session.refresh().await.unwrap();
    assert_eq!(role(&session).unwrap(), "user");

    let (handle, session) = admin.load().await;
    session.destroy().unwrap();
    assert!(admin.finish(&handle).await.refusal.is_none());
    let (_, session) = elsewhere.load().await;
    assert!(matches!(session.refresh().await, Err(SessionError::Gone)));
}
