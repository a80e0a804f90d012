//! Requests that commit more than once, and what others commit in between.
//!
//! A request whose commit went in together with others' once took what it saw for what was stored, and
//! its next commit overwrote theirs, although they had been acknowledged. And a commit once moved the base
//! of what the request had read before, so that a later change overwrote a newer value without a conflict.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::time::Duration;

use tenure_core::{KeyRing, MemoryStore, Session, SessionError, SessionManager};
use tenure_testing::{Moment, SlowStore, SpyStore, Verb};
use tenure_tests::{LatentStore, Visitor, settle};

fn increment(session: &Session) -> u64 {
    let count = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    count.unwrap()
}

async fn visitor(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("x", 1).unwrap())
        .await;
    visitor
}

async fn value(visitor: &Visitor, key: &str) -> Option<u64> {
    visitor.load().await.1.get(key).unwrap()
}

#[tokio::test]
async fn a_second_commit_after_a_shared_one_keeps_what_others_have_written() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let [head, twice, other] = [(); 3].map(|()| visitor.clone());
    let head = tokio::spawn(async move {
        let (handle, session) = head.load().await;
        session.insert("head", 1).unwrap();
        handle.finish(200).await.refusal
    });
    gate.arrivals(1).await;
    // These two line up behind the head and are committed together, in this order.
    let (handle, session) = twice.load().await;
    session.insert("first", 1).unwrap();
    increment(&session);
    let first = tokio::spawn({
        let session = session.clone();
        async move { session.commit().await }
    });
    settle().await;
    let other = tokio::spawn(async move {
        let (handle, session) = other.load().await;
        session.insert("other", 1).unwrap();
        increment(&session);
        handle.finish(200).await.refusal
    });
    settle().await;
    gate.open();
    assert!(head.await.unwrap().is_none());
    first.await.unwrap().unwrap();
    assert!(other.await.unwrap().is_none(), "acknowledged");
    assert_eq!(session.get("n").unwrap(), Some(1), "its own increment");

    session.insert("second", 1).unwrap();
    assert_eq!(increment(&session), 2, "a preview");
    assert!(handle.finish(200).await.refusal.is_none());
    for key in ["head", "first", "other", "second"] {
        assert_eq!(value(&visitor, key).await, Some(1), "{key}");
    }
    assert_eq!(value(&visitor, "n").await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn increments_of_detached_sessions_and_of_requests_add_up() {
    let store = LatentStore::new(MemoryStore::new(), Duration::from_millis(5));
    let manager = SessionManager::builder(store, KeyRing::generate().unwrap())
        .deadline(Duration::from_secs(20))
        .build()
        .unwrap();
    let visitor = visitor(&manager).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let visitor = visitor.clone();
        tasks.spawn(async move {
            let session = visitor.load().await.1.detach().unwrap();
            for _ in 0..ROUNDS {
                increment(&session);
                session.commit().await.unwrap();
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        });
    }
    for _ in 0..4 {
        let mut visitor = visitor.clone();
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                visitor.request(async |session| increment(session)).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(value(&visitor, "n").await, Some(6 * ROUNDS));
}

const ROUNDS: u64 = 100;

#[tokio::test]
async fn a_value_read_before_a_commit_conflicts_after_it_if_another_request_has_replaced_it() {
    let manager = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let mut visitor = visitor(&manager).await;
    for looks_again in [false, true] {
        let (handle, session) = visitor.load().await;
        let x: u64 = session.get("x").unwrap().unwrap();
        visitor
            .request(async |other| other.insert("x", 10 * x).unwrap())
            .await;
        session
            .update("progress", |n: Option<u64>| n.unwrap_or(0) + 1)
            .unwrap();
        session.commit().await.unwrap();
        if looks_again {
            assert_eq!(session.get("x").unwrap(), Some(10 * x));
        }
        session.insert("x", x + 1).unwrap();
        let refusal = handle.finish(200).await.refusal;
        if looks_again {
            assert!(refusal.is_none(), "{refusal:?}");
        } else {
            assert!(matches!(refusal, Some(SessionError::Conflict { key, .. }) if key == "x"));
            assert_eq!(value(&visitor, "x").await, Some(10 * x));
        }
    }
}

#[tokio::test]
async fn what_a_request_has_written_itself_is_no_conflict_at_its_next_commit() {
    let manager = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let newcomer = Visitor::new(manager.clone());
    for visitor in [newcomer, visitor(&manager).await] {
        let (handle, session) = visitor.load().await;
        let step = session.get::<u64>("step").unwrap();
        assert_eq!(step, None);
        for step in 1..4_u64 {
            session.insert("step", step).unwrap();
            session.commit().await.unwrap();
        }
        assert!(handle.finish(200).await.refusal.is_none());
    }
}

#[tokio::test]
async fn changes_that_change_nothing_are_no_commits() {
    let spy = SpyStore::new(MemoryStore::new());
    let manager = SessionManager::builder(spy.clone(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let mut visitor = visitor(&manager).await;
    spy.log().clear();
    visitor
        .request(async |session| {
            let x: u64 = session.get("x").unwrap().unwrap();
            session.insert("x", x).unwrap();
            assert!(!session.contains("y").unwrap());
            session.remove("y").unwrap();
        })
        .await;
    assert_eq!(spy.log().count(Verb::Commit), 0);
    visitor
        .request(async |session| {
            session.get::<u64>("x").unwrap();
            session.insert("x", 2).unwrap();
            // Back to what was read: but by way of another value, in one request.
            session.insert("x", 1).unwrap();
        })
        .await;
    assert_eq!(spy.log().count(Verb::Commit), 1);
    assert_eq!(value(&visitor, "x").await, Some(1));
    visitor
        .request(async |session| session.clear().unwrap())
        .await;
    assert_eq!(spy.log().count(Verb::Commit), 2);
    visitor
        .request(async |session| session.clear().unwrap())
        .await;
    assert_eq!(spy.log().count(Verb::Commit), 2, "it was empty");
}
