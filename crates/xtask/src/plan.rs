//! The steps of each task.

use crate::{
    machine::Machine,
    provision::{CHROMEDRIVER, NGINX, REDIS, VALGRIND, WRK, provision, provision_valkey},
    run::{Invocation, Step},
    task::Bench,
};

/// All tests. Redis is part of the plan: without it nothing is skipped, the task fails.
///
/// One choice of features for every step, so that nothing is compiled twice.
pub(crate) fn test(machine: &Machine, arguments: &[String]) -> Result<Vec<Step>, String> {
    let runner = if machine.has("cargo-nextest") {
        "cargo nextest run --workspace --all-features --no-fail-fast"
    } else {
        "cargo test --workspace --all-features --no-fail-fast --tests"
    };
    let mut steps = vec![
        Step::new("redis-server", provision(machine, &[&REDIS])?),
        Step::new("valkey-server", provision_valkey(machine)?),
        // `cargo test` alone would not build the binaries of other packages that tests start.
        Step::command(
            "build",
            "cargo build --workspace --all-features --bins --tests --examples",
        ),
        Step::new(
            "unit and integration tests",
            vec![Invocation::new(runner).with(arguments).counted()],
        ),
    ];
    // A filter for one runner means nothing, or something else, to the other.
    if arguments.is_empty() {
        steps.push(Step::new(
            "documentation tests",
            vec![Invocation::new("cargo test --doc --workspace --all-features").counted()],
        ));
    }
    Ok(steps)
}

/// All tests, then what else a change must pass.
pub(crate) fn ci(machine: &Machine, arguments: &[String]) -> Result<Vec<Step>, String> {
    let mut steps = test(machine, arguments)?;
    steps.extend([
        Step::command("formatting", "cargo fmt --all --check"),
        Step::new(
            "lints",
            vec![
                Invocation::new(
                    "cargo clippy --workspace --all-targets --all-features -- -D warnings",
                ),
                // `--all-targets` leaves out what ordinary tests leave out.
                Invocation::new(
                    "cargo clippy --workspace --test system --all-features -- -D warnings",
                ),
            ],
        ),
        Step::new(
            "documentation",
            vec![
                Invocation::new("cargo doc --workspace --no-deps --all-features")
                    .env("RUSTDOCFLAGS", "-D warnings"),
            ],
        ),
    ]);
    Ok(steps)
}

/// The tests that need a browser and a web server.
pub(crate) fn system(machine: &Machine, arguments: &[String]) -> Result<Vec<Step>, String> {
    let runner = if machine.has("cargo-nextest") {
        "cargo nextest run --no-fail-fast"
    } else {
        "cargo test --no-fail-fast"
    };
    Ok(vec![
        Step::new(
            "chromium and nginx",
            provision(machine, &[&CHROMEDRIVER, &NGINX])?,
        ),
        Step::new(
            "build",
            vec![
                Invocation::new("cargo build --package quickstart"),
                Invocation::new(&format!("cargo build {SYSTEM_TESTS}")),
            ],
        ),
        Step::new(
            "system tests",
            vec![
                Invocation::new(&format!("{runner} {SYSTEM_TESTS}"))
                    .with(arguments)
                    .counted(),
            ],
        ),
    ])
}

/// Random visitors and random faults.
pub(crate) fn chaos(machine: &Machine, arguments: &[String]) -> Result<Vec<Step>, String> {
    Ok(vec![
        Step::new("redis-server", provision(machine, &[&REDIS])?),
        Step::new(
            "chaos",
            vec![Invocation::new("cargo run --package tenure-chaos --").with(arguments)],
        ),
    ])
}

/// Measurements.
pub(crate) fn bench(
    machine: &Machine,
    bench: Bench,
    arguments: &[String],
) -> Result<Vec<Step>, String> {
    let (programs, title, command) = match bench {
        Bench::Instructions => (
            &[&VALGRIND][..],
            "instructions",
            "cargo bench --package tenure-benches --bench instructions --",
        ),
        // A workspace of its own, which must not make the other one build anew.
        Bench::Peers => (
            &[&REDIS, &WRK][..],
            "peers",
            "cargo run --release --manifest-path benches/peers/Cargo.toml \
             --target-dir target/peers --package peers-bench --",
        ),
    };
    Ok(vec![
        Step::new("programs", provision(machine, programs)?),
        Step::new(title, vec![Invocation::new(command).with(arguments)]),
    ])
}

/// Schedules for the session manager, as many as the time allows: so with optimisation.
pub(crate) fn simulate(arguments: &[String]) -> Vec<Step> {
    let command = "cargo run --release --package tenure-simulation --";
    vec![Step::new(
        "simulation",
        vec![Invocation::new(command).with(arguments)],
    )]
}

/// Each fuzz target for that long, from the corpus that earlier runs have left.
pub(crate) fn fuzz(
    machine: &Machine,
    targets: &[String],
    seconds: u32,
) -> Result<Vec<Step>, String> {
    let missing = [
        (
            machine.has_nightly(),
            "rustup toolchain install nightly --profile minimal",
        ),
        (
            machine.has("cargo-fuzz"),
            "cargo install cargo-fuzz --locked",
        ),
    ];
    let missing = missing
        .into_iter()
        .filter_map(|(present, remedy)| (!present).then_some(remedy))
        .collect::<Vec<_>>();
    if !missing.is_empty() {
        return Err(format!(
            "Fuzzing needs a nightly toolchain, cargo-fuzz and a C++ compiler. First run\n{}",
            missing.join("\n")
        ));
    }
    Ok(targets
        .iter()
        .map(|target| {
            Step::command(
                &format!("fuzz {target} for {seconds} s"),
                &format!(
                    "rustup run nightly cargo fuzz run --target-dir target/fuzz {target} \
                     -- -max_total_time={seconds}"
                ),
            )
        })
        .collect())
}

const SYSTEM_TESTS: &str = "--package tenure-system-tests --test system";

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(steps: &[Step]) -> String {
        let invocations = steps.iter().flat_map(|step| &step.invocations);
        invocations
            .map(Invocation::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn tests_run_in_nextest_where_there_is_one() {
        let with = Machine::with(&["redis-server", "valkey-server", "cargo-nextest"]);
        let without = Machine::with(&["redis-server", "valkey-server"]);
        assert!(commands(&test(&with, &[]).unwrap()).contains("cargo nextest run --workspace"));
        let plain = commands(&test(&without, &[]).unwrap());
        assert!(plain.contains("cargo test --workspace"));
        assert!(plain.contains("cargo test --doc"));
        assert!(!plain.contains("nextest"));
    }

    #[test]
    fn a_filter_reaches_the_tests_and_leaves_the_documentation_out() {
        let machine = Machine::with(&["redis-server", "valkey-server", "cargo-nextest"]);
        let plan = commands(&test(&machine, &["rebase".to_owned()]).unwrap());
        assert!(plan.ends_with(" rebase"), "{plan}");
        assert!(!plan.contains("--doc"));
    }

    #[test]
    fn no_test_runs_when_redis_or_valkey_cannot_be_had() {
        assert!(test(&Machine::default(), &[]).is_err());
        assert!(test(&Machine::with(&["redis-server"]), &[]).is_err());
        assert!(test(&Machine::with(&["valkey-server"]), &[]).is_err());
        assert!(ci(&Machine::default(), &[]).is_err());
    }

    #[test]
    fn ci_begins_with_the_tests_and_denies_warnings() {
        let machine = Machine::with(&["redis-server", "valkey-server"]);
        let (test, ci) = (test(&machine, &[]).unwrap(), ci(&machine, &[]).unwrap());
        assert_eq!(ci[..test.len()], test);
        let plan = commands(&ci[test.len()..]);
        assert!(plan.contains("cargo fmt --all --check"));
        assert!(plan.contains("-- -D warnings"));
        assert!(plan.contains("RUSTDOCFLAGS='-D warnings' cargo doc"));
    }

    #[test]
    fn lints_reach_the_tests_that_ordinary_development_leaves_out() {
        let machine = Machine::with(&["redis-server", "valkey-server"]);
        let plan = commands(&ci(&machine, &[]).unwrap());
        assert!(plan.contains("cargo clippy --workspace --test system --all-features"));
    }

    #[test]
    fn system_tests_begin_with_their_programs_and_the_app_and_need_no_redis() {
        let machine = Machine::with(&["apt-get", "cargo-nextest"]).and_root();
        let plan = commands(&system(&machine, &["browser".to_owned()]).unwrap());
        let lines = plan.lines().collect::<Vec<_>>();
        assert_eq!(lines[0], "apt-get update");
        assert!(lines.contains(&"cargo build --package quickstart"));
        assert!(lines[lines.len() - 1].starts_with("cargo nextest run "));
        assert!(plan.ends_with("--package tenure-system-tests --test system browser"));
        assert!(!plan.contains("redis"));
        assert!(system(&Machine::default(), &[]).is_err());
    }

    #[test]
    fn chaos_needs_redis_and_is_told_how_long() {
        let machine = Machine::with(&["redis-server"]);
        let plan = commands(&chaos(&machine, &["--seconds".to_owned(), "5".to_owned()]).unwrap());
        assert!(plan.ends_with("cargo run --package tenure-chaos -- --seconds 5"));
        assert!(chaos(&Machine::default(), &[]).is_err());
    }

    #[test]
    fn each_fuzz_target_gets_its_time() {
        let machine = Machine::with(&["cargo-fuzz"]).and_nightly();
        let targets = ["cookie_header".to_owned(), "record".to_owned()];
        let steps = fuzz(&machine, &targets, 7).unwrap();
        assert_eq!(steps.len(), 2);
        assert!(commands(&steps[1..]).ends_with("record -- -max_total_time=7"));
    }

    #[test]
    fn fuzzing_without_its_tools_says_how_to_get_them() {
        let error = fuzz(&Machine::default().and_nightly(), &[], 1).unwrap_err();
        assert!(error.contains("cargo install cargo-fuzz"));
        assert!(!error.contains("rustup toolchain install"));
    }
}
