//! Sessions that are changed when the response has left, each read back by a second request.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use tenure_core::{KeyRing, MemoryStore, Session, SessionError, SessionManager};
use tenure_tests::{Visitor, capture};

/// A visitor with a session, and what is left of it behind a response.
async fn visited() -> (Visitor, Session) {
    let keys = KeyRing::generate().unwrap();
    let manager = SessionManager::builder(MemoryStore::new(), keys).build();
    let mut visitor = Visitor::new(manager.unwrap());
    visitor
        .request(async |session| session.insert("n", 1).unwrap())
        .await;
    let detached = visitor.request(async |session| session.detach()).await;
    (visitor, detached.unwrap())
}

async fn number(visitor: &Visitor, key: &str) -> Option<u32> {
    visitor.load().await.1.get(key).unwrap()
}

fn increment(session: &Session) {
    let next = |n: Option<u32>| n.unwrap_or(0) + 1;
    session.update("n", next).unwrap();
}

#[tokio::test]
async fn what_is_committed_behind_the_response_is_read_by_the_next_request() {
    let (mut visitor, detached) = visited().await;
    for n in 2..5 {
        increment(&detached);
        detached.commit().await.unwrap();
        assert_eq!(detached.get("n").unwrap(), Some(n));
        assert_eq!(number(&visitor, "n").await, Some(n));
    }
    // Both go on side by side, and lose nothing.
    visitor.request(async |session| increment(session)).await;
    increment(&detached);
    detached.commit().await.unwrap();
    assert_eq!(number(&visitor, "n").await, Some(6));
}

#[tokio::test]
async fn it_begins_with_what_was_committed_and_not_with_what_the_request_is_about_to_change() {
    let (mut visitor, _) = visited().await;
    let detached = visitor
        .request(async |session| {
            session.insert("n", 5).unwrap();
            let early = session.detach().unwrap();
            assert_eq!(early.get("n").unwrap(), Some(1));
            session.commit().await.unwrap();
            session.detach().unwrap()
        })
        .await;
    assert_eq!(detached.get("n").unwrap(), Some(5));
}

#[tokio::test]
async fn it_can_end_the_session_but_change_no_cookie() {
    let (visitor, detached) = visited().await;
    for refused in [detached.login("ada"), detached.rotate()] {
        assert!(matches!(refused, Err(SessionError::Sealed)));
    }
    detached.destroy().unwrap();
    detached.commit().await.unwrap();
    assert_eq!(number(&visitor, "n").await, None);
}

#[tokio::test]
async fn it_ends_with_the_session_and_with_the_secret_that_it_knew() {
    let (mut visitor, detached) = visited().await;
    visitor
        .request(async |session| session.login("ada").unwrap())
        .await;
    increment(&detached);
    let outcome = detached.commit().await;
    assert!(matches!(outcome, Err(SessionError::Superseded)));

    let (mut visitor, detached) = visited().await;
    visitor
        .request(async |session| session.destroy().unwrap())
        .await;
    increment(&detached);
    let outcome = detached.commit().await;
    assert!(matches!(outcome, Err(SessionError::Gone)));
    assert_eq!(number(&visitor, "n").await, None);
}

#[tokio::test]
async fn there_is_none_where_nothing_is_stored() {
    let keys = KeyRing::generate().unwrap();
    let manager = SessionManager::builder(MemoryStore::new(), keys).build();
    let stranger = Visitor::new(manager.unwrap());
    let (_handle, session) = stranger.load().await;
    session.insert("n", 1).unwrap();
    assert!(session.detach().is_none());
    session.commit().await.unwrap();
    assert!(session.detach().is_some());
    session.destroy().unwrap();
    session.commit().await.unwrap();
    assert!(session.detach().is_none());
}

#[tokio::test]
async fn changes_that_were_never_committed_are_reported() {
    let log = capture();
    let (visitor, detached) = visited().await;
    increment(&detached);
    detached.commit().await.unwrap();
    drop(detached);
    assert!(log.events("session_misused").is_empty());
    for change in [increment, |session: &Session| session.destroy().unwrap()] {
        let (_, session) = visitor.load().await;
        let detached = session.detach().unwrap();
        change(&detached);
        drop(detached);
    }
    assert_eq!(log.events("session_misused").len(), 2);
    assert_eq!(number(&visitor, "n").await, Some(2));
}
