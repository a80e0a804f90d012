//! Other processes on the same file, and disks that do not answer.

use std::{sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use tenure_core::{
    Clock, Commit, Create, Freshness, Load, SessionStore, StoreErrorKind, Timestamp,
};
use tenure_testing::{ManualClock, records};
use tokio::task::JoinSet;

use crate::support::{Place, eventually, holds, lacks};

#[tokio::test]
async fn two_stores_on_one_file_see_each_others_writes_at_once() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let mut session = place.live(&one).await;
    for turn in 0..20 {
        let (writer, reader) = if turn % 2 == 0 {
            (&two, &one)
        } else {
            (&one, &two)
        };
        holds(reader, &session).await;
        let next = records::successor(&session);
        let committed = writer.commit(session.version(), next.clone()).await;
        assert_eq!(committed.unwrap(), Commit::Stored);
        let late = records::successor(&session);
        let conflict = reader.commit(session.version(), late).await;
        assert_eq!(conflict.unwrap(), Commit::Conflict(next.clone()));
        session = next;
    }
}

#[tokio::test]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let place = Place::new();
    let mut openings = JoinSet::new();
    for _ in 0..12 {
        openings.spawn(place.builder().open());
    }
    let stores: Vec<_> = openings.join_all().await;
    let stores: Vec<_> = stores.into_iter().map(Result::unwrap).collect();
    let session = place.live(&stores[0]).await;
    for store in &stores {
        holds(store, &session).await;
    }
}

#[tokio::test]
async fn the_next_process_takes_over_while_the_last_one_still_works() {
    let place = Place::new();
    let old = place.open().await;
    let session = place.live(&old).await;
    let new = place.open().await;
    holds(&new, &session).await;
    let next = records::successor(&session);
    let committed = old.commit(session.version(), next.clone()).await;
    assert_eq!(committed.unwrap(), Commit::Stored);
    old.close().await;
    holds(&new, &next).await;
    assert!(place.beside("-wal").exists(), "it is in use");
    new.close().await;
    assert!(!place.beside("-wal").exists(), "nobody uses it any more");
}

#[tokio::test]
async fn reads_go_on_while_another_process_writes() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.live(&store).await;
    let other = place.other();
    other
        .execute_batch("BEGIN EXCLUSIVE; DELETE FROM sessions")
        .unwrap();
    holds(&store, &session).await;
    other.execute_batch("COMMIT").unwrap();
    lacks(&store, &session).await;
}

#[tokio::test]
async fn a_write_waits_for_another_process() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.fresh();
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let writing = tokio::spawn({
        let (store, session) = (store.clone(), session.clone());
        async move { store.create(session).await }
    });
    lacks(&store, &session).await;
    assert!(!writing.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(writing.await.unwrap().unwrap(), Create::Created);
}

#[tokio::test]
async fn what_another_process_locks_out_for_too_long_has_not_happened_and_never_will() {
    let place = Place::new();
    let store = place
        .builder()
        .deadline(Duration::from_millis(100))
        .open()
        .await
        .unwrap();
    let session = place.fresh();
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.create(session.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(!error.outcome_unknown());
    other.execute_batch("COMMIT").unwrap();
    // Behind it in the queue, and so not the only one to be late.
    let next = place.fresh();
    let _ = store.create(next).await;
    store.close().await;
    lacks(&place.open().await, &session).await;
}

#[tokio::test]
async fn a_write_whose_caller_leaves_while_it_waits_does_not_happen() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.fresh();
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let late = tokio::time::timeout(Duration::from_millis(20), store.create(session.clone()));
    assert!(late.await.is_err());
    other.execute_batch("COMMIT").unwrap();
    place.live(&store).await;
    lacks(&store, &session).await;
}

/// A clock that the writing thread reads when it has begun a transaction and chosen what goes into it: there it
/// stops, for as long as the gate is shut.
#[derive(Clone, Debug)]
struct Gate {
    clock: ManualClock,
    shut: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn shut(place: &Place) -> Self {
        Self {
            clock: place.clock.clone(),
            shut: Arc::new((Mutex::new(true), Condvar::new())),
        }
    }

    fn open(&self) {
        *self.shut.0.lock() = false;
        self.shut.1.notify_all();
    }
}

impl Clock for Gate {
    fn now(&self) -> Timestamp {
        if std::thread::current().name() == Some("tenure-sqlite-write") {
            let (shut, opened) = &*self.shut;
            opened.wait_while(&mut shut.lock(), |shut| *shut);
        }
        self.clock.now()
    }
}

#[tokio::test]
async fn a_write_that_is_too_slow_may_have_happened_and_says_so() {
    let place = Place::new();
    let gate = Gate::shut(&place);
    let deadline = Duration::from_millis(500);
    let store = place.builder().deadline(deadline).clock(gate.clone());
    let store = store.open().await.unwrap();
    let session = place.fresh();
    let error = store.create(session.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert!(error.outcome_unknown());
    gate.open();
    store.close().await;
    holds(&place.open().await, &session).await;
}

#[tokio::test]
async fn a_read_behind_a_write_that_was_given_up_sees_what_that_has_left() {
    let place = Place::new();
    let bystander = place.live(&place.open().await).await;
    let gate = Gate::shut(&place);
    let store = place.builder().clock(gate.clone()).open().await.unwrap();
    let session = place.fresh();
    let given_up = tokio::time::timeout(Duration::from_millis(500), store.create(session.clone()));
    assert!(given_up.await.is_err(), "the gate is shut");
    // Whoever reads something else need not wait.
    holds(&store, &bystander).await;
    let reading = tokio::spawn({
        let (store, session) = (store.clone(), session.clone());
        async move { holds(&store, &session).await }
    });
    holds(&store, &bystander).await;
    assert!(!reading.is_finished());
    gate.open();
    reading.await.unwrap();
}

#[tokio::test]
async fn more_calls_than_may_wait_are_refused_at_once() {
    let place = Place::new();
    let store = place.builder().max_waiting(2).open().await.unwrap();
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (store, session) = (store.clone(), place.fresh());
            tokio::spawn(async move { store.create(session).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let refused = store.create(place.fresh()).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Unavailable);
    other.execute_batch("COMMIT").unwrap();
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap(), Create::Created);
    }
}

#[tokio::test]
async fn four_stores_lose_no_increment_of_one_session() {
    let place = Place::new();
    let first = place.open().await;
    let base = place.live(&first).await;
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let (store, id) = (place.open().await, base.id());
        writers.spawn(async move {
            let mut stored = 0;
            while stored < 50 {
                let Load::Found(found) = store.load(id, Freshness::Latest).await.unwrap() else {
                    panic!("the session is gone");
                };
                let next = records::successor(&found);
                match store.commit(found.version(), next).await.unwrap() {
                    Commit::Stored => stored += 1,
                    Commit::Conflict(_) => {}
                    outcome => panic!("{outcome:?}"),
                }
            }
        });
    }
    writers.join_all().await;
    let Load::Found(last) = first.load(base.id(), Freshness::Latest).await.unwrap() else {
        panic!("the session is gone");
    };
    assert_eq!(last.version().counter(), base.version().counter() + 200);
}

#[tokio::test]
async fn a_closed_store_says_so_and_its_sessions_are_there_when_it_is_opened_again() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.live(&store).await;
    let clone = store.clone();
    store.close().await;
    let write = clone.create(place.fresh()).await.unwrap_err();
    let read = clone
        .load(session.id(), Freshness::Latest)
        .await
        .unwrap_err();
    assert_eq!(write.kind(), StoreErrorKind::Unavailable);
    assert_eq!(read.kind(), StoreErrorKind::Unavailable);
    holds(&place.open().await, &session).await;
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_file() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.live(&store).await;
    let clone = store.clone();
    drop(store);
    holds(&clone, &session).await;
    drop(clone);
    eventually("the log is gone", || !place.beside("-wal").exists()).await;
    holds(&place.open().await, &session).await;
}
