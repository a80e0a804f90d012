use tenure_core::{Clock, Create};

use super::{Fixture, steps};
use crate::records;

/// What was created is loaded back, equal in every part.
pub async fn a_created_record_is_loaded_back_equal(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    steps::holds(&fixture, &record).await;
}

/// Nothing is found under an id that was never created, and that is no fault.
pub async fn an_unknown_id_is_absent(fixture: impl Fixture) {
    steps::live(&fixture).await;
    steps::absent(&fixture, records::random_id()).await;
}

/// A creation under the id of another live session is answered with `Exists` and changes nothing.
pub async fn a_creation_under_a_live_id_leaves_that_session_alone(fixture: impl Fixture) {
    let stored = steps::live(&fixture).await;
    let intruder = records::fresh_under(stored.id(), fixture.clock().now());
    let outcome = steps::create(&fixture, &intruder).await;
    assert_eq!(outcome, Create::Exists, "the id was taken");
    steps::holds(&fixture, &stored).await;
}

/// A creation is made once: one that arrives a second time finds its id taken, by itself as by others.
pub async fn a_second_creation_under_one_id_changes_nothing(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let outcome = steps::create(&fixture, &record).await;
    assert_eq!(outcome, Create::Exists, "the id was taken");
    let later = records::successor(&record).with_values(records::values([("later", "value")]));
    let later = steps::committed(&fixture, &record, later).await;
    let outcome = steps::create(&fixture, &record).await;
    assert_eq!(outcome, Create::Exists, "the id was taken");
    steps::holds(&fixture, &later).await;
}
