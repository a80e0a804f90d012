//! What the suites have in common: tests made of a list of clauses.
//!
//! A suite is a module with a function for each clause, and a macro that passes their names on: to one of these.

#![expect(
    clippy::panic,
    reason = "a clause that does not finish has failed its test"
)]

use std::{future::Future, time::Duration};

#[doc(hidden)]
#[macro_export]
macro_rules! __clause_tests {
    ({ $suite:ident, $fixture:expr } $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                $crate::suite::run(async {
                    $crate::$suite::$clause($fixture).await;
                });
            }
        )*
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __clauses_in_turn {
    ({ $suite:ident, $test:ident, $servers:ident, $start:expr, $fixture:expr } $($clause:ident)*) => {
        #[test]
        fn $test() {
            let $servers = $start;
            $(
                println!(stringify!($clause));
                $crate::suite::run(async {
                    $crate::$suite::$clause($fixture).await;
                });
            )*
        }
    };
}

macro_rules! names {
    ({} $($clause:ident)*) => {
        /// The names of all clauses, in the order of the contract.
        pub const CLAUSES: &[&str] = &[$(stringify!($clause)),*];
    };
}
pub(crate) use names;

/// Runs a clause as the body of a test, in a runtime of its own.
///
/// A runtime from here, and not `#[tokio::test]`, so that a store's crate needs no feature of tokio, and
/// so that a store that never answers fails the test instead of hanging the run.
pub fn run(clause: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(async {
            if tokio::time::timeout(DEADLINE, clause).await.is_err() {
                panic!("the store had not finished after {DEADLINE:?}");
            }
        }),
        Err(error) => panic!("no runtime to test in: {error}"),
    }
}

/// Enough for real races, few enough for the many tests that run at once.
const WORKERS: usize = 2;

/// Far above what the slowest clause takes on a busy machine (a few seconds).
const DEADLINE: Duration = Duration::from_secs(60);

/// Makes sure that a suite's list has each clause that its sources have, once.
#[cfg(test)]
pub(crate) fn check_list(clauses: &[&str], sources: &[&str]) {
    let written = sources
        .iter()
        .flat_map(|source| source.lines())
        .filter_map(|line| line.strip_prefix("pub async fn ")?.split('(').next());
    let mut unlisted = clauses.to_vec();
    for clause in written {
        let at = unlisted.iter().position(|listed| *listed == clause);
        unlisted.remove(at.unwrap_or_else(|| panic!("{clause} is not listed")));
    }
    assert!(unlisted.is_empty(), "listed twice: {unlisted:?}");
}
