//! The conformance suite of the login index is able to fail: for every clause there is an index that violates
//! it and is caught, and the same index without its bug passes.

mod roster;

use std::{
    collections::BTreeSet,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
};

use tenure_core::SessionId;
use tenure_testing::{
    Fixture, ManualClock, Planted, index::CLAUSES, index_conformance, suite::run,
};

use self::roster::{Bug, Roster};

mod without_a_bug {
    use super::{Desk, Roster, index_conformance};

    index_conformance!(Desk(Roster::new(None)));
}

#[test]
fn each_bug_is_caught_by_the_clauses_that_it_violates() {
    let mut missed = Vec::new();
    for (bug, names) in VIOLATIONS {
        for name in *names {
            let broken = Desk(Roster::new(Some(*bug)));
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

/// As the documents say.
#[test]
fn there_are_so_many_clauses_and_bugs() {
    let bugs: BTreeSet<_> = VIOLATIONS
        .iter()
        .map(|(bug, _)| format!("{bug:?}"))
        .collect();
    assert_eq!((CLAUSES.len(), bugs.len()), (84, 79));
}

const VIOLATIONS: &[(Bug, &[&str])] = &[
    (Bug::ActingCount, &["acting_logins_take_nobody_s_place"]),
    (
        Bug::BlankRollsStay,
        &["who_has_logged_out_leaves_nothing_behind"],
    ),
    (
        Bug::BlockedAreAdmitted,
        &[
            "a_blocked_principal_cannot_log_in",
            "a_late_unblock_leaves_a_later_block",
        ],
    ),
    (
        Bug::BlocksEndWithTheNextEnding,
        &["a_later_ending_leaves_the_block"],
    ),
    (Bug::BlocksLapse, &["a_block_lasts_until_it_is_lifted"]),
    (
        Bug::CondemnTellsNothing,
        &[
            "a_login_that_is_not_theirs_is_not_condemned",
            "one_login_is_condemned",
        ],
    ),
    (
        Bug::CondemnedAreForgotten,
        &[
            "a_condemned_login_is_kept_as_long_as_it_would_have_been",
            "a_login_condemned_meanwhile_is_not_confirmed",
            "an_ending_is_kept_as_long_as_asked_for",
            "nothing_is_listed_of_a_stranger",
        ],
    ),
    (
        Bug::CondemnedAreListed,
        &[
            "an_ending_is_kept_as_long_as_asked_for",
            "nothing_is_listed_of_a_stranger",
            "thousands_of_logins_are_listed_ended_and_settled",
        ],
    ),
    (
        Bug::CondemnedAreLost,
        &[
            "a_reservation_tells_what_is_condemned",
            "condemned_logins_do_not_count",
            "nothing_is_listed_of_a_stranger",
        ],
    ),
    (
        Bug::CondemnedCount,
        &[
            "a_reservation_tells_what_is_condemned",
            "condemned_logins_do_not_count",
            "what_is_not_there_makes_no_room_by_being_replaced",
        ],
    ),
    (
        Bug::CondemnsAnything,
        &[
            "a_login_that_is_not_theirs_is_not_condemned",
            "one_login_is_condemned",
        ],
    ),
    (Bug::CondemnsBySession, &["one_login_is_condemned"]),
    (
        Bug::ConfirmAcceptsAnything,
        &[
            "a_block_ends_logins_under_way",
            "a_fence_of_an_earlier_epoch_is_revoked",
            "a_login_that_was_not_reserved_is_not_confirmed",
        ],
    ),
    (
        Bug::ConfirmForgetsRetries,
        &[
            "a_dropped_confirmation_has_happened_or_not",
            "a_repeated_confirmation_is_confirmed",
        ],
    ),
    (
        Bug::ConfirmIgnoresEpochs,
        &[
            "a_block_ends_logins_under_way",
            "a_login_reserved_before_an_ending_is_not_confirmed",
            "a_revoked_confirmation_gives_its_place_up",
        ],
    ),
    (
        Bug::ConfirmKeepsReplaced,
        &[
            "a_confirmation_replaces_exactly_one_login",
            "a_login_that_replaces_another_counts_with_it_as_one",
        ],
    ),
    (
        Bug::ConfirmKeepsRevoked,
        &["a_revoked_confirmation_gives_its_place_up"],
    ),
    (
        Bug::ConfirmReplacesAnything,
        &["a_login_does_not_replace_itself"],
    ),
    (
        Bug::ConfirmReplacesBySession,
        &[
            "a_confirmation_replaces_exactly_one_login",
            "a_login_that_replaces_another_counts_with_it_as_one",
        ],
    ),
    (
        Bug::DeadIncludeReserved,
        &["a_reserved_login_is_never_dead"],
    ),
    (Bug::DeadStay, &["dead_logins_make_room"]),
    (
        Bug::EndedIsToldAll,
        &["many_condemned_logins_are_told_little_by_little"],
    ),
    (Bug::EndingSparesAll, &["an_ending_spares_one_login"]),
    (Bug::EndingSparesNobody, &["an_ending_spares_one_login"]),
    (
        Bug::EndingSparesReserved,
        &[
            "a_login_reserved_before_an_ending_is_not_confirmed",
            "an_ending_condemns_all_logins",
            "an_ending_spares_one_login",
        ],
    ),
    (
        Bug::EndingsAreNotTagged,
        &[
            "a_late_block_blocks_nobody",
            "a_late_ending_ends_nothing_new",
            "a_repeated_ending_ends_nothing_new",
        ],
    ),
    (
        Bug::EndingsOfNobodyDoNothing,
        &["an_ending_of_no_logins_begins_an_epoch"],
    ),
    (
        Bug::EndingsRememberOneTag,
        &["a_late_ending_ends_nothing_new"],
    ),
    (
        Bug::EndsAtRounded,
        &[
            "a_confirmed_login_is_listed_with_its_session_s_end",
            "a_lost_login_is_entered_again",
            "logins_are_listed_in_order_page_by_page",
        ],
    ),
    (Bug::EndsOverflow, &["the_farthest_ends_are_kept_in_order"]),
    (
        Bug::EpochsAreCounted,
        &[
            "a_block_is_lifted",
            "a_late_block_blocks_nobody",
            "an_epoch_is_later_than_any_that_was_lost",
        ],
    ),
    (
        Bug::EpochsFollowTheClock,
        &[
            "a_fence_of_an_earlier_epoch_is_revoked",
            "a_later_ending_leaves_the_block",
            "epochs_only_grow",
        ],
    ),
    (
        Bug::EvictedAreLost,
        &[
            "a_reserved_login_that_made_room_is_not_confirmed",
            "of_concurrent_logins_as_many_are_left_as_there_are_places",
            "the_login_that_ends_first_makes_room",
        ],
    ),
    (
        Bug::EvictsOneOnly,
        &["under_a_lower_limit_as_many_make_room_as_are_too_many"],
    ),
    (
        Bug::EvictsReservedFirst,
        &["confirmed_logins_make_room_before_reserved_ones"],
    ),
    (
        Bug::EvictsTheNewest,
        &["the_login_that_ends_first_makes_room"],
    ),
    (
        Bug::FencesAreIgnored,
        &["a_fence_of_an_earlier_epoch_is_revoked"],
    ),
    (Bug::FencesNeverAdmit, &["a_fence_of_this_epoch_admits"]),
    (
        Bug::FullTellsAll,
        &["a_full_index_tells_not_more_than_is_of_use"],
    ),
    (
        Bug::FullTellsReserved,
        &[
            "a_full_index_tells_not_more_than_is_of_use",
            "a_full_index_tells_the_confirmed_logins",
        ],
    ),
    (
        Bug::GateCanFall,
        &[
            "of_concurrent_raises_of_the_gate_the_highest_counts",
            "the_gate_is_never_lowered",
        ],
    ),
    (
        Bug::GateForgets,
        &[
            "of_concurrent_raises_of_the_gate_the_highest_counts",
            "the_gate_is_never_lowered",
            "the_gate_is_raised",
        ],
    ),
    (
        Bug::KeepsNoLongerThanFirstAsked,
        &[
            "a_login_is_kept_until_its_session_s_end",
            "the_longest_time_asked_for_counts",
        ],
    ),
    (
        Bug::KeepsOnlyWhatWasAskedLast,
        &["the_longest_time_asked_for_counts"],
    ),
    (
        Bug::LapsedCount,
        &[
            "logins_are_listed_in_order_page_by_page",
            "logins_whose_sessions_have_ended_make_room",
            "the_farthest_ends_are_kept_in_order",
        ],
    ),
    (
        Bug::LimitCountsReplaced,
        &["a_login_that_replaces_another_counts_with_it_as_one"],
    ),
    (
        Bug::LimitCountsTheMissing,
        &["what_is_not_there_makes_no_room_by_being_replaced"],
    ),
    (
        Bug::LimitCountsTwice,
        &[
            "a_dropped_reservation_has_happened_or_not",
            "a_late_reservation_leaves_its_login_entered",
            "a_repeated_reservation_counts_once",
        ],
    ),
    (
        Bug::LimitIgnoresReserved,
        &[
            "a_repeated_reservation_counts_once",
            "a_reservation_holds_its_place_as_long_as_promised",
            "reservations_count_towards_the_limit",
        ],
    ),
    (
        Bug::LimitIsForgotten,
        &[
            "a_refused_reservation_takes_no_place",
            "a_reservation_holds_its_place_as_long_as_promised",
            "reservations_count_towards_the_limit",
        ],
    ),
    (
        Bug::ListsAreUnordered,
        &[
            "logins_are_listed_in_order_page_by_page",
            "logins_that_end_together_are_all_listed",
            "the_farthest_ends_are_kept_in_order",
        ],
    ),
    (
        Bug::ListsDropEqualEnds,
        &[
            "a_listing_goes_on_behind_a_login_that_has_gone",
            "logins_that_end_together_are_all_listed",
            "thousands_of_logins_are_listed_ended_and_settled",
        ],
    ),
    (
        Bug::ListsStopAtTheGone,
        &["a_listing_goes_on_behind_a_login_that_has_gone"],
    ),
    (
        Bug::NamesAreAscii,
        &["principals_are_listed_by_their_names"],
    ),
    (
        Bug::PrincipalsMeet,
        &[
            "principals_are_listed_by_their_names",
            "principals_do_not_meet",
        ],
    ),
    (
        Bug::ReadsThenWrites,
        &[
            "a_lost_login_used_by_many_is_entered_once",
            "no_login_slips_through_an_ending",
            "of_concurrent_logins_as_many_are_admitted_as_there_are_places",
            "of_concurrent_logins_as_many_are_left_as_there_are_places",
            "of_concurrent_raises_of_the_gate_the_highest_counts",
        ],
    ),
    (
        Bug::RefusedAreReserved,
        &[
            "a_refused_reservation_takes_no_place",
            "reservations_count_towards_the_limit",
        ],
    ),
    (
        Bug::RepeatsTellNothing,
        &[
            "a_dropped_ending_has_happened_or_not",
            "a_repeated_ending_ends_nothing_new",
        ],
    ),
    (
        Bug::ReservationTellsVictimsOnly,
        &[
            "a_reservation_tells_what_is_condemned",
            "condemned_logins_do_not_count",
        ],
    ),
    (
        Bug::ReservedAreLogins,
        &[
            "a_confirmed_login_is_listed_with_its_session_s_end",
            "a_login_that_was_not_reserved_is_not_confirmed",
            "a_reservation_is_admitted_and_is_no_login_yet",
        ],
    ),
    (
        Bug::ReservedLapseEarly,
        &[
            "a_repeated_reservation_counts_once",
            "a_reservation_holds_its_place_as_long_as_promised",
            "confirmed_logins_make_room_before_reserved_ones",
        ],
    ),
    (
        Bug::ReservedNeverLapse,
        &["a_reservation_that_is_not_confirmed_lapses"],
    ),
    (
        Bug::ReservesTheCondemned,
        &["a_condemned_login_cannot_be_reserved"],
    ),
    (
        Bug::ReservesTheConfirmedAnew,
        &["a_late_reservation_leaves_its_login_entered"],
    ),
    (
        Bug::SettlesBySession,
        &[
            "exactly_the_named_logins_are_settled",
            "one_login_is_condemned",
        ],
    ),
    (
        Bug::SettlesCondemnedOnly,
        &[
            "a_dropped_settling_has_happened_or_not",
            "a_listing_goes_on_behind_a_login_that_has_gone",
            "who_has_logged_out_leaves_nothing_behind",
        ],
    ),
    (Bug::SettlesReserved, &["a_reserved_login_is_not_settled"]),
    (Bug::SpareFailsToEnd, &["an_ending_spares_one_login"]),
    (Bug::TouchEntersTheReserved, &["a_login_in_use_is_known"]),
    (
        Bug::TouchForgetsTheEpoch,
        &[
            "a_lost_epoch_is_learnt_from_a_login",
            "a_revoked_confirmation_gives_its_place_up",
        ],
    ),
    (
        Bug::TouchIgnoresEpochs,
        &[
            "a_login_of_an_earlier_epoch_has_ended",
            "a_lost_epoch_is_learnt_from_a_login",
        ],
    ),
    (
        Bug::TouchLowersEpochs,
        &[
            "a_login_of_an_earlier_epoch_has_ended",
            "a_lost_epoch_is_learnt_from_a_login",
        ],
    ),
    (
        Bug::TouchOnlyLooks,
        &[
            "a_login_entered_again_is_kept_until_its_session_s_end",
            "a_lost_login_is_entered_again",
            "thousands_of_logins_are_listed_ended_and_settled",
        ],
    ),
    (Bug::TouchRevives, &["a_condemned_login_has_ended"]),
    (
        Bug::UnblockComparesNothing,
        &["a_late_unblock_leaves_a_later_block"],
    ),
    (
        Bug::UnblockDoesNothing,
        &[
            "a_block_is_lifted",
            "a_block_lasts_until_it_is_lifted",
            "a_late_block_blocks_nobody",
        ],
    ),
    (Bug::UsersFillOnePage, &["many_principals_are_all_listed"]),
    (Bug::UsersMissReserved, &["many_principals_are_all_listed"]),
    (
        Bug::WritesInTwoSteps,
        &[
            "a_dropped_call_leaves_the_index_usable",
            "a_dropped_confirmation_has_happened_or_not",
            "a_dropped_ending_has_happened_or_not",
            "a_dropped_reservation_has_happened_or_not",
            "a_dropped_settling_has_happened_or_not",
            "a_lost_login_used_by_many_is_entered_once",
            "an_ending_that_is_sent_twice_at_once_happens_once",
            "no_login_slips_through_an_ending",
            "of_concurrent_logins_as_many_are_admitted_as_there_are_places",
            "of_concurrent_logins_as_many_are_left_as_there_are_places",
        ],
    ),
];

type Clause = fn(Desk) -> Pin<Box<dyn Future<Output = ()> + Send>>;

macro_rules! clauses_by_name {
    ({} $($clause:ident)*) => {
        fn clause(name: &str) -> Clause {
            match name {
                $(stringify!($clause) => {
                    |desk| Box::pin(tenure_testing::index::$clause(desk))
                })*
                _ => panic!("there is no clause {name}"),
            }
        }
    };
}

tenure_testing::__for_each_index_clause! { {clauses_by_name} {} }

struct Desk(Roster);

impl Fixture for Desk {
    type Store = Roster;

    fn store(&self) -> &Roster {
        &self.0
    }

    fn clock(&self) -> &ManualClock {
        self.0.clock()
    }

    fn max_record_bytes(&self) -> usize {
        1 << 20
    }

    async fn plant(&self, _: SessionId, _: &[u8]) -> Planted {
        Planted::Unrepresentable
    }
}
