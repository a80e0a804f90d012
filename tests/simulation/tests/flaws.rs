//! A simulation that finds nothing proves something only if it would have found it.

use tenure_simulation::{Flaw, Kind, Plan, Until};

/// Whether one of the first schedules shows the flaw, as a violation of that kind.
fn shows(flaw: Flaw, kind: Kind) {
    let is_found = (0..MOST_BATCHES).any(|batch| {
        let plan = Plan {
            first_seed: batch * BATCH,
            until: Until::Schedules(BATCH),
            flaw: Some(flaw),
        };
        plan.run().found.contains_key(&kind)
    });
    assert!(is_found, "{flaw:?} shows in no schedule as {kind:?}");
}

/// A flaw shows in the first hundred, as a rule; proofs that overtake reports in some thousands.
const BATCH: u64 = 100;

const MOST_BATCHES: u64 = 120;

#[test]
fn a_server_that_commits_without_comparing_shows() {
    shows(Flaw::CommitsWithoutComparing, Kind::NotLinearizable);
}

#[test]
fn a_server_that_revives_what_was_deleted_shows() {
    shows(Flaw::CommitsRevive, Kind::CameBack);
}

#[test]
fn a_server_that_forgets_commits_shows() {
    shows(Flaw::ForgetsCommits, Kind::Lost);
}

#[test]
fn a_server_that_forgets_deletions_shows() {
    shows(Flaw::ForgetsDeletions, Kind::CameBack);
}

#[test]
fn a_server_that_deletes_a_later_login_shows() {
    shows(Flaw::DeletesAnybodys, Kind::ForeignDeletion);
}

#[test]
fn a_server_that_reports_nothing_to_caches_shows() {
    shows(Flaw::ReportsNothing, Kind::OldRead);
}

#[test]
fn a_server_whose_proofs_overtake_its_reports_shows() {
    shows(Flaw::ProvesTooEarly, Kind::OldRead);
}
