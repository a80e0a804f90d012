use std::time::Duration;

use tenure_core::{Clock, Renewal};

use super::{Fixture, steps};
use crate::records;

/// A renewal moves the lease's end and nothing else; the version in particular stays.
pub async fn a_renewal_keeps_everything_but_the_lease(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let later = record.lease_end().after(MINUTE);
    steps::renewed(&fixture, &record, later).await;
    steps::holds(&fixture, &record.with_lease_end(later)).await;
}

/// A commit from a version that was renewed since does not conflict: a renewal changes no state.
pub async fn a_renewal_does_not_stand_in_the_way_of_a_commit(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let later = record.lease_end().after(MINUTE);
    steps::renewed(&fixture, &record, later).await;
    let next = records::successor(&record).with_lease_end(later);
    let next = steps::committed(&fixture, &record, next).await;
    steps::holds(&fixture, &next).await;
}

/// A renewal is of one login: with another come other lifetimes, which a late renewal must not undo.
pub async fn a_renewal_of_an_earlier_login_moves_nothing(fixture: impl Fixture) {
    let before = steps::live(&fixture).await;
    let login = records::logged_in(&records::successor(&before), "ada", fixture.clock().now());
    let login = steps::committed(&fixture, &before, login).await;
    let outcome = steps::renew(&fixture, &before, before.absolute_end()).await;
    assert_eq!(outcome, Renewal::Superseded, "a renewal of another login");
    steps::holds(&fixture, &login).await;
    steps::renewed(&fixture, &login, login.absolute_end()).await;
}

/// Of two renewals the later end counts, in whichever order they arrive.
pub async fn a_renewal_never_shortens_a_lease(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let later = record.lease_end().after(MINUTE);
    for asked in [record.created_at(), later, record.lease_end(), later] {
        steps::renewed(&fixture, &record, asked).await;
        let stored = steps::found(&fixture, record.id()).await;
        assert!(
            stored.lease_end() >= asked && stored.lease_end() >= record.lease_end(),
            "a renewal shortened the lease"
        );
    }
    steps::holds(&fixture, &record.with_lease_end(later)).await;
}

/// A renewal beyond the absolute limit renews up to the limit.
pub async fn a_renewal_is_cut_off_at_the_absolute_limit(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let limit = record.absolute_end();
    steps::renewed(&fixture, &record, limit.after(MINUTE)).await;
    steps::holds(&fixture, &record.with_lease_end(limit)).await;
}

/// A commit sets the lease as its record says, be it longer or shorter than the stored one.
pub async fn after_a_commit_its_own_lease_counts(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let longer = records::successor(&record).with_lease_end(record.lease_end().after(MINUTE));
    let longer = steps::committed(&fixture, &record, longer).await;
    steps::holds(&fixture, &longer).await;
    let shorter = records::successor(&longer).with_lease_end(fixture.clock().now().after(MINUTE));
    let shorter = steps::committed(&fixture, &longer, shorter).await;
    steps::holds(&fixture, &shorter).await;
    fixture.clock().advance(MINUTE);
    steps::ended(&fixture, record.id(), tenure_core::Expiry::Idle).await;
}

/// A session that is renewed again and again lives on past its first lease, and can be committed to.
pub async fn a_session_renewed_in_time_outlives_its_first_lease(fixture: impl Fixture) {
    let mut record = steps::live(&fixture).await;
    let idle = record.lease_end().since(record.created_at());
    for _ in 0..4 {
        fixture.clock().advance(idle * 3 / 4);
        let later = fixture.clock().now().after(idle);
        steps::renewed(&fixture, &record, later).await;
        // Renewed, it was also seen.
        record = record
            .with_lease_end(later)
            .with_seen_at(fixture.clock().now());
        steps::holds(&fixture, &record).await;
    }
    let next = steps::committed(&fixture, &record, records::successor(&record)).await;
    steps::holds(&fixture, &next).await;
}

const MINUTE: Duration = Duration::from_secs(60);
