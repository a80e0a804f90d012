use crate::suite::names;

/// Holds a store to the contract: one `#[test]` for each clause of
/// [`conformance`](crate::conformance), named like it.
///
/// The argument is an expression, `.await` allowed, that makes a new [`Fixture`](crate::Fixture); it is
/// evaluated for each test, inside a multi-threaded tokio runtime. Use the macro in a module of its own
/// if one file tests several stores. A clause that takes longer than a minute has failed.
///
/// # Examples
///
/// ```
/// use tenure_core::{MemoryStore, SessionId};
/// use tenure_testing::{Fixture, ManualClock, Planted, store_conformance};
///
/// struct MemoryFixture {
///     store: MemoryStore,
///     clock: ManualClock,
/// }
///
/// impl MemoryFixture {
///     async fn start() -> Self {
///         let clock = ManualClock::new();
///         let store = MemoryStore::builder()
///             .clock(clock.clone())
///             .max_record_bytes(64 << 10)
///             .build();
///         Self { store, clock }
///     }
/// }
///
/// impl Fixture for MemoryFixture {
///     type Store = MemoryStore;
///
///     fn store(&self) -> &MemoryStore {
///         &self.store
///     }
///
///     fn clock(&self) -> &ManualClock {
///         &self.clock
///     }
///
///     fn max_record_bytes(&self) -> usize {
///         64 << 10
///     }
///
///     async fn plant(&self, _: SessionId, _: &[u8]) -> Planted {
///         Planted::Unrepresentable
///     }
/// }
///
/// store_conformance!(MemoryFixture::start().await);
/// ```
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr $(,)?) => {
        $crate::__for_each_clause! { {$crate::__clause_tests} {conformance, $fixture} }
    };
}

/// The only list of the clauses. Hands it to a macro, after that macro's own arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_clause {
    ({ $($macro:tt)* } { $($arguments:tt)* }) => {
        $($macro)*! {
            { $($arguments)* }
            a_created_record_is_loaded_back_equal
            an_unknown_id_is_absent
            a_creation_under_a_live_id_leaves_that_session_alone
            a_second_creation_under_one_id_changes_nothing

            values_of_any_bytes_survive
            names_and_principals_in_any_script_survive
            the_longest_lifetimes_survive
            retention_survives
            tags_that_differ_in_one_bit_are_told_apart

            a_commit_replaces_the_whole_record
            a_stale_version_does_not_overwrite
            a_version_of_another_fork_does_not_overwrite
            a_version_that_never_was_does_not_overwrite
            a_retried_commit_recognises_itself
            a_retried_commit_recognises_itself_as_long_as_it_is_remembered
            a_retried_commit_that_is_no_longer_remembered_conflicts
            every_freshness_is_honoured

            a_deleted_session_is_absent
            a_deletion_asks_for_no_version
            a_deletion_on_behalf_of_an_earlier_login_leaves_the_session_alone
            a_deletion_that_names_a_replaced_secret_leaves_the_session_alone
            a_second_deletion_is_no_error
            a_deletion_of_an_unknown_id_is_no_error
            a_commit_on_a_deleted_session_is_gone_and_creates_nothing
            a_commit_on_an_unknown_id_is_gone_and_creates_nothing
            a_retried_commit_on_a_deleted_session_is_gone_and_creates_nothing
            a_renewal_of_a_deleted_session_is_gone_and_creates_nothing
            a_renewal_of_an_unknown_id_is_gone_and_creates_nothing

            a_renewal_keeps_everything_but_the_lease
            a_renewal_does_not_stand_in_the_way_of_a_commit
            a_renewal_of_an_earlier_login_moves_nothing
            a_renewal_never_shortens_a_lease
            a_renewal_is_cut_off_at_the_absolute_limit
            after_a_commit_its_own_lease_counts
            a_session_renewed_in_time_outlives_its_first_lease

            an_idle_session_ends_with_its_lease
            nothing_is_committed_to_an_idle_session
            an_idle_session_cannot_be_renewed
            a_session_ends_at_its_absolute_limit_however_often_it_was_renewed
            an_expired_session_can_be_deleted
            a_creation_under_an_expired_id_never_revives_the_old_values

            a_record_at_the_size_limit_is_accepted
            a_record_above_the_size_limit_is_not_created
            a_record_above_the_size_limit_is_not_committed

            bytes_that_are_no_record_are_a_fault
            a_record_that_names_another_session_is_a_fault
            nothing_is_written_over_bytes_that_are_no_record
            bytes_that_are_no_record_can_be_deleted
            bytes_that_may_be_someone_else_s_are_not_deleted

            of_concurrent_commits_from_one_version_exactly_one_is_stored
            of_concurrent_creations_under_one_id_exactly_one_happens
            a_commit_that_is_sent_twice_at_once_happens_once
            concurrent_updates_are_all_kept
            a_deletion_among_concurrent_commits_is_final
            concurrent_loads_never_answer_with_another_session

            a_dropped_load_leaves_the_store_usable
            a_dropped_creation_has_happened_or_not
            a_dropped_commit_has_happened_or_not
            a_dropped_renewal_has_happened_or_not
            a_dropped_deletion_has_happened_or_not
        }
    };
}

/// All clauses of [`store_conformance!`](crate::store_conformance) in one test, one after the other on the same servers,
/// for servers that take seconds to start: `servers` is made once, and the fixture of each clause around it.
///
/// ```ignore
/// store_conformance_on!(the_whole_contract, servers = Servers::start(), Around::new(&servers).await);
/// ```
#[macro_export]
macro_rules! store_conformance_on {
    ($test:ident, $servers:ident = $start:expr, $fixture:expr $(,)?) => {
        $crate::__for_each_clause! { {$crate::__clauses_in_turn} {conformance, $test, $servers, $start, $fixture} }
    };
}

__for_each_clause! { {names} {} }

#[cfg(test)]
mod tests {
    use super::CLAUSES;
    use crate::suite::check_list;

    #[test]
    fn no_clause_is_missing_from_the_list() {
        let sources = [
            include_str!("cancellation.rs"),
            include_str!("concurrency.rs"),
            include_str!("contents.rs"),
            include_str!("corruption.rs"),
            include_str!("creation.rs"),
            include_str!("deletion.rs"),
            include_str!("expiry.rs"),
            include_str!("leases.rs"),
            include_str!("limits.rs"),
            include_str!("versions.rs"),
        ];
        check_list(CLAUSES, &sources);
    }
}
