//! The line of requests that commit to one session: what becomes of it when its head goes away, when
//! the store loses replies, and when another node is always faster.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{future::Future, task::Poll, time::Duration};

use tenure_core::{
    KeyRing, MemoryStore, Session, SessionError, SessionManager, SessionStore, StoreErrorKind,
};
use tenure_testing::{FaultyStore, Gate, Moment, SlowStore, SpyStore, Verb};
use tenure_tests::{Visitor, random_key, settle};
use tokio::task::JoinHandle;

const MOMENTS: [Moment; 2] = [Moment::BeforeCall, Moment::AfterCall];

fn node(store: impl SessionStore, keys: &str) -> SessionManager {
    let keys: KeyRing = keys.parse().unwrap();
    SessionManager::builder(store, keys)
        .deadline(Duration::from_secs(60))
        .build()
        .unwrap()
}

fn increment(session: &Session) -> Result<u64, SessionError> {
    session.update("count", |count: Option<u64>| count.unwrap_or(0) + 1)
}

async fn count(visitor: &Visitor) -> u64 {
    visitor.load().await.1.get("count").unwrap().unwrap_or(0)
}

/// A visitor with a session whose count is 0.
async fn visitor(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("count", 0_u64).unwrap())
        .await;
    visitor
}

/// A request that increments the count, up to the point where it hangs in the store or in the line.
async fn incrementing(visitor: &Visitor) -> JoinHandle<Option<SessionError>> {
    let (handle, session) = visitor.load().await;
    increment(&session).unwrap();
    let request = tokio::spawn(async move { handle.finish(200).await.refusal });
    settle().await;
    request
}

async fn succeed(requests: impl IntoIterator<Item = JoinHandle<Option<SessionError>>>) {
    for request in requests {
        let refusal = request.await.unwrap();
        assert!(refusal.is_none(), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_committer_that_is_dropped_leaves_nothing_in_doubt() {
    for moment in MOMENTS {
        let slow = SlowStore::new(MemoryStore::new());
        let spy = SpyStore::new(slow.clone());
        let manager = node(spy.clone(), &random_key());
        let visitor = visitor(&manager).await;
        let gate: Gate = slow.hold(Verb::Commit, moment);
        let head = incrementing(&visitor).await;
        gate.arrivals(1).await;
        let followers = [incrementing(&visitor).await, incrementing(&visitor).await];
        head.abort();
        assert!(head.await.unwrap_err().is_cancelled());
        gate.open();
        succeed(followers).await;
        // The head's commit was on its way, so it counts: those behind it go on with it.
        assert_eq!(count(&visitor).await, 3, "{moment:?}");
        assert_eq!(spy.log().count(Verb::Commit), 2, "{moment:?}");
    }
}

#[tokio::test]
async fn a_follower_that_is_dropped_is_left_out_and_holds_nobody_up() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = node(slow.clone(), &random_key());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let head = incrementing(&visitor).await;
    gate.arrivals(1).await;
    let dropped = incrementing(&visitor).await;
    let last = incrementing(&visitor).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    gate.open();
    succeed([head, last]).await;
    assert_eq!(count(&visitor).await, 2);
}

#[tokio::test]
async fn a_commit_that_everybody_has_left_is_settled_by_whoever_comes_next() {
    for moment in MOMENTS {
        let slow = SlowStore::new(MemoryStore::new());
        let spy = SpyStore::new(slow.clone());
        let manager = node(spy.clone(), &random_key());
        let visitor = visitor(&manager).await;
        let gate: Gate = slow.hold(Verb::Commit, moment);
        let alone = incrementing(&visitor).await;
        gate.arrivals(1).await;
        alone.abort();
        assert!(alone.await.unwrap_err().is_cancelled());
        gate.open();
        succeed([incrementing(&visitor).await]).await;
        let abandoned = u64::from(moment == Moment::AfterCall);
        assert_eq!(count(&visitor).await, 1 + abandoned, "{moment:?}");
    }
}

/// Whoever waits with a commit that they have begun, be it in a `select!` or on a blocked thread.
#[tokio::test]
async fn a_commit_that_is_kept_and_not_polled_stops_nobody() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = node(slow.clone(), &random_key());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let (_handle, session) = visitor.load().await;
    increment(&session).unwrap();
    let mut kept = std::pin::pin!(session.commit());
    let first = std::future::poll_fn(|context| Poll::Ready(kept.as_mut().poll(context)));
    assert!(first.await.is_pending());
    let behind = [incrementing(&visitor).await, incrementing(&visitor).await];
    gate.open();
    succeed(behind).await;
    assert_eq!(count(&visitor).await, 3);
    kept.await.unwrap();
    assert_eq!(
        session.get::<u64>("count").unwrap(),
        Some(1),
        "its own increment"
    );
}

#[tokio::test]
async fn a_commit_whose_reply_was_lost_is_sent_again_and_counts_once() {
    for kind in [StoreErrorKind::Interrupted, StoreErrorKind::TimedOut] {
        for moment in MOMENTS {
            let faulty = FaultyStore::new(MemoryStore::new());
            let manager = node(faulty.clone(), &random_key());
            let mut visitor = visitor(&manager).await;
            faulty.fail_next(1, Verb::Commit, moment, kind);
            visitor
                .request(async |session| increment(session).unwrap())
                .await;
            assert_eq!(count(&visitor).await, 1, "{kind:?} {moment:?}");
        }
    }
}

#[tokio::test]
async fn a_creation_whose_reply_was_lost_is_given_up_for_another_under_another_id() {
    for moment in MOMENTS {
        let memory = MemoryStore::new();
        let faulty = FaultyStore::new(memory.clone());
        let manager = node(faulty.clone(), &random_key());
        faulty.fail_next(1, Verb::Create, moment, StoreErrorKind::Interrupted);
        let visitor = visitor(&manager).await;
        // What it may have left behind has a secret that nobody knows.
        let orphans = usize::from(moment == Moment::AfterCall);
        assert_eq!(memory.len(), 1 + orphans, "{moment:?}");
        assert_eq!(count(&visitor).await, 0);
    }
}

#[tokio::test]
async fn a_fault_fails_everybody_in_the_commit_and_nobody_after_it() {
    let slow = SlowStore::new(FaultyStore::new(MemoryStore::new()));
    let manager = node(slow.clone(), &random_key());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let first = incrementing(&visitor).await;
    gate.arrivals(1).await;
    let together = [incrementing(&visitor).await, incrementing(&visitor).await];
    slow.inner().pass_next(1, Verb::Commit);
    slow.inner().fail_next(
        1,
        Verb::Commit,
        Moment::BeforeCall,
        StoreErrorKind::Unavailable,
    );
    gate.open();
    succeed([first]).await;
    for request in together {
        let refusal = request.await.unwrap().unwrap();
        assert!(
            matches!(&refusal, SessionError::Store(error) if error.kind() == StoreErrorKind::Unavailable)
        );
        assert_eq!(refusal.status(), 503);
    }
    succeed([incrementing(&visitor).await]).await;
    assert_eq!(count(&visitor).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_others_never_stop_writing_ends_in_an_error_and_overwrites_nothing() {
    let (memory, keys) = (MemoryStore::new(), random_key());
    let slow = SlowStore::new(memory.clone());
    let (here, there) = (node(slow.clone(), &keys), node(memory, &keys));
    let visitor = visitor(&here).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let unlucky = incrementing(&visitor).await;
    let mut others = 0;
    while !unlucky.is_finished() {
        visitor
            .at(&there)
            .request(async |session| increment(session).unwrap())
            .await;
        others += 1;
        gate.admit_one();
        // Long enough for the pause between two attempts; the clock moves by itself.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let refusal = unlucky.await.unwrap().unwrap();
    assert!(
        matches!(refusal, SessionError::Contended { attempts: 256, .. }),
        "{refusal:?}"
    );
    assert_eq!(refusal.status(), 503);
    assert_eq!(count(&visitor).await, others);
}

#[tokio::test]
async fn an_update_that_panics_on_a_newer_value_fails_its_own_request_only() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = node(slow.clone(), &random_key());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let head = incrementing(&visitor).await;
    gate.arrivals(1).await;
    let (handle, session) = visitor.load().await;
    session
        .update("count", |count: Option<u64>| {
            assert_eq!(count, Some(0), "no other value was expected");
            7
        })
        .unwrap();
    let fragile = tokio::spawn(async move { handle.finish(200).await.refusal });
    settle().await;
    let last = incrementing(&visitor).await;
    gate.open();
    succeed([head, last]).await;
    assert!(matches!(
        fragile.await.unwrap(),
        Some(SessionError::ReplayPanicked { .. })
    ));
    assert_eq!(count(&visitor).await, 2);
}

#[tokio::test]
async fn a_store_that_never_answers_is_given_up_at_the_deadline() {
    async fn bounded(future: impl Future<Output = Option<SessionError>>) -> SessionError {
        let refusal = tokio::time::timeout(Duration::from_secs(10), future).await;
        refusal.expect("an end").expect("a refusal")
    }
    let slow = SlowStore::new(MemoryStore::new());
    let manager = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .deadline(Duration::from_millis(50))
        .build()
        .unwrap();
    let visitor = visitor(&manager).await;
    for verb in [Verb::Load, Verb::Commit, Verb::Delete] {
        let gate = slow.hold(verb, Moment::BeforeCall);
        let handle = visitor.open();
        let refusal = bounded(async {
            let session = match handle.load().await {
                Ok(session) => session,
                Err(error) => return Some(error),
            };
            let change = if verb == Verb::Delete {
                session.destroy()
            } else {
                increment(&session).map(drop)
            };
            change.unwrap();
            handle.finish(200).await.refusal
        });
        let refusal = refusal.await;
        assert!(
            matches!(&refusal, SessionError::Store(error) if error.kind() == StoreErrorKind::TimedOut),
            "{verb:?}"
        );
        gate.open();
    }
    // Nobody is left in the line: the session can be used as before.
    succeed([incrementing(&visitor).await]).await;
    assert_eq!(count(&visitor).await, 1);
}
