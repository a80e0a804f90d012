//! A fixed number of schedules, with every change to the repository; `cargo xtask simulate` runs millions.
//! Without optimisation, as tests are compiled, each takes a millisecond, and so they are six thousand.

use tenure_simulation::{Case, Plan, Until};

fn holds(first_seed: u64) {
    let plan = Plan {
        first_seed,
        until: Until::Schedules(1500),
        flaw: None,
    };
    let sweep = plan.run();
    let shortest = sweep.found.iter().next().map(|(kind, finding)| {
        let shortened = finding.case.clone().shrunk(*kind);
        format!(
            "{kind:?}, seed {}, shortened:\n{}",
            finding.seed,
            shortened.trace(*kind)
        )
    });
    assert!(
        sweep.found.is_empty(),
        "{sweep}\n{}",
        shortest.unwrap_or_default()
    );
}

#[test]
fn no_promise_is_broken_in_the_first_schedules() {
    holds(1);
}

#[test]
fn no_promise_is_broken_in_the_second_schedules() {
    holds(10_001);
}

#[test]
fn no_promise_is_broken_in_the_third_schedules() {
    holds(20_001);
}

#[test]
fn no_promise_is_broken_in_the_fourth_schedules() {
    holds(30_001);
}

#[test]
fn a_seed_is_the_same_schedule_each_time() {
    for seed in 0..100 {
        assert_eq!(Case::of_seed(seed), Case::of_seed(seed), "seed {seed}");
    }
}
