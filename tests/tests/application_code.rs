//! What code of the application may do inside of an update or a merge: read its session, panic, hold it.
//!
//! Closures were once replayed under the session's lock, where one that read its session hung its thread for
//! good; a merge that panicked took other requests along.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tenure_core::{KeyRing, MemoryStore, Session, SessionError, SessionManager};
use tenure_testing::{Moment, SlowStore, Verb};
use tenure_tests::Visitor;

fn manager() -> SessionManager {
    SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .build()
        .unwrap()
}

async fn visitor(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("x", 5_u64).unwrap())
        .await;
    visitor
}

/// Adds another value of the session, which the closure reads for itself.
fn add_x(session: &Session) {
    let own = session.clone();
    session
        .update("n", move |n: Option<u64>| {
            n.unwrap_or(0) + own.get::<u64>("x").unwrap().unwrap_or(0)
        })
        .unwrap();
}

#[tokio::test]
async fn a_closure_may_read_its_session_whenever_it_is_replayed() {
    let manager = manager();
    let mut visitor = visitor(&manager).await;
    let (handle, session) = visitor.load().await;
    add_x(&session);
    session.refresh().await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(5_u64));
    // Another request is faster, so that the commit replays it.
    visitor
        .request(async |other| other.insert("y", 1).unwrap())
        .await;
    session.commit().await.unwrap();
    add_x(&session);
    assert!(handle.finish(200).await.refusal.is_none());
    assert_eq!(visitor.load().await.1.get("n").unwrap(), Some(10_u64));
}

#[tokio::test]
async fn a_closure_that_changes_its_own_value_comes_to_an_end() {
    let visitor = visitor(&manager()).await;
    let (_handle, session) = visitor.load().await;
    let (own, calls) = (session.clone(), AtomicU64::new(100));
    let outcome = session.update("x", move |x: Option<u64>| {
        let call = calls.fetch_add(1, Ordering::Relaxed);
        own.insert("x", call).unwrap();
        x.unwrap_or(0) + 1
    });
    assert!(matches!(outcome, Err(SessionError::UpdateRecursed { key, .. }) if key == "x"));
}

#[tokio::test]
async fn a_closure_that_changes_its_session_when_it_is_replayed_stops_no_refresh() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    let (own, calls) = (session.clone(), AtomicU64::new(0));
    session
        .update("n", move |n: Option<u64>| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            if call > 0 {
                let _ = own.insert("calls", call);
            }
            n.unwrap_or(0) + 1
        })
        .unwrap();
    visitor
        .request(async |other| other.insert("n", 7_u64).unwrap())
        .await;
    session.refresh().await.unwrap();
    assert!(handle.finish(200).await.refusal.is_none());
    assert_eq!(visitor.load().await.1.get("n").unwrap(), Some(8_u64));
}

#[tokio::test]
async fn a_request_that_is_dropped_is_freed_although_its_closure_holds_the_session() {
    let visitor = visitor(&manager()).await;
    let canary = Arc::new(());
    for outlives_the_handle in [false, true] {
        let (handle, session) = visitor.load().await;
        let (own, captured) = (session.clone(), Arc::clone(&canary));
        session
            .update("n", move |n: Option<u64>| {
                let _ = (&own, &captured);
                n.unwrap_or(0) + 1
            })
            .unwrap();
        if outlives_the_handle {
            drop(handle);
            assert!(matches!(session.insert("n", 1), Err(SessionError::Sealed)));
            let outcome = session.commit().await;
            assert!(
                matches!(outcome, Err(SessionError::Sealed)),
                "not as if it were done"
            );
        }
    }
    assert_eq!(Arc::strong_count(&canary), 1);
}

/// Three requests in one line: one at its head, and behind it one that is innocent and one whose code
/// panics.
#[tokio::test]
async fn a_merge_or_a_drop_that_panics_fails_no_other_request() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .merge("cart", |_, _, _| -> Option<u64> {
            panic!("a bug in the merge")
        })
        .build()
        .unwrap();
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let commit = |change: fn(&Session)| {
        let visitor = visitor.clone();
        tokio::spawn(async move {
            let (handle, session) = visitor.load().await;
            change(&session);
            handle.finish(200).await.refusal
        })
    };
    let head = commit(|session| session.insert("cart", 1_u64).unwrap());
    gate.arrivals(1).await;
    let innocent = commit(|session| session.insert("other", 1_u64).unwrap());
    let conflicting = commit(|session| {
        assert_eq!(session.get::<u64>("cart").unwrap(), None);
        session.insert("cart", 2_u64).unwrap();
    });
    let left = commit(|session| {
        let bomb = Bomb;
        session
            .update("n", move |n: Option<u64>| {
                let _ = &bomb;
                n.unwrap_or(0) + 1
            })
            .unwrap();
    });
    tokio::task::yield_now().await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    left.abort();
    assert!(left.await.unwrap_err().is_cancelled());
    gate.open();
    assert!(head.await.unwrap().is_none());
    assert!(innocent.await.unwrap().is_none());
    let refusal = conflicting.await.unwrap();
    assert!(matches!(refusal, Some(SessionError::ReplayPanicked { key, .. }) if key == "cart"));
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bug in what a closure has captured");
        }
    }
}
