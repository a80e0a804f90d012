use tenure_core::{Clock, Commit, Delete, LoginStamp, Renewal, SecretHash, Whose};

use super::{Fixture, steps};
use crate::records;

/// After a deletion nothing is found.
pub async fn a_deleted_session_is_absent(fixture: impl Fixture) {
    let (record, bystander) = (steps::live(&fixture).await, steps::live(&fixture).await);
    steps::deleted(&fixture, &record).await;
    steps::absent(&fixture, record.id()).await;
    steps::holds(&fixture, &bystander).await;
}

/// A deletion removes whatever version there is: logging out must not lose a race.
pub async fn a_deletion_asks_for_no_version(fixture: impl Fixture) {
    let mut record = steps::live(&fixture).await;
    for _ in 0..3 {
        record = steps::committed(&fixture, &record, records::successor(&record)).await;
    }
    steps::renewed(&fixture, &record, record.absolute_end()).await;
    steps::deleted(&fixture, &record).await;
    steps::absent(&fixture, record.id()).await;
}

/// A deletion names whose the session has to be: one that was sent before a login, and arrives after it,
/// leaves the login alone.
pub async fn a_deletion_on_behalf_of_an_earlier_login_leaves_the_session_alone(
    fixture: impl Fixture,
) {
    let before = steps::live(&fixture).await;
    let login = records::logged_in(&records::successor(&before), "ada", fixture.clock().now());
    let login = steps::committed(&fixture, &before, login).await;
    for other in [steps::theirs(&before), Whose::Login(LoginStamp::NOBODY)] {
        let outcome = steps::delete(&fixture, before.id(), other).await;
        assert_eq!(outcome, Delete::Superseded, "a deletion of another login");
        steps::holds(&fixture, &login).await;
    }
    let outcome = steps::delete(&fixture, login.id(), steps::theirs(&login)).await;
    assert_eq!(outcome, Delete::Deleted, "a deletion of the present login");
    steps::absent(&fixture, login.id()).await;
}

/// A logout that meets a replacement of the secret, with the same user logged in, ends the session. A
/// deletion that names the secret itself does not: it may be on behalf of a cookie that was replaced.
pub async fn a_deletion_that_names_a_replaced_secret_leaves_the_session_alone(
    fixture: impl Fixture,
) {
    let before = steps::live(&fixture).await;
    let secret = SecretHash::from_bytes([0x5e; 32]);
    let rotated = records::successor(&before).with_secret(secret, fixture.clock().now());
    let rotated = steps::committed(&fixture, &before, rotated).await;
    let replaced = Whose::Secret(before.secret_hash());
    let outcome = steps::delete(&fixture, before.id(), replaced).await;
    assert_eq!(
        outcome,
        Delete::Superseded,
        "a deletion by a replaced secret"
    );
    steps::holds(&fixture, &rotated).await;
    let outcome = steps::delete(&fixture, rotated.id(), Whose::Secret(secret)).await;
    assert_eq!(outcome, Delete::Deleted, "a deletion by the present secret");
    steps::absent(&fixture, rotated.id()).await;

    let before = steps::live(&fixture).await;
    let rotated = records::successor(&before).with_secret(secret, fixture.clock().now());
    steps::committed(&fixture, &before, rotated).await;
    let outcome = steps::delete(&fixture, before.id(), steps::theirs(&before)).await;
    assert_eq!(outcome, Delete::Deleted, "a logout across a rotation");
    steps::absent(&fixture, before.id()).await;
}

/// A deletion whose reply was lost is made again, and finds nothing.
pub async fn a_second_deletion_is_no_error(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    let delete = || steps::delete(&fixture, record.id(), steps::theirs(&record));
    assert_eq!(delete().await, Delete::Deleted, "a deletion");
    assert_eq!(delete().await, Delete::Absent, "the same once more");
    steps::absent(&fixture, record.id()).await;
}

/// Deleting what was never there is no error.
pub async fn a_deletion_of_an_unknown_id_is_no_error(fixture: impl Fixture) {
    let record = records::fresh(fixture.clock().now());
    let outcome = steps::delete(&fixture, record.id(), steps::theirs(&record)).await;
    assert_eq!(outcome, Delete::Absent, "a deletion of nothing");
    steps::absent(&fixture, record.id()).await;
}

/// Delete wins: a commit that was based on the last version before the deletion is `Gone`.
pub async fn a_commit_on_a_deleted_session_is_gone_and_creates_nothing(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    steps::deleted(&fixture, &record).await;
    let late = records::successor(&record);
    let outcome = steps::commit(&fixture, record.version(), &late).await;
    assert_eq!(outcome, Commit::Gone, "a commit after the deletion");
    steps::absent(&fixture, record.id()).await;
}

/// Only a creation creates.
pub async fn a_commit_on_an_unknown_id_is_gone_and_creates_nothing(fixture: impl Fixture) {
    let record = records::fresh(fixture.clock().now());
    let outcome = steps::commit(&fixture, record.version(), &records::successor(&record)).await;
    assert_eq!(outcome, Commit::Gone, "a commit on nothing");
    steps::absent(&fixture, record.id()).await;
}

/// A commit that did happen, and is made again after a deletion, does not bring its session back.
pub async fn a_retried_commit_on_a_deleted_session_is_gone_and_creates_nothing(
    fixture: impl Fixture,
) {
    let base = steps::live(&fixture).await;
    let record = steps::committed(&fixture, &base, records::successor(&base)).await;
    steps::deleted(&fixture, &record).await;
    let outcome = steps::commit(&fixture, base.version(), &record).await;
    assert_eq!(outcome, Commit::Gone, "a retry after the deletion");
    steps::absent(&fixture, record.id()).await;
}

/// A renewal that comes after a deletion is `Gone`.
pub async fn a_renewal_of_a_deleted_session_is_gone_and_creates_nothing(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    steps::deleted(&fixture, &record).await;
    let outcome = steps::renew(&fixture, &record, record.absolute_end()).await;
    assert_eq!(outcome, Renewal::Gone, "a renewal after the deletion");
    steps::absent(&fixture, record.id()).await;
}

/// A renewal never creates.
pub async fn a_renewal_of_an_unknown_id_is_gone_and_creates_nothing(fixture: impl Fixture) {
    let record = records::fresh(fixture.clock().now());
    let outcome = steps::renew(&fixture, &record, record.absolute_end()).await;
    assert_eq!(outcome, Renewal::Gone, "a renewal of nothing");
    steps::absent(&fixture, record.id()).await;
}
