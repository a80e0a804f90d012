use tenure_core::{Clock, Record, SessionStore, StoreErrorKind};

use super::{Fixture, steps};
use crate::records;

/// A record of exactly the largest size is created, committed and loaded back.
pub async fn a_record_at_the_size_limit_is_accepted(fixture: impl Fixture) {
    let limit = fixture.max_record_bytes();
    let created = records::padded(&records::fresh(fixture.clock().now()), limit);
    steps::created(&fixture, &created).await;
    steps::holds(&fixture, &created).await;

    let small = steps::live(&fixture).await;
    let grown = records::padded(&records::successor(&small), limit);
    let grown = steps::committed(&fixture, &small, grown).await;
    steps::holds(&fixture, &grown).await;
}

/// A creation that is one byte too large is refused, and writes nothing.
pub async fn a_record_above_the_size_limit_is_not_created(fixture: impl Fixture) {
    let record = too_large(&fixture, &records::fresh(fixture.clock().now()));
    let outcome = fixture.store().create(record.clone()).await;
    let kind = outcome.map_err(|error| error.kind());
    assert_eq!(
        kind,
        Err(StoreErrorKind::TooLarge),
        "a creation above the limit"
    );
    steps::absent(&fixture, record.id()).await;
}

/// A commit that is one byte too large is refused, and the old record stays as it was.
pub async fn a_record_above_the_size_limit_is_not_committed(fixture: impl Fixture) {
    let stored = steps::live(&fixture).await;
    let record = too_large(&fixture, &records::successor(&stored));
    let outcome = fixture.store().commit(stored.version(), record).await;
    let kind = outcome.map_err(|error| error.kind());
    assert_eq!(
        kind,
        Err(StoreErrorKind::TooLarge),
        "a commit above the limit"
    );
    steps::holds(&fixture, &stored).await;
    let next = steps::committed(&fixture, &stored, records::successor(&stored)).await;
    steps::holds(&fixture, &next).await;
}

fn too_large(fixture: &impl Fixture, record: &Record) -> Record {
    records::padded(record, fixture.max_record_bytes() + 1)
}
