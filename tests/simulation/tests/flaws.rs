//! A simulation that finds nothing proves something only if it would have found it.

use tenure_simulation::{Flaw, Kind, Plan, Until};

fn shows(flaw: Flaw, kinds: &[Kind]) {
    let plan = Plan {
        first_seed: 1,
        until: Until::Schedules(2000),
        flaw: Some(flaw),
    };
    let sweep = plan.run();
    let is_found = kinds.iter().any(|kind| sweep.found.contains_key(kind));
    assert!(is_found, "{flaw:?} shows in none of {kinds:?}: {sweep}");
}

#[test]
fn a_server_that_commits_without_comparing_shows() {
    shows(Flaw::CommitsWithoutComparing, &[Kind::NotLinearizable]);
}

#[test]
fn a_server_that_revives_what_was_deleted_shows() {
    shows(Flaw::CommitsRevive, &[Kind::CameBack]);
}

#[test]
fn a_server_that_forgets_commits_shows() {
    shows(Flaw::ForgetsCommits, &[Kind::Lost]);
}

#[test]
fn a_server_that_forgets_deletions_shows() {
    shows(Flaw::ForgetsDeletions, &[Kind::CameBack]);
}

#[test]
fn a_server_that_deletes_a_later_login_shows() {
    shows(Flaw::DeletesAnybodys, &[Kind::ForeignDeletion]);
}

#[test]
fn a_server_that_reports_nothing_to_caches_shows() {
    shows(Flaw::ReportsNothing, &[Kind::OldRead]);
}

#[test]
fn a_server_whose_proofs_overtake_its_reports_shows() {
    shows(Flaw::ProvesTooEarly, &[Kind::OldRead]);
}
