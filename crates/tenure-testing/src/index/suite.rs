use crate::suite::names;

/// Holds a store's login index to its contract: one `#[test]` for each clause of
/// [`index`](crate::index), named like it.
///
/// Used like [`store_conformance!`](crate::store_conformance), with a [`Fixture`](crate::Fixture) whose store is a
/// [`SessionIndex`](tenure_core::SessionIndex).
///
/// # Examples
///
/// ```
/// use tenure_core::{MemoryStore, SessionId};
/// use tenure_testing::{Fixture, ManualClock, Planted, index_conformance};
///
/// struct MemoryFixture {
///     store: MemoryStore,
///     clock: ManualClock,
/// }
///
/// impl MemoryFixture {
///     fn start() -> Self {
///         let clock = ManualClock::new();
///         let store = MemoryStore::builder().clock(clock.clone()).build();
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
///         1 << 20
///     }
///
///     async fn plant(&self, _: SessionId, _: &[u8]) -> Planted {
///         Planted::Unrepresentable
///     }
/// }
///
/// index_conformance!(MemoryFixture::start());
/// ```
#[macro_export]
macro_rules! index_conformance {
    ($fixture:expr $(,)?) => {
        $crate::__for_each_index_clause! { {$crate::__clause_tests} {index, $fixture} }
    };
}

/// The only list of the clauses. Hands it to a macro, after that macro's own arguments.
#[doc(hidden)]
#[macro_export]
macro_rules! __for_each_index_clause {
    ({ $($macro:tt)* } { $($arguments:tt)* }) => {
        $($macro)*! {
            { $($arguments)* }
            a_reservation_is_admitted_and_is_no_login_yet
            a_reservation_that_is_not_confirmed_lapses
            a_reservation_holds_its_place_as_long_as_promised
            a_repeated_reservation_counts_once
            a_late_reservation_leaves_its_login_entered
            a_condemned_login_cannot_be_reserved
            a_fence_of_this_epoch_admits
            a_fence_of_an_earlier_epoch_is_revoked
            a_reservation_tells_what_is_condemned
            many_condemned_logins_are_told_little_by_little
            principals_do_not_meet

            a_full_index_tells_the_confirmed_logins
            a_full_index_tells_not_more_than_is_of_use
            a_refused_reservation_takes_no_place
            reservations_count_towards_the_limit
            condemned_logins_do_not_count
            the_login_that_ends_first_makes_room
            confirmed_logins_make_room_before_reserved_ones
            a_reserved_login_that_made_room_is_not_confirmed
            under_a_lower_limit_as_many_make_room_as_are_too_many
            a_login_that_replaces_another_counts_with_it_as_one
            what_is_not_there_makes_no_room_by_being_replaced
            dead_logins_make_room
            a_reserved_login_is_never_dead
            logins_whose_sessions_have_ended_make_room
            acting_logins_take_nobody_s_place

            a_confirmed_login_is_listed_with_its_session_s_end
            a_repeated_confirmation_is_confirmed
            a_login_that_was_not_reserved_is_not_confirmed
            a_login_reserved_before_an_ending_is_not_confirmed
            a_revoked_confirmation_gives_its_place_up
            a_login_condemned_meanwhile_is_not_confirmed
            a_confirmation_replaces_exactly_one_login
            a_login_does_not_replace_itself

            an_ending_condemns_all_logins
            an_ending_spares_one_login
            a_repeated_ending_ends_nothing_new
            a_late_ending_ends_nothing_new
            epochs_only_grow
            an_epoch_is_later_than_any_that_was_lost
            an_ending_of_no_logins_begins_an_epoch
            one_login_is_condemned
            a_login_that_is_not_theirs_is_not_condemned
            exactly_the_named_logins_are_settled
            a_reserved_login_is_not_settled
            thousands_of_logins_are_listed_ended_and_settled

            a_blocked_principal_cannot_log_in
            a_block_ends_logins_under_way
            a_block_is_lifted
            a_late_unblock_leaves_a_later_block
            a_late_block_blocks_nobody
            a_later_ending_leaves_the_block
            a_block_lasts_until_it_is_lifted

            a_login_in_use_is_known
            a_lost_login_is_entered_again
            a_condemned_login_has_ended
            a_login_of_an_earlier_epoch_has_ended
            a_lost_epoch_is_learnt_from_a_login

            logins_are_listed_in_order_page_by_page
            logins_that_end_together_are_all_listed
            a_listing_goes_on_behind_a_login_that_has_gone
            nothing_is_listed_of_a_stranger
            principals_are_listed_by_their_names
            many_principals_are_all_listed
            who_has_logged_out_leaves_nothing_behind
            the_farthest_ends_are_kept_in_order

            an_ending_is_kept_as_long_as_asked_for
            the_longest_time_asked_for_counts
            a_login_is_kept_until_its_session_s_end
            a_login_entered_again_is_kept_until_its_session_s_end
            a_condemned_login_is_kept_as_long_as_it_would_have_been

            the_gate_is_raised
            the_gate_is_never_lowered

            of_concurrent_logins_as_many_are_admitted_as_there_are_places
            of_concurrent_logins_as_many_are_left_as_there_are_places
            no_login_slips_through_an_ending
            an_ending_that_is_sent_twice_at_once_happens_once
            a_lost_login_used_by_many_is_entered_once
            of_concurrent_raises_of_the_gate_the_highest_counts

            a_dropped_reservation_has_happened_or_not
            a_dropped_confirmation_has_happened_or_not
            a_dropped_ending_has_happened_or_not
            a_dropped_settling_has_happened_or_not
            a_dropped_call_leaves_the_index_usable
        }
    };
}

/// All clauses of [`index_conformance!`](crate::index_conformance) in one test, as
/// [`store_conformance_on!`](crate::store_conformance_on).
#[macro_export]
macro_rules! index_conformance_on {
    ($test:ident, $servers:ident = $start:expr, $fixture:expr $(,)?) => {
        $crate::__for_each_index_clause! {
            {$crate::__clauses_in_turn} {index, $test, $servers, $start, $fixture}
        }
    };
}

__for_each_index_clause! { {names} {} }

#[cfg(test)]
mod tests {
    use super::CLAUSES;
    use crate::suite::check_list;

    #[test]
    fn no_clause_is_missing_from_the_list() {
        let sources = [
            include_str!("blocks.rs"),
            include_str!("cancellation.rs"),
            include_str!("concurrency.rs"),
            include_str!("confirmations.rs"),
            include_str!("endings.rs"),
            include_str!("gate.rs"),
            include_str!("keeping.rs"),
            include_str!("limits.rs"),
            include_str!("listings.rs"),
            include_str!("reservations.rs"),
            include_str!("touches.rs"),
        ];
        check_list(CLAUSES, &sources);
    }
}
