//! The conformance suite is able to fail: for every clause there is a store that violates it and is
//! caught, and the same store without its bug passes.

mod ledger;

use std::{
    collections::BTreeSet,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use tenure_core::SessionId;
use tenure_testing::{
    Fixture, ManualClock, Planted, conformance::CLAUSES, store_conformance, suite::run,
};

use self::ledger::{Bug, Ledger, MAX_RECORD_BYTES};

/// The ledger without a bug keeps bytes, so unlike `MemoryStore` it runs the clauses on damaged records
/// in full.
mod without_a_bug {
    use super::{Book, Ledger, store_conformance};

    store_conformance!(Book(Ledger::new(None)));
}

#[test]
fn each_bug_is_caught_by_the_clauses_that_it_violates() {
    let mut missed = Vec::new();
    for (bug, names) in VIOLATIONS {
        for name in *names {
            let broken = Book(Ledger::new(Some(*bug)));
            let verdict = catch_unwind(AssertUnwindSafe(|| run(clause(name)(broken))));
            if verdict.is_ok() {
                missed.push((bug, name));
            }
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

#[test]
fn every_clause_is_violated_by_some_bug() {
    let violated: BTreeSet<_> = VIOLATIONS.iter().flat_map(|(_, names)| *names).collect();
    let unproven: Vec<_> = CLAUSES
        .iter()
        .filter(|name| !violated.contains(name))
        .collect();
    assert!(unproven.is_empty(), "never seen to fail: {unproven:?}");
}

const VIOLATIONS: &[(Bug, &[&str])] = &[
    (
        Bug::CommitAcceptsExpired,
        &[
            "nothing_is_committed_to_an_idle_session",
            "a_session_ends_at_its_absolute_limit_however_often_it_was_renewed",
        ],
    ),
    (
        Bug::CommitComparesCounters,
        &["a_version_of_another_fork_does_not_overwrite"],
    ),
    (
        Bug::CommitComparesFloats,
        &["tags_that_differ_in_one_bit_are_told_apart"],
    ),
    (
        Bug::CommitComparesNothing,
        &[
            "a_stale_version_does_not_overwrite",
            "a_version_of_another_fork_does_not_overwrite",
            "a_version_that_never_was_does_not_overwrite",
            "concurrent_updates_are_all_kept",
            "of_concurrent_commits_from_one_version_exactly_one_is_stored",
        ],
    ),
    (
        Bug::CommitForgetsRetries,
        &[
            "a_commit_that_is_sent_twice_at_once_happens_once",
            "a_dropped_commit_has_happened_or_not",
            "a_retried_commit_recognises_itself",
            "a_retried_commit_recognises_itself_as_long_as_it_is_remembered",
        ],
    ),
    (
        Bug::CommitKeepsLongerLease,
        &["after_a_commit_its_own_lease_counts"],
    ),
    (
        Bug::CommitKeepsPrincipal,
        &["a_commit_replaces_the_whole_record"],
    ),
    (
        Bug::CommitRecognisesOnlyTheNewest,
        &["a_retried_commit_recognises_itself_as_long_as_it_is_remembered"],
    ),
    (
        Bug::CommitTakesNewerForCurrent,
        &["a_version_that_never_was_does_not_overwrite"],
    ),
    (
        Bug::CommitTakesOldForRetry,
        &["a_retried_commit_that_is_no_longer_remembered_conflicts"],
    ),
    (
        Bug::CommitUpserts,
        &[
            "a_commit_on_a_deleted_session_is_gone_and_creates_nothing",
            "a_commit_on_an_unknown_id_is_gone_and_creates_nothing",
            "a_deletion_among_concurrent_commits_is_final",
            "a_retried_commit_on_a_deleted_session_is_gone_and_creates_nothing",
        ],
    ),
    (
        Bug::ConflictAnswersWithTheLoser,
        &[
            "a_stale_version_does_not_overwrite",
            "of_concurrent_commits_from_one_version_exactly_one_is_stored",
        ],
    ),
    (
        Bug::CorruptBytesAreKept,
        &["bytes_that_are_no_record_can_be_deleted"],
    ),
    (
        Bug::CorruptBytesAreNobody,
        &["bytes_that_are_no_record_are_a_fault"],
    ),
    (
        Bug::CorruptBytesAreOverwritten,
        &["nothing_is_written_over_bytes_that_are_no_record"],
    ),
    (
        Bug::CreateMakesRetriesAgain,
        &["a_second_creation_under_one_id_changes_nothing"],
    ),
    (
        Bug::CreateOverwrites,
        &[
            "a_creation_under_a_live_id_leaves_that_session_alone",
            "a_second_creation_under_one_id_changes_nothing",
            "of_concurrent_creations_under_one_id_exactly_one_happens",
        ],
    ),
    (
        Bug::CreateRevivesWhatExpired,
        &["a_creation_under_an_expired_id_never_revives_the_old_values"],
    ),
    (
        Bug::DeleteComparesNothing,
        &[
            "a_deletion_on_behalf_of_an_earlier_login_leaves_the_session_alone",
            "a_deletion_that_names_a_replaced_secret_leaves_the_session_alone",
            "bytes_that_may_be_someone_else_s_are_not_deleted",
        ],
    ),
    (
        Bug::DeleteComparesVersions,
        &["a_deletion_asks_for_no_version"],
    ),
    (Bug::DeleteDoesNothing, &["a_deleted_session_is_absent"]),
    (
        Bug::DeleteFailsOnAbsent,
        &[
            "a_deletion_of_an_unknown_id_is_no_error",
            "a_second_deletion_is_no_error",
        ],
    ),
    (
        Bug::DeleteSparesExpired,
        &["an_expired_session_can_be_deleted"],
    ),
    (
        Bug::DeleteTakesDamagedForNobodys,
        &["bytes_that_may_be_someone_else_s_are_not_deleted"],
    ),
    (
        Bug::DroppedLoadsKeepTheirConnection,
        &["a_dropped_load_leaves_the_store_usable"],
    ),
    (
        Bug::ForeignRecordsAreServed,
        &["a_record_that_names_another_session_is_a_fault"],
    ),
    (Bug::LoadFailsOnAbsent, &["an_unknown_id_is_absent"]),
    (
        Bug::LoadIgnoresExpiry,
        &[
            "a_session_ends_at_its_absolute_limit_however_often_it_was_renewed",
            "an_idle_session_ends_with_its_lease",
        ],
    ),
    (Bug::LoadLagsBehind, &["every_freshness_is_honoured"]),
    (
        Bug::LoadMixesAnswers,
        &["concurrent_loads_never_answer_with_another_session"],
    ),
    (Bug::LongLeasesOverflow, &["the_longest_lifetimes_survive"]),
    (
        Bug::PrincipalsAreForgotten,
        &["a_created_record_is_loaded_back_equal"],
    ),
    (
        Bug::ReadsThenWrites,
        &[
            "concurrent_updates_are_all_kept",
            "of_concurrent_commits_from_one_version_exactly_one_is_stored",
            "of_concurrent_creations_under_one_id_exactly_one_happens",
        ],
    ),
    (
        Bug::RenewAcceptsExpired,
        &[
            "a_session_ends_at_its_absolute_limit_however_often_it_was_renewed",
            "an_idle_session_cannot_be_renewed",
        ],
    ),
    (
        Bug::RenewComparesNothing,
        &["a_renewal_of_an_earlier_login_moves_nothing"],
    ),
    (
        Bug::RenewCountsAsCommit,
        &[
            "a_renewal_does_not_stand_in_the_way_of_a_commit",
            "a_renewal_keeps_everything_but_the_lease",
        ],
    ),
    (
        Bug::RenewCreates,
        &[
            "a_renewal_of_a_deleted_session_is_gone_and_creates_nothing",
            "a_renewal_of_an_unknown_id_is_gone_and_creates_nothing",
        ],
    ),
    (
        Bug::RenewDoesNothing,
        &["a_session_renewed_in_time_outlives_its_first_lease"],
    ),
    (
        Bug::RenewExceedsTheLimit,
        &["a_renewal_is_cut_off_at_the_absolute_limit"],
    ),
    (
        Bug::RenewLosesValues,
        &["a_renewal_keeps_everything_but_the_lease"],
    ),
    (Bug::RenewShortens, &["a_renewal_never_shortens_a_lease"]),
    (Bug::RetentionIsForgotten, &["retention_survives"]),
    (
        Bug::SizeLimitIsExclusive,
        &["a_record_at_the_size_limit_is_accepted"],
    ),
    (
        Bug::SizeLimitIsForgotten,
        &[
            "a_record_above_the_size_limit_is_not_committed",
            "a_record_above_the_size_limit_is_not_created",
        ],
    ),
    (
        Bug::TextIsAscii,
        &["names_and_principals_in_any_script_survive"],
    ),
    (
        Bug::WritesInTwoSteps,
        &[
            "a_dropped_commit_has_happened_or_not",
            "a_dropped_creation_has_happened_or_not",
            "a_dropped_deletion_has_happened_or_not",
            "a_dropped_renewal_has_happened_or_not",
        ],
    ),
    (Bug::ZerosEndValues, &["values_of_any_bytes_survive"]),
];

type Clause = fn(Book) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! clauses_by_name {
    ({} $($clause:ident)*) => {
        fn clause(name: &str) -> Clause {
            match name {
                $(stringify!($clause) => {
                    |book| Box::pin(tenure_testing::conformance::$clause(book))
                })*
                _ => panic!("there is no clause {name}"),
            }
        }
    };
}

tenure_testing::__for_each_clause! { {clauses_by_name} {} }

struct Book(Ledger);

impl Fixture for Book {
    type Store = Ledger;

    fn store(&self) -> &Ledger {
        &self.0
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, id: SessionId, bytes: &[u8]) -> Planted {
        self.0.plant(id, bytes);
        Planted::Stored
    }
}
