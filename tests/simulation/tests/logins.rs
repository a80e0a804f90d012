//! Logins through the index, in every order; and each rule of the protocol is needed.

use tenure_simulation::logins::{explore, plans};

/// Two at a time, with a failure anywhere. Those of three and four take minutes and a release build, see `main.rs`.
#[test]
fn the_protocol_holds_in_every_order() {
    let plans = plans::sound().into_iter();
    for plan in plans.filter(|plan| plan.processes.len() <= 2) {
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
