//! Many writes in one transaction: they share the wait for the disk, and nothing else.

use std::fs;

use futures_util::future::join_all;
use rusqlite::Connection;
use tenure_core::{
    Commit, Create, LoginName, Record, Reservation, Reserve, SessionIndex, SessionStore,
    StoreError, StoreErrorKind,
};
use tenure_sqlite::SqliteStore;
use tenure_testing::records;

use crate::support::{Place, holds, lacks, quoted};

/// Creates sessions all at once: while the file is locked they wait for each other, so that they go into one
/// transaction. In their order, what became of them.
async fn created_together(
    store: &SqliteStore,
    other: &Connection,
    sessions: &[Record],
) -> Vec<Result<Create, StoreError>> {
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let calls = sessions
        .iter()
        .cloned()
        .map(|session| store.create(session));
    // Each is polled, and with that waiting, before the lock goes.
    let unlock = async { other.execute_batch("COMMIT").unwrap() };
    let (outcomes, ()) = tokio::join!(join_all(calls), unlock);
    outcomes
}

/// How many transactions the log holds: frames that end one say how large the file is after it.
fn transactions(place: &Place) -> usize {
    let log = fs::read(place.beside("-wal")).unwrap();
    let (head, frames) = log.split_at(32);
    let page = u32::from_be_bytes(head[8..12].try_into().unwrap());
    let salt = &head[16..24];
    frames
        .chunks_exact(24 + usize::try_from(page).unwrap())
        // What is left of earlier rounds has another salt.
        .filter(|frame| frame[8..16] == *salt && frame[4..8] != [0; 4])
        .count()
}

#[tokio::test]
async fn writes_that_wait_for_each_other_share_a_transaction() {
    let place = Place::new();
    let store = place.open().await;
    let other = place.other();
    let sessions: Vec<_> = (0..100).map(|_| place.fresh()).collect();
    let before = transactions(&place);
    let outcomes = created_together(&store, &other, &sessions).await;
    assert!(outcomes.iter().all(|it| matches!(it, Ok(Create::Created))));
    assert_eq!(transactions(&place) - before, 1);
    for session in &sessions {
        holds(&store, session).await;
    }
}

#[tokio::test]
async fn commits_to_one_session_in_one_transaction_still_conflict() {
    let place = Place::new();
    let store = place.open().await;
    let base = place.live(&store).await;
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (one, two) = (records::successor(&base), records::successor(&base));
    let calls = async {
        tokio::join!(
            store.commit(base.version(), one.clone()),
            store.commit(base.version(), two.clone()),
            async { other.execute_batch("COMMIT").unwrap() },
        )
    };
    let (first, second, ()) = calls.await;
    assert_eq!(first.unwrap(), Commit::Stored);
    assert_eq!(second.unwrap(), Commit::Conflict(one.clone()));
    holds(&store, &one).await;
}

/// Lets SQLite do something when this session is created.
fn trigger(other: &Connection, session: &Record, action: &str) {
    let id = quoted(session);
    let sql = format!(
        "CREATE TRIGGER fault BEFORE INSERT ON sessions WHEN new.id = {id} BEGIN {action}; END"
    );
    other.execute_batch(&sql).unwrap();
}

async fn one_fails_alone(action: &str) {
    let place = Place::new();
    let store = place.open().await;
    let other = place.other();
    let sessions: Vec<_> = (0..9).map(|_| place.fresh()).collect();
    trigger(&other, &sessions[4], action);
    let outcomes = created_together(&store, &other, &sessions).await;
    for (index, (session, outcome)) in sessions.iter().zip(outcomes).enumerate() {
        if index == 4 {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Refused);
            assert!(!error.outcome_unknown());
            lacks(&store, session).await;
        } else {
            assert_eq!(outcome.unwrap(), Create::Created);
            holds(&store, session).await;
        }
    }
}

#[tokio::test]
async fn a_write_that_fails_does_not_fail_those_beside_it() {
    one_fails_alone("SELECT raise(ABORT, 'by the test')").await;
}

#[tokio::test]
async fn a_write_that_makes_sqlite_roll_all_back_does_not_fail_those_beside_it() {
    one_fails_alone("SELECT raise(ROLLBACK, 'by the test')").await;
}

#[tokio::test]
async fn after_a_fault_at_the_end_of_a_transaction_nobody_in_it_is_told_that_nothing_happened() {
    let place = Place::new();
    let store = place.open().await;
    let other = place.other();
    // What is wrong with it shows at the end.
    other
        .execute_batch(
            "CREATE TABLE there (id INTEGER PRIMARY KEY);
             CREATE TABLE here (id INTEGER REFERENCES there (id) DEFERRABLE INITIALLY DEFERRED);",
        )
        .unwrap();
    let sessions: Vec<_> = (0..3).map(|_| place.fresh()).collect();
    trigger(&other, &sessions[1], "INSERT INTO here VALUES (1)");
    let outcomes = created_together(&store, &other, &sessions).await;
    for (session, outcome) in sessions.iter().zip(outcomes) {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Interrupted);
        assert!(error.outcome_unknown());
        lacks(&store, session).await;
    }
    let next = place.live(&store).await;
    holds(&store, &next).await;
}

#[tokio::test]
async fn a_file_at_its_limit_refuses_what_needs_room_and_nothing_else() {
    let place = Place::new();
    let store = place
        .builder()
        .max_file_bytes(256 << 10)
        .open()
        .await
        .unwrap();
    let mut stored = Vec::new();
    let full = loop {
        let session = records::padded(&place.fresh(), 8 << 10);
        match store.create(session.clone()).await {
            Ok(created) => assert_eq!(created, Create::Created),
            Err(error) => break error,
        }
        stored.push(session);
        assert!(stored.len() < 100, "there is a limit");
    };
    assert_eq!(full.kind(), StoreErrorKind::Full);
    assert!(full.is_retryable() && !full.outcome_unknown());
    let advice = std::error::Error::source(&full).unwrap().to_string();
    assert!(advice.contains("free some space"), "{advice}");

    // Among those that need room, the ones that need none get on.
    let other = place.other();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let first = stored.remove(0);
    let next = records::successor(&first);
    let (too_much, committed, ()) = tokio::join!(
        store.create(records::padded(&place.fresh(), 64 << 10)),
        store.commit(first.version(), next.clone()),
        async { other.execute_batch("COMMIT").unwrap() },
    );
    assert_eq!(too_much.unwrap_err().kind(), StoreErrorKind::Full);
    assert_eq!(committed.unwrap(), Commit::Stored);
    holds(&store, &next).await;
    for session in &stored {
        holds(&store, session).await;
    }

    // Those that have ended make room.
    place.clock.set(next.absolute_end());
    let session = records::padded(&place.fresh(), 8 << 10);
    let created = store.create(session.clone()).await;
    assert_eq!(created.unwrap(), Create::Created);
    holds(&store, &session).await;
}

/// A verb of the login index is several statements; what fails in the middle leaves nothing behind.
#[tokio::test]
async fn a_step_of_the_index_happens_whole_or_not_at_all() {
    let place = Place::new();
    let store = place.open().await;
    let other = place.other();
    let session = place.fresh();
    let user = session.principal().unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER fault BEFORE INSERT ON logins BEGIN SELECT raise(ABORT, 'by the test'); END",
        )
        .unwrap();
    let reservation = Reservation {
        login: LoginName::of(&session).unwrap(),
        replaces: None,
        limit: None,
        fence: None,
        dead: Vec::new(),
        kept_until: session.absolute_end(),
    };
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (refused, created, ()) = tokio::join!(
        store.reserve(user, reservation.clone()),
        store.create(session.clone()),
        async { other.execute_batch("COMMIT").unwrap() },
    );
    assert_eq!(refused.unwrap_err().kind(), StoreErrorKind::Refused);
    assert_eq!(created.unwrap(), Create::Created);
    let rolls = || -> i64 {
        let count = "SELECT count(*) FROM rolls";
        place
            .other()
            .query_row(count, (), |row| row.get(0))
            .unwrap()
    };
    assert_eq!(rolls(), 0);
    other.execute_batch("DROP TRIGGER fault").unwrap();
    let admitted = store.reserve(user, reservation).await.unwrap();
    assert!(matches!(admitted, Reserve::Admitted { .. }));
    assert_eq!(rolls(), 1);
}
