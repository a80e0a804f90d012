//! Each URL leads to its store, which does all that the store does.

#![cfg(all(feature = "redis", feature = "sqlite"))]
#![expect(
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

use std::{error::Error, sync::Arc, time::Duration};

use tenure_core::{
    Clock, Commit, Confirm, Confirmation, Create, Delete, Ending, FeedListener, Freshness, Load,
    LoginCursor, LoginName, LoginSeen, Part, Record, Renewal, Reservation, Reserve, SessionId,
    SessionIndex, SessionStore, SystemClock, Touch, VersionUse, Whose,
};
use tenure_stores::{AnyStore, ConnectError, StoreUrl};
use tenure_testing::{RedisServer, records};

/// One session's life, and its user's, through every verb.
async fn holds_a_session(store: &AnyStore) {
    let now = SystemClock.now();
    let created = records::fresh(now);
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
    has_an_index(store, &created).await;
    assert_eq!(store.delete(id, whose).await.unwrap(), Delete::Deleted);
    let outcome = store.load(id, Freshness::Latest).await;
    assert_eq!(outcome.unwrap(), Load::Absent);
}

async fn has_an_index(store: &AnyStore, record: &Record) {
    let (user, login) = (record.principal().unwrap(), LoginName::of(record).unwrap());
    let (ends_at, standing) = (record.absolute_end(), store.standing(user).await.unwrap());
    let reservation = Reservation {
        login,
        replaces: None,
        limit: None,
        fence: None,
        dead: Vec::new(),
        kept_until: ends_at,
    };
    let epoch = standing.epoch;
    let reserved = store.reserve(user, reservation).await.unwrap();
    assert!(matches!(reserved, Reserve::Admitted { epoch: found, .. } if found == epoch));
    let confirmation = Confirmation {
        login,
        replaces: None,
        epoch,
        ends_at,
    };
    let confirmed = store.confirm(user, confirmation).await.unwrap();
    assert_eq!(confirmed, Confirm::Confirmed);
    let seen = LoginSeen {
        login,
        epoch,
        ends_at,
    };
    assert_eq!(store.touch(user, seen).await.unwrap(), Touch::Known);
    let listed = store.logins(user, None, 10).await.unwrap().logins;
    assert_eq!(listed, [LoginCursor { ends_at, login }]);
    let users = store.users(None).await.unwrap();
    assert!(users.users.contains(user) || users.next.is_some());
    assert!(store.condemn(user, login).await.unwrap());
    let ending = Ending {
        tag: record.login().stamp.as_u64(),
        spares: None,
        blocks: true,
        kept_until: ends_at,
    };
    let ended = store.end(user, ending).await.unwrap();
    assert_eq!(ended.condemned, [login]);
    store.settle(user, vec![login]).await.unwrap();
    store.unblock(user, ended.epoch).await.unwrap();
    let standing = store.standing(user).await.unwrap();
    assert_eq!((standing.epoch, standing.blocked_in), (ended.epoch, None));
    let gate = store.gate().await.unwrap().next(record.created_at());
    assert_eq!(store.raise_gate(gate).await.unwrap(), gate);
}

#[derive(Debug)]
struct Deaf;

impl FeedListener for Deaf {
    fn changed(&self, _: SessionId) {}

    fn lost(&self, _: Part) {}
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
    fed.feed.prove(Part::ONLY).await.unwrap();
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
