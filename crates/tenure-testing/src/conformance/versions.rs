use tenure_core::{
    Clock, Commit, Freshness, Lifetimes, Lineage, Load, Record, SecretHash, SessionStore,
};

use super::{Fixture, steps};
use crate::records;

/// A commit from the current version replaces the record in every part, and shrinks it if need be.
pub async fn a_commit_replaces_the_whole_record(fixture: impl Fixture) {
    let record = steps::live(&fixture).await;
    fixture
        .clock()
        .advance(record.lease_end().since(fixture.clock().now()) / 2);
    let now = fixture.clock().now();
    let grown = records::successor(&record)
        .with_secret(SecretHash::from_bytes([0xc3; 32]), now)
        .with_restarted_lifetimes(now, Lifetimes::default())
        .with_values(records::values([("pad", &vec![0; 2048])]));
    let grown = steps::committed(&fixture, &record, grown).await;
    steps::holds(&fixture, &grown).await;
    let shrunk = records::successor(&grown)
        .with_principal(None)
        .with_values(records::values::<&str, str>([]));
    let shrunk = steps::committed(&fixture, &grown, shrunk).await;
    steps::holds(&fixture, &shrunk).await;
}

/// Of two writers that read the same version, the second gets `Conflict` with what the first wrote.
pub async fn a_stale_version_does_not_overwrite(fixture: impl Fixture) {
    let base = steps::live(&fixture).await;
    let (ours, theirs) = (valued(&base, "ours"), valued(&base, "theirs"));
    steps::committed(&fixture, &base, ours.clone()).await;
    let outcome = steps::commit(&fixture, base.version(), &theirs).await;
    steps::conflicts_with(&outcome, &ours);
    steps::holds(&fixture, &ours).await;
}

/// A version with the same counter but another tag belongs to another history and conflicts.
pub async fn a_version_of_another_fork_does_not_overwrite(fixture: impl Fixture) {
    let base = steps::live(&fixture).await;
    let stored = steps::committed(&fixture, &base, valued(&base, "stored")).await;
    let fork = valued(&base, "lost in a failover");
    let outcome = steps::commit(&fixture, fork.version(), &valued(&fork, "on the fork")).await;
    steps::conflicts_with(&outcome, &stored);
    steps::holds(&fixture, &stored).await;
}

/// A version that is ahead of the store's, which lost commits, conflicts too.
pub async fn a_version_that_never_was_does_not_overwrite(fixture: impl Fixture) {
    let stored = steps::live(&fixture).await;
    let lost = valued(&valued(&stored, "lost"), "lost as well");
    let outcome = steps::commit(&fixture, lost.version(), &valued(&lost, "on top")).await;
    steps::conflicts_with(&outcome, &stored);
    steps::holds(&fixture, &stored).await;
}

/// A commit whose reply was lost is made again, and is `Stored` although its base is now stale.
pub async fn a_retried_commit_recognises_itself(fixture: impl Fixture) {
    let base = steps::live(&fixture).await;
    let record = steps::committed(&fixture, &base, valued(&base, "once")).await;
    steps::repeated(&fixture, &base, &record, &record).await;
    steps::holds(&fixture, &record).await;
}

/// A commit recognises itself even after others built on it, as long as the lineage holds its tag;
/// it does not undo them, and tells what they made.
pub async fn a_retried_commit_recognises_itself_as_long_as_it_is_remembered(fixture: impl Fixture) {
    let base = steps::live(&fixture).await;
    let retried = steps::committed(&fixture, &base, valued(&base, "retried")).await;
    let mut newest = retried.clone();
    for _ in 1..Lineage::REMEMBERED {
        newest = steps::committed(&fixture, &newest, valued(&newest, "later")).await;
        steps::repeated(&fixture, &base, &retried, &newest).await;
        steps::holds(&fixture, &newest).await;
    }
}

/// A commit whose tag has left the lineage can no longer be told from a stale one, so it conflicts.
pub async fn a_retried_commit_that_is_no_longer_remembered_conflicts(fixture: impl Fixture) {
    let base = steps::live(&fixture).await;
    let retried = steps::committed(&fixture, &base, valued(&base, "retried")).await;
    let mut newest = retried.clone();
    for _ in 0..Lineage::REMEMBERED {
        newest = steps::committed(&fixture, &newest, valued(&newest, "later")).await;
    }
    let outcome = steps::commit(&fixture, base.version(), &retried).await;
    steps::conflicts_with(&outcome, &newest);
    steps::holds(&fixture, &newest).await;
}

/// `Latest` and `AtLeast` answer with everything that was acknowledged to this caller.
pub async fn every_freshness_is_honoured(fixture: impl Fixture) {
    let mut stored = steps::live(&fixture).await;
    let first = stored.version();
    for _ in 0..4 {
        let demands = [
            Freshness::AtLeast(stored.version()),
            Freshness::AtLeast(first),
            Freshness::Latest,
        ];
        for freshness in demands {
            let outcome = fixture.store().load(stored.id(), freshness).await;
            match steps::no_fault("load", outcome) {
                Load::Found(found) => steps::same(&found, &stored),
                outcome => panic!("a live session was loaded with {freshness:?} as {outcome:?}"),
            }
        }
        stored = steps::committed(&fixture, &stored, valued(&stored, "newer")).await;
    }
    let gone = stored.id();
    steps::deleted(&fixture, &stored).await;
    let outcome = fixture.store().load(gone, Freshness::AtLeast(first)).await;
    assert_eq!(
        steps::no_fault("load", outcome),
        Load::Absent,
        "after a deletion"
    );
    let outcome = steps::commit(&fixture, stored.version(), &valued(&stored, "late")).await;
    assert_eq!(outcome, Commit::Gone, "after a deletion");
}

fn valued(base: &Record, value: &str) -> Record {
    records::successor(base).with_values(records::values([("value", value)]))
}
