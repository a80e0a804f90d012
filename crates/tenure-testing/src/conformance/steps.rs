//! What clauses are made of: a call to the store, and what has to come of it.

use tenure_core::{
    Clock, Commit, Create, Delete, Expiry, Freshness, Load, Record, Renewal, SessionId,
    SessionStore, StoreError, Timestamp, Version, Whose,
};

use super::Fixture;
use crate::records;

/// A session that is stored and live.
pub(super) async fn live(fixture: &impl Fixture) -> Record {
    let record = records::fresh(fixture.clock().now());
    created(fixture, &record).await;
    record
}

pub(super) async fn created(fixture: &impl Fixture, record: &Record) {
    let outcome = create(fixture, record).await;
    assert_eq!(outcome, Create::Created, "a creation did not happen");
}

pub(super) async fn create(fixture: &impl Fixture, record: &Record) -> Create {
    no_fault("create", fixture.store().create(record.clone()).await)
}

pub(super) async fn load(fixture: &impl Fixture, id: SessionId) -> Load {
    no_fault("load", fixture.store().load(id, Freshness::Latest).await)
}

/// What is stored under that id now, which has to be a live session.
pub(super) async fn found(fixture: &impl Fixture, id: SessionId) -> Record {
    match load(fixture, id).await {
        Load::Found(record) => {
            assert!(record.id() == id, "a load answered with another session");
            record
        }
        Load::Expired(expiry) => panic!("a live session is taken for expired ({expiry:?})"),
        Load::Absent => panic!("a live session is absent"),
    }
}

/// Asserts that exactly this record is stored.
pub(super) async fn holds(fixture: &impl Fixture, expected: &Record) {
    same(&found(fixture, expected.id()).await, expected);
}

/// As `assert_eq!`, but able to say what differs: a record's `Debug` hides most of it.
pub(super) fn same(stored: &Record, expected: &Record) {
    let differing = [
        ("id", stored.id() != expected.id()),
        ("version", stored.version() != expected.version()),
        ("lineage", stored.lineage() != expected.lineage()),
        ("secret", stored.secret_hash() != expected.secret_hash()),
        (
            "creation time",
            stored.created_at() != expected.created_at(),
        ),
        (
            "rotation time",
            stored.rotated_at() != expected.rotated_at(),
        ),
        ("lease", stored.lease_end() != expected.lease_end()),
        ("last use", stored.seen_at() != expected.seen_at()),
        ("login", stored.login() != expected.login()),
        (
            "absolute limit",
            stored.absolute_end() != expected.absolute_end(),
        ),
        ("retention", stored.retention() != expected.retention()),
        ("principal", stored.principal() != expected.principal()),
        ("values", stored.values() != expected.values()),
    ]
    .iter()
    .filter_map(|(what, differs)| differs.then_some(*what))
    .collect::<Vec<_>>();
    assert!(
        differing.is_empty(),
        "the stored record differs in: {}\n stored: {stored:?}\nexpected: {expected:?}",
        differing.join(", ")
    );
}

pub(super) async fn absent(fixture: &impl Fixture, id: SessionId) {
    let outcome = load(fixture, id).await;
    assert_eq!(
        outcome,
        Load::Absent,
        "something is stored that must not be"
    );
}

/// Asserts that a session has ended by that limit. Its record may have been collected already.
pub(super) async fn ended(fixture: &impl Fixture, id: SessionId, by: Expiry) {
    let outcome = load(fixture, id).await;
    assert!(
        outcome == Load::Absent || outcome == Load::Expired(by),
        "a session that has ended ({by:?}) was loaded as {outcome:?}"
    );
}

pub(super) async fn commit(fixture: &impl Fixture, expected: Version, record: &Record) -> Commit {
    let outcome = fixture.store().commit(expected, record.clone()).await;
    no_fault("commit", outcome)
}

/// Commits `record`, asserts that it is stored, and returns it.
pub(super) async fn committed(fixture: &impl Fixture, base: &Record, record: Record) -> Record {
    let outcome = commit(fixture, base.version(), &record).await;
    assert_eq!(outcome, Commit::Stored, "a commit from the current version");
    record
}

/// Commits `record` again, and asserts that it recognises itself below `newest`.
pub(super) async fn repeated(
    fixture: &impl Fixture,
    base: &Record,
    record: &Record,
    newest: &Record,
) {
    match commit(fixture, base.version(), record).await {
        Commit::Stored => same(newest, record),
        Commit::Overtaken(current) => {
            assert!(newest != record, "nobody has overtaken the commit");
            same(&current, newest);
        }
        outcome => panic!("a commit that was made before was answered with {outcome:?}"),
    }
}

/// Asserts that a commit conflicts with exactly this record.
pub(super) fn conflicts_with(outcome: &Commit, current: &Record) {
    match outcome {
        Commit::Conflict(stored) => same(stored, current),
        Commit::Stored | Commit::Overtaken(_) | Commit::Gone => {
            panic!("expected a conflict, got {outcome:?}")
        }
    }
}

pub(super) async fn renew(
    fixture: &impl Fixture,
    record: &Record,
    lease_end: Timestamp,
) -> Renewal {
    let renewal = fixture
        .store()
        .renew(record.id(), theirs(record), lease_end);
    no_fault("renew", renewal.await)
}

pub(super) async fn renewed(fixture: &impl Fixture, record: &Record, lease_end: Timestamp) {
    let outcome = renew(fixture, record, lease_end).await;
    assert_eq!(
        outcome,
        Renewal::Renewed(record.version()),
        "the renewal of a live session"
    );
}

pub(super) async fn delete(fixture: &impl Fixture, id: SessionId, whose: Whose) -> Delete {
    no_fault("delete", fixture.store().delete(id, whose).await)
}

/// What a logout names.
pub(super) fn theirs(record: &Record) -> Whose {
    Whose::Login(record.login().stamp)
}

/// Ends a session, which need not be there any more.
pub(super) async fn deleted(fixture: &impl Fixture, record: &Record) {
    let outcome = delete(fixture, record.id(), theirs(record)).await;
    assert!(
        outcome != Delete::Superseded,
        "a deletion of the present login was refused"
    );
}

pub(super) fn no_fault<T>(verb: &str, outcome: Result<T, StoreError>) -> T {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) => panic!("{verb} failed: {error} ({error:?})"),
    }
}
