//! Logins through the index, in every order there is and with a failure anywhere; and each rule of the protocol is
//! needed.

#![expect(
    clippy::print_stdout,
    reason = "how many states were seen is worth knowing"
)]

use std::time::Instant;

use tenure_core::OnLimit;
use tenure_simulation::logins::{
    Act::{EndAll, List, LogIn, LogInAt, LogOut, LoseDeletion, LoseEntry, Read},
    Explored, LeftOut, Plan, Process, explore,
};

fn explored(plan: &Plan) -> Explored {
    #[expect(clippy::disallowed_methods, reason = "it is told how long it took")]
    let begun = Instant::now();
    let explored = explore(plan);
    let verdict = match &explored.broken {
        None => String::from("holds"),
        Some((broken, told)) => format!("{broken}, by {}", told.join(" ")),
    };
    println!(
        "{:<60} {:>7} states, {:>6} runs, {:>5.1} s: {verdict}",
        plan.name,
        explored.states,
        explored.runs,
        begun.elapsed().as_secs_f64()
    );
    explored
}

fn holds(plan: &Plan) {
    let explored = explored(plan);
    assert!(explored.broken.is_none(), "{}", plan.name);
    assert!(explored.ends > 0, "it never came to an end");
}

fn is_broken(plan: &Plan, what: &str) {
    let found = explored(plan).broken;
    let is_it = found
        .as_ref()
        .is_some_and(|(broken, _)| broken.starts_with(what));
    assert!(is_it, "{found:?}");
}

#[test]
fn two_logins_an_ending_and_a_list() {
    holds(&Plan {
        name: "two new logins, end all, list; one failure",
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(EndAll("ada")),
            Process::new(List("ada")),
        ],
        failures: 1,
        ..Plan::default()
    });
}

#[test]
fn a_login_in_a_session_that_is_there_and_two_endings() {
    holds(&Plan {
        name: "login in an anonymous session, end all twice; one failure",
        browsers: &[""],
        processes: vec![
            Process::new(LogInAt(0, "ada")),
            Process::new(EndAll("ada")),
            Process::new(EndAll("ada")),
        ],
        failures: 1,
        ..Plan::default()
    });
}

#[test]
fn a_second_login_in_the_same_session() {
    holds(&Plan {
        name: "login again in the same session, end all, list; one failure",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogInAt(0, "ada")),
            Process::new(EndAll("ada")),
            Process::new(List("ada")),
        ],
        failures: 1,
        ..Plan::default()
    });
}

#[test]
fn a_session_that_changes_hands_and_back() {
    holds(&Plan {
        name: "ada's session to grace and back, end all of ada, list; one failure",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogInAt(0, "grace")),
            Process::new(LogInAt(0, "ada")),
            Process::new(EndAll("ada")),
            Process::new(List("ada")),
        ],
        failures: 1,
        ..Plan::default()
    });
}

#[test]
fn a_login_and_a_logout() {
    holds(&Plan {
        name: "login, logout of another, end all, list; one failure",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogOut(0)),
            Process::new(EndAll("ada")),
            Process::new(List("ada")),
        ],
        failures: 1,
        ..Plan::default()
    });
}

#[test]
fn logins_at_a_limit_that_refuses() {
    let plan = Plan {
        limit: Some((1, OnLimit::Refuse)),
        ..Plan::default()
    };
    holds(&Plan {
        name: "limit 1, refuse: three logins",
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
        ],
        ..plan
    });
    holds(&Plan {
        name: "limit 1, refuse: two logins beside one, end all",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(EndAll("ada")),
        ],
        ..plan
    });
}

#[test]
fn logins_at_a_limit_that_evicts() {
    let plan = Plan {
        limit: Some((1, OnLimit::EndOldest)),
        ..Plan::default()
    };
    holds(&Plan {
        name: "limit 1, evict: three logins",
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
        ],
        ..plan
    });
    holds(&Plan {
        name: "limit 1, evict: two logins beside one, end all",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(EndAll("ada")),
        ],
        ..plan
    });
    holds(&Plan {
        name: "limit 2, evict: two logins beside one, end all; one failure",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogIn("ada")),
            Process::new(LogIn("ada")),
            Process::new(EndAll("ada")),
        ],
        limit: Some((2, OnLimit::EndOldest)),
        failures: 1,
        ..Plan::default()
    });
}

fn lost_entry() -> Plan {
    Plan {
        name: "the index loses an entry; end all, a request, another login",
        browsers: &["ada"],
        processes: vec![
            Process::new(LoseEntry(0)),
            Process::new(EndAll("ada")),
            Process::after(0, Read(0)),
            Process::new(LogIn("ada")),
        ],
        at_rest_only: true,
        ..Plan::default()
    }
}

fn lost_deletion() -> Plan {
    Plan {
        name: "the storage loses an ending's deletion; a request, another login",
        browsers: &["ada"],
        processes: vec![
            Process::new(EndAll("ada")),
            Process::after(0, LoseDeletion(0)),
            Process::after(1, Read(0)),
            Process::new(LogIn("ada")),
        ],
        at_rest_only: true,
        ..Plan::default()
    }
}

#[test]
fn what_a_failover_loses_is_mended_by_the_next_request() {
    holds(&lost_entry());
    holds(&lost_deletion());
}

#[test]
fn without_touches_what_a_failover_loses_is_lost() {
    for plan in [lost_entry(), lost_deletion()] {
        is_broken(
            &Plan {
                left_out: Some(LeftOut::Touches),
                ..plan
            },
            "",
        );
    }
}

#[test]
fn without_confirmations_a_login_slips_through() {
    let plan = Plan {
        name: "no confirmation: an ending",
        processes: vec![Process::new(LogIn("ada")), Process::new(EndAll("ada"))],
        left_out: Some(LeftOut::Confirmation),
        ..Plan::default()
    };
    is_broken(&plan, "");
    is_broken(
        &Plan {
            name: "no confirmation: a list",
            processes: vec![Process::new(LogIn("ada")), Process::new(List("ada"))],
            ..plan
        },
        "cover",
    );
    is_broken(
        &Plan {
            name: "no confirmation: in an old session",
            browsers: &[""],
            processes: vec![Process::new(LogInAt(0, "ada")), Process::new(EndAll("ada"))],
            ..plan
        },
        "",
    );
}

#[test]
fn dropping_entries_by_session_loses_a_login_that_came_back() {
    is_broken(
        &Plan {
            name: "drops by session: ada's session to grace and back, list",
            browsers: &["ada"],
            processes: vec![
                Process::new(LogInAt(0, "grace")),
                Process::new(LogInAt(0, "ada")),
                Process::new(List("ada")),
            ],
            left_out: Some(LeftOut::ExactDrops),
            ..Plan::default()
        },
        "cover",
    );
}

#[test]
fn without_a_list_of_the_condemned_a_crash_leaves_a_login_nobody_knows() {
    is_broken(
        &Plan {
            name: "no list of the condemned: limit 1, evict",
            browsers: &["ada"],
            processes: vec![Process::new(LogIn("ada"))],
            limit: Some((1, OnLimit::EndOldest)),
            failures: 1,
            left_out: Some(LeftOut::Condemned),
            ..Plan::default()
        },
        "cover",
    );
}

#[test]
fn deleting_by_session_ends_somebody_elses_login() {
    let plan = Plan {
        name: "ada's session to grace, end all of ada",
        browsers: &["ada"],
        processes: vec![
            Process::new(LogInAt(0, "grace")),
            Process::new(EndAll("ada")),
        ],
        ..Plan::default()
    };
    holds(&plan);
    is_broken(
        &Plan {
            name: "deletions by session: ada's session to grace, end all of ada",
            left_out: Some(LeftOut::ExactDeletions),
            ..plan
        },
        "exact",
    );
}
