//! The two checkers of histories agree, whatever the history.

use proptest::prelude::*;
use tenure_simulation::history::{Fault, Operation, What, check_chain, is_linearizable};

/// What is done to a history that was linearizable, to make others of it.
#[derive(Clone, Copy, Debug)]
enum Damage {
    Begin(usize, u64),
    End(usize, u64),
    Unanswered(usize),
    Version(usize, u32),
    Parent(usize, u32),
    Missing(usize),
}

/// A history that happened: each operation takes effect at its place in the list, and was asked for a
/// little earlier and answered a little later.
fn true_history() -> impl Strategy<Value = Vec<Operation<u32>>> {
    let operation = (0..6_u8, 0..40_u64, 0..40_u64, any::<bool>());
    proptest::collection::vec(operation, 1..11).prop_map(|steps| {
        let mut history = Vec::new();
        let (mut version, mut is_over) = (1, false);
        history.push(operation_at(
            0,
            0,
            0,
            What::Write {
                parent: None,
                version: 1,
            },
        ));
        for (step, (kind, before, after, is_answered)) in steps.into_iter().enumerate() {
            let what = match kind {
                _ if is_over => What::ReadAbsent,
                0..=2 => {
                    version += 1;
                    What::Write {
                        parent: Some(version - 1),
                        version,
                    }
                }
                3 if step > 4 => {
                    is_over = true;
                    What::Delete
                }
                _ => What::Read(version),
            };
            let at = 20 * (step as u64 + 1);
            let mut operation = operation_at(at, before, after, what);
            if !is_answered && kind == 2 {
                operation.ended = None;
            }
            history.push(operation);
        }
        history
    })
}

fn operation_at(at: u64, before: u64, after: u64, what: What<u32>) -> Operation<u32> {
    Operation {
        began: at.saturating_sub(before),
        ended: Some(at + after),
        what,
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = 0..12_usize;
    prop_oneof![
        (number.clone(), 0..240_u64).prop_map(|(number, at)| Damage::Begin(number, at)),
        (number.clone(), 0..240_u64).prop_map(|(number, at)| Damage::End(number, at)),
        number.clone().prop_map(Damage::Unanswered),
        (number.clone(), 1..12_u32).prop_map(|(number, version)| Damage::Version(number, version)),
        (number.clone(), 1..12_u32).prop_map(|(number, parent)| Damage::Parent(number, parent)),
        number.prop_map(Damage::Missing),
    ]
}

fn damaged(mut history: Vec<Operation<u32>>, damages: &[Damage]) -> Vec<Operation<u32>> {
    for damage in damages {
        let length = history.len();
        let place = |number: usize| number % length.max(1);
        match *damage {
            _ if history.is_empty() => {}
            Damage::Begin(number, at) => {
                let operation = &mut history[place(number)];
                operation.began = at.min(operation.ended.unwrap_or(at));
            }
            Damage::End(number, at) => {
                let operation = &mut history[place(number)];
                operation.ended = Some(at.max(operation.began));
            }
            Damage::Unanswered(number) => history[place(number)].ended = None,
            Damage::Version(number, other) => match &mut history[place(number)].what {
                What::Write { version, .. } | What::Read(version) => *version = other,
                What::Delete | What::ReadAbsent => {}
            },
            Damage::Parent(number, other) => {
                if let What::Write { parent, .. } = &mut history[place(number)].what {
                    *parent = Some(other);
                }
            }
            Damage::Missing(number) => {
                history.remove(place(number));
            }
        }
    }
    history
}

#[test]
fn both_checkers_say_the_same_of_histories_that_are_right_and_of_those_that_are_not() {
    let cases = 10_000;
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(
        ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        },
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    );
    let (right, wrong) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let histories = (true_history(), proptest::collection::vec(damage(), 0..4));
    runner
        .run(&histories, |(history, damages)| {
            let history = damaged(history, &damages);
            // A version that was written twice is an error of whoever observed, not of the store, and
            // only the chain looks for it.
            let verdict = check_chain(&history);
            if verdict == Err(Fault::TwoWritesOfOneVersion) {
                return Ok(());
            }
            prop_assert_eq!(verdict.is_ok(), is_linearizable(&history), "{:?}", verdict);
            let count = if verdict.is_ok() { &right } else { &wrong };
            count.set(count.get() + 1);
            Ok(())
        })
        .unwrap();
    println!(
        "{} histories linearizable, {} not",
        right.get(),
        wrong.get()
    );
    assert!(right.get() > cases / 10 && wrong.get() > cases / 10);
}

#[test]
fn a_lost_update_is_two_writes_on_one_version() {
    let history = [
        operation_at(
            0,
            0,
            1,
            What::Write {
                parent: None,
                version: 1,
            },
        ),
        operation_at(
            10,
            0,
            5,
            What::Write {
                parent: Some(1),
                version: 2,
            },
        ),
        operation_at(
            12,
            0,
            5,
            What::Write {
                parent: Some(1),
                version: 3,
            },
        ),
    ];
    assert_eq!(check_chain(&history), Err(Fault::TwoWritesOnOneVersion));
    assert!(!is_linearizable(&history));
}

#[test]
fn a_session_that_comes_back_is_in_the_wrong_order() {
    let history = [
        operation_at(
            0,
            0,
            1,
            What::Write {
                parent: None,
                version: 1,
            },
        ),
        operation_at(10, 0, 5, What::Delete),
        operation_at(20, 0, 5, What::Read(1)),
    ];
    assert_eq!(check_chain(&history), Err(Fault::WrongOrder));
    assert!(!is_linearizable(&history));
}
