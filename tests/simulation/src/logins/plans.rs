//! What is explored: the protocol as it is, and without one of its rules each.

use tenure_core::OnLimit;

use super::{
    Act::{EndAll, List, LogIn, LogInAt, LogOut, LoseDeletion, LoseEntry, Read},
    LeftOut, Plan, Process,
};

/// Those that hold.
#[must_use]
pub fn sound() -> Vec<Plan> {
    let (ada, grace) = ("ada", "grace");
    let new = Process::new;
    let limited = |most, on_limit| Plan {
        limit: Some((most, on_limit)),
        ..Plan::default()
    };
    vec![
        Plan {
            name: "two new logins, end all, list",
            processes: vec![
                new(LogIn(ada)),
                new(LogIn(ada)),
                new(EndAll(ada)),
                new(List(ada)),
            ],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "a login in an anonymous session, end all twice",
            browsers: &[""],
            processes: vec![new(LogInAt(0, ada)), new(EndAll(ada)), new(EndAll(ada))],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "a login again in the same session, end all, list",
            browsers: &["ada"],
            processes: vec![new(LogInAt(0, ada)), new(EndAll(ada)), new(List(ada))],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "ada's session to grace and back, end all of ada, list",
            browsers: &["ada"],
            processes: vec![
                new(LogInAt(0, grace)),
                new(LogInAt(0, ada)),
                new(EndAll(ada)),
                new(List(ada)),
            ],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "a login, a logout of another, end all, list",
            browsers: &["ada"],
            processes: vec![
                new(LogIn(ada)),
                new(LogOut(0)),
                new(EndAll(ada)),
                new(List(ada)),
            ],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "ada's session to grace, end all of ada",
            browsers: &["ada"],
            processes: vec![new(LogInAt(0, grace)), new(EndAll(ada))],
            failures: 1,
            ..Plan::default()
        },
        Plan {
            name: "limit 1, refuse: three logins",
            processes: vec![new(LogIn(ada)), new(LogIn(ada)), new(LogIn(ada))],
            ..limited(1, OnLimit::Refuse)
        },
        Plan {
            name: "limit 1, refuse: two logins beside one, end all",
            browsers: &["ada"],
            processes: vec![new(LogIn(ada)), new(LogIn(ada)), new(EndAll(ada))],
            ..limited(1, OnLimit::Refuse)
        },
        Plan {
            name: "limit 1, evict: three logins",
            processes: vec![new(LogIn(ada)), new(LogIn(ada)), new(LogIn(ada))],
            ..limited(1, OnLimit::EndOldest)
        },
        Plan {
            name: "limit 1, evict: two logins beside one, end all",
            browsers: &["ada"],
            processes: vec![new(LogIn(ada)), new(LogIn(ada)), new(EndAll(ada))],
            ..limited(1, OnLimit::EndOldest)
        },
        Plan {
            name: "limit 2, evict: two logins beside one, end all",
            browsers: &["ada"],
            processes: vec![new(LogIn(ada)), new(LogIn(ada)), new(EndAll(ada))],
            failures: 1,
            ..limited(2, OnLimit::EndOldest)
        },
        lost_entry(),
        lost_deletion(),
    ]
}

/// Those that each lack a rule, and by which promise that shows; several may.
#[must_use]
pub fn unsound() -> Vec<(Plan, &'static [&'static str])> {
    let (ada, grace) = ("ada", "grace");
    let new = Process::new;
    vec![
        (
            Plan {
                name: "no confirmation: an ending",
                processes: vec![new(LogIn(ada)), new(EndAll(ada))],
                left_out: Some(LeftOut::Confirmation),
                ..Plan::default()
            },
            &["cover", "revoked"],
        ),
        (
            Plan {
                name: "no confirmation: a list",
                processes: vec![new(LogIn(ada)), new(List(ada))],
                left_out: Some(LeftOut::Confirmation),
                ..Plan::default()
            },
            &["cover"],
        ),
        (
            Plan {
                name: "no confirmation: an old session",
                browsers: &[""],
                processes: vec![new(LogInAt(0, ada)), new(EndAll(ada))],
                left_out: Some(LeftOut::Confirmation),
                ..Plan::default()
            },
            &["cover", "revoked"],
        ),
        (
            Plan {
                name: "drops by session: ada's session to grace and back",
                browsers: &["ada"],
                processes: vec![new(LogInAt(0, grace)), new(LogInAt(0, ada)), new(List(ada))],
                left_out: Some(LeftOut::ExactDrops),
                ..Plan::default()
            },
            &["cover"],
        ),
        (
            Plan {
                name: "no list of the condemned: limit 1, evict",
                browsers: &["ada"],
                processes: vec![new(LogIn(ada))],
                limit: Some((1, OnLimit::EndOldest)),
                failures: 1,
                left_out: Some(LeftOut::Condemned),
                ..Plan::default()
            },
            &["cover"],
        ),
        (
            Plan {
                name: "deletions by session: ada's session to grace, end all",
                browsers: &["ada"],
                processes: vec![new(LogInAt(0, grace)), new(EndAll(ada))],
                left_out: Some(LeftOut::ExactDeletions),
                ..Plan::default()
            },
            &["exact"],
        ),
        (
            Plan {
                left_out: Some(LeftOut::Touches),
                ..lost_entry()
            },
            &["cover", "revoked"],
        ),
        (
            Plan {
                left_out: Some(LeftOut::Touches),
                ..lost_deletion()
            },
            &["cover", "revoked"],
        ),
    ]
}

fn lost_entry() -> Plan {
    Plan {
        name: "an entry is lost; end all, a request, another login",
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
        name: "an ending's deletion is lost; a request, another login",
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
