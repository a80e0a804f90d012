use std::time::Duration;

use tenure_core::{Clock, Commit, Create, Expiry, Load, Record, Renewal, Timestamp};

use super::{Fixture, steps};
use crate::records;

/// A session is there until just before its lease's end, and from then on it is not.
pub async fn an_idle_session_ends_with_its_lease(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    advance_to_just_before(&fixture, record.lease_end());
    steps::holds(&fixture, &record).await;
    fixture.clock().advance(MILLISECOND);
    steps::ended(&fixture, record.id(), Expiry::Idle).await;
}

/// A commit to a session whose lease has ended is `Gone`, and the session stays ended.
pub async fn nothing_is_committed_to_an_idle_session(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    advance_to_just_before(&fixture, record.lease_end());
    let record = steps::committed(&fixture, &record, records::successor(&record)).await;
    fixture.clock().advance(MILLISECOND);
    let revived = records::successor(&record).with_lease_end(record.absolute_end());
    assert_gone(&fixture, &record, &revived).await;
    steps::ended(&fixture, record.id(), Expiry::Idle).await;
}

/// A renewal that comes after the lease's end is too late.
pub async fn an_idle_session_cannot_be_renewed(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    advance_to_just_before(&fixture, record.lease_end());
    fixture.clock().advance(MILLISECOND);
    let outcome = steps::renew(&fixture, &record, record.absolute_end()).await;
    assert_eq!(outcome, Renewal::Gone, "a renewal after the lease's end");
    steps::ended(&fixture, record.id(), Expiry::Idle).await;
}

/// No renewal and no commit carries a session beyond its absolute limit.
pub async fn a_session_ends_at_its_absolute_limit_however_often_it_was_renewed(
    fixture: impl Fixture,
) {
    let record = steps::live(&fixture).await;
    let limit = record.absolute_end();
    steps::renewed(&fixture, &record, limit).await;
    advance_to_just_before(&fixture, limit);
    let record = records::successor(&record).with_lease_end(limit);
    let previous = steps::found(&fixture, record.id()).await;
    let record = steps::committed(&fixture, &previous, record).await;
    steps::holds(&fixture, &record).await;
    fixture.clock().advance(MILLISECOND);
    steps::ended(&fixture, record.id(), Expiry::Absolute).await;
    let later = fixture.clock().now().after(Duration::from_secs(60));
    let outcome = steps::renew(&fixture, &record, later).await;
    assert_eq!(outcome, Renewal::Gone, "a renewal after the absolute limit");
    assert_gone(&fixture, &record, &records::successor(&record)).await;
    steps::ended(&fixture, record.id(), Expiry::Absolute).await;
}

/// Deleting a session that has ended succeeds, and then nothing is left of it.
pub async fn an_expired_session_can_be_deleted(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    advance_to_just_before(&fixture, record.lease_end());
    fixture.clock().advance(MILLISECOND);
    steps::deleted(&fixture, &record).await;
    steps::absent(&fixture, record.id()).await;
}

/// Whether the id of an ended session counts as taken is the store's affair, but the old session
/// does not come back.
pub async fn a_creation_under_an_expired_id_never_revives_the_old_values(fixture: impl Fixture) {
    let old = steps::live(&fixture).await;
    advance_to_just_before(&fixture, old.lease_end());
    fixture.clock().advance(MILLISECOND);
    let new = records::fresh_under(old.id(), fixture.clock().now())
        .with_values(records::values([("new", "value")]));
    match steps::create(&fixture, &new).await {
        Create::Created => steps::holds(&fixture, &new).await,
        Create::Exists => steps::ended(&fixture, old.id(), Expiry::Idle).await,
    }
    // Also not for someone who still has the old version in hand.
    let outcome = steps::commit(&fixture, old.version(), &records::successor(&old)).await;
    assert!(
        !matches!(outcome, Commit::Stored | Commit::Overtaken(_)),
        "the old session was revived"
    );
    if let Load::Found(found) = steps::load(&fixture, old.id()).await {
        steps::same(&found, &new);
    }
}

fn advance_to_just_before(fixture: &impl Fixture, end: Timestamp) {
    let left = end.since(fixture.clock().now());
    fixture.clock().advance(left.saturating_sub(MILLISECOND));
}

async fn assert_gone(fixture: &impl Fixture, base: &Record, record: &Record) {
    let outcome = steps::commit(fixture, base.version(), record).await;
    assert_eq!(
        outcome,
        Commit::Gone,
        "a commit to a session that has ended"
    );
}

/// The resolution of [`Timestamp`].
const MILLISECOND: Duration = Duration::from_millis(1);
