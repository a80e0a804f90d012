//! Logins through the index, in every order; and each rule of the protocol is needed.

use tenure_simulation::logins::{Plan, explore, plans};

/// Up to three at a time, and with a failure anywhere where that takes seconds; the rest takes a release build, see
/// `main.rs`.
#[test]
fn the_protocol_holds_in_every_order() {
    let plans = plans::sound().into_iter();
    for plan in plans.filter(|plan| plan.processes.len() <= 3) {
        let is_small = plan.processes.len() <= 2;
        let failures = if is_small { plan.failures } else { 0 };
        let plan = Plan { failures, ..plan };
        let explored = explore(&plan);
        println!("{explored}");
        assert!(explored.broken.is_none(), "{explored}");
        assert!(explored.ends > 0, "it never came to an end");
    }
}

#[test]
fn without_any_of_its_rules_it_does_not() {
    for (plan, promises) in plans::unsound() {
        let explored = explore(&plan);
        println!("{explored}");
        let (broken, _) = explored.broken.expect("to be found");
        let is_expected = promises.iter().any(|promise| broken.starts_with(promise));
        assert!(is_expected, "{}: {broken}", plan.name);
    }
}
