//! Each URL leads to its store, which does all that the store does.

#![cfg(all(feature = "redis", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

use std::{error::Error, sync::Arc, time::Duration};

use tenure_core::{
    Clock, Commit, Create, Delete, FeedListener, Freshness, Load, Renewal, SessionId, SessionStore,
    SystemClock, VersionUse, Whose,
};
use tenure_stores::{AnyStore, ConnectError, StoreUrl};
use tenure_testing::{RedisServer, records};

/// One session's life, through every verb.
async fn holds_a_session(store: &AnyStore) {
    let created = records::fresh(SystemClock.now());
    let (id, whose) = (created.id(), Whose::Login(created.login().stamp));
    let outcome = store.create(created.clone()).await.unwrap();
    assert_eq!(outcome, Create::Created);
    let next = records::successor(&created);
    let outcome = store.commit(created.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    let outcome = store.renew(id, whose, next.lease_end()).await;
    assert_eq!(outcome.unwrap(), Renewal::Renewed(next.version()));
    let outcome = store.load(id, Freshness::Latest).await;
    assert_eq!(outcome.unwrap(), Load::Found(next));
    assert_eq!(store.delete(id, whose).await.unwrap(), Delete::Deleted);
    let outcome = store.load(id, Freshness::Latest).await;
    assert_eq!(outcome.unwrap(), Load::Absent);
}

#[derive(Debug)]
struct Deaf;

impl FeedListener for Deaf {
    fn changed(&self, _: SessionId) {}

    fn lost(&self) {}
}

#[tokio::test]
async fn memory() {
    let store = tenure_stores::connect("memory:").await.unwrap();
    holds_a_session(&store).await;
    assert_eq!(store.version_use(), VersionUse::Unused);
    assert!(store.feed(Arc::new(Deaf)).is_none());
    assert!(format!("{store:?}").contains("MemoryStore"));
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.db");
    let store = tenure_stores::connect(&format!("sqlite:{}", path.display())).await;
    let store = store.unwrap();
    holds_a_session(&store).await;
    assert!(path.exists());
    assert_eq!(store.version_use(), VersionUse::Witness);
    assert!(store.feed(Arc::new(Deaf)).is_none());
}

#[tokio::test]
async fn redis() {
    let server = RedisServer::start();
    let store = tenure_stores::connect(&server.url()).await.unwrap();
    holds_a_session(&store).await;
    assert_eq!(store.version_use(), VersionUse::Witness);
    let fed = store.feed(Arc::new(Deaf)).unwrap();
    holds_a_session(&fed.store).await;
    fed.feed.prove().await.unwrap();
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_says_why() {
    let error = tenure_stores::connect("sqlite:/nowhere/sessions.db").await;
    let error = error.unwrap_err();
    assert!(matches!(
        error,
        ConnectError::Store {
            scheme: "sqlite",
            ..
        }
    ));
    let source = error.source().unwrap().to_string();
    assert!(source.contains("create it"), "{source}");
    let url: StoreUrl = "redis://127.0.0.1:1".parse().unwrap();
    let error = url.deadline(Duration::from_millis(300)).connect().await;
    assert!(matches!(
        error.unwrap_err(),
        ConnectError::Store {
            scheme: "redis",
            ..
        }
    ));
}
