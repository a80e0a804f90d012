//! What the command line asks for.

/// A task, as typed behind `cargo xtask`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Test {
        arguments: Vec<String>,
    },
    Ci {
        arguments: Vec<String>,
    },
    System {
        arguments: Vec<String>,
    },
    Chaos {
        arguments: Vec<String>,
    },
    Fuzz {
        seconds: u32,
    },
    Bench {
        bench: Bench,
        arguments: Vec<String>,
    },
    Simulate {
        arguments: Vec<String>,
    },
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bench {
    Instructions,
    Peers,
}

impl Task {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter().peekable();
        let mut name = words.next().unwrap_or_default();
        if name == "bench" {
            name = format!("bench {}", words.next().unwrap_or_default());
        }
        words.next_if_eq("--");
        let arguments = words.collect::<Vec<_>>();
        match (name.as_str(), arguments.as_slice()) {
            ("test", _) => Ok(Self::Test { arguments }),
            ("ci", _) => Ok(Self::Ci { arguments }),
            ("system", _) => Ok(Self::System { arguments }),
            ("chaos", _) => Ok(Self::Chaos { arguments }),
            ("simulate", _) => Ok(Self::Simulate { arguments }),
            ("fuzz", []) => Ok(Self::Fuzz {
                seconds: FUZZ_SECONDS,
            }),
            ("fuzz", [seconds]) => match seconds.parse() {
                // To libFuzzer, zero means "for ever".
                Ok(0) | Err(_) => Err(format!("not a number of seconds: {seconds}")),
                Ok(seconds) => Ok(Self::Fuzz { seconds }),
            },
            ("bench instructions", _) => Ok(Self::Bench {
                bench: Bench::Instructions,
                arguments,
            }),
            ("bench peers", _) => Ok(Self::Bench {
                bench: Bench::Peers,
                arguments,
            }),
            ("" | "help" | "-h" | "--help", []) => Ok(Self::Help),
            _ => Err(format!(
                "unknown task or arguments: {name} {arguments:?}\n\n{HELP}"
            )),
        }
    }
}

pub(crate) const HELP: &str = "\
cargo xtask test [-- ARGUMENTS]  everything a change must pass: installs redis-server and Valkey
                                 if they are missing, builds, runs unit, integration and documentation tests.
                                 ARGUMENTS go to the test runner, as in `cargo xtask test -- rebase`;
                                 documentation tests are then left out
cargo xtask ci [-- ARGUMENTS]    the same, then formatting, lints and documentation
cargo xtask system [-- ARGUMENTS]
                                 what takes a real browser and a real nginx: installs chromium,
                                 chromedriver and nginx if they are missing, builds the quickstart and
                                 runs the tests of tests/system. `-- --no-capture` shows their steps
cargo xtask chaos [-- ARGUMENTS] random visitors of several nodes while random things go wrong, and a
                                 verdict: a minute on Redis, unless ARGUMENTS say otherwise, as in
                                 `-- --seconds 3600 --seed 7 --near-cache`; `-- --help` tells them
cargo xtask fuzz [SECONDS]       runs each fuzz target for that long (120 s)
cargo xtask simulate [--seconds N] [--seed S]
                                 runs the session manager and the near cache under schedules that are
                                 drawn, for that long (60 s), and tells those that break a promise step
                                 by step; the same seeds give the same schedules
cargo xtask bench instructions [--accept]
                                 counts the instructions of the hot paths in valgrind, and fails if one
                                 takes 3 % more than in benches/results/instructions.json; `--accept`
                                 writes that file
cargo xtask bench peers [-- ARGUMENTS]
                                 compares with other session libraries, on two cores that nothing else
                                 uses; `-- --help` tells the ARGUMENTS
cargo xtask help                 this text";

/// Long enough for each target to cover all of its code from an empty corpus, short enough to wait for.
const FUZZ_SECONDS: u32 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Task, String> {
        Task::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_reach_the_test_runner_with_and_without_the_separator() {
        let expected = Task::Test {
            arguments: vec!["rebase".to_owned()],
        };
        assert_eq!(parse("test rebase").unwrap(), expected);
        assert_eq!(parse("test -- rebase").unwrap(), expected);
    }

    #[test]
    fn the_test_runners_own_separator_is_passed_on() {
        let Ok(Task::Ci { arguments }) = parse("ci -- rebase -- --ignored") else {
            panic!("expected `ci`");
        };
        assert_eq!(arguments, ["rebase", "--", "--ignored"]);
    }

    #[test]
    fn system_tests_are_a_task_of_their_own() {
        let arguments = vec!["browser".to_owned()];
        let expected = Task::System { arguments };
        assert_eq!(parse("system -- browser").unwrap(), expected);
    }

    #[test]
    fn chaos_is_told_its_time_with_and_without_the_separator() {
        let arguments = vec!["--seconds".to_owned(), "5".to_owned()];
        let expected = Task::Chaos { arguments };
        assert_eq!(parse("chaos --seconds 5").unwrap(), expected);
        assert_eq!(parse("chaos -- --seconds 5").unwrap(), expected);
    }

    #[test]
    fn a_simulation_takes_its_own_arguments() {
        let arguments = vec!["--seconds".to_owned(), "5".to_owned()];
        assert_eq!(
            parse("simulate --seconds 5").unwrap(),
            Task::Simulate { arguments }
        );
    }

    #[test]
    fn a_bench_is_chosen_by_its_name() {
        let expected = Task::Bench {
            bench: Bench::Peers,
            arguments: vec!["--quick".to_owned()],
        };
        assert_eq!(parse("bench peers -- --quick").unwrap(), expected);
        assert!(parse("bench instructions --accept").is_ok());
        assert!(parse("bench").is_err());
        assert!(parse("bench nothing").is_err());
    }

    #[test]
    fn fuzzing_lasts_two_minutes_unless_told_otherwise() {
        assert_eq!(parse("fuzz").unwrap(), Task::Fuzz { seconds: 120 });
        assert_eq!(parse("fuzz 5").unwrap(), Task::Fuzz { seconds: 5 });
        assert!(parse("fuzz 0").is_err());
        assert!(parse("fuzz long").is_err());
    }

    #[test]
    fn no_task_and_help_print_the_help_and_anything_else_is_refused_with_it() {
        assert_eq!(parse("").unwrap(), Task::Help);
        assert_eq!(parse("--help").unwrap(), Task::Help);
        assert!(parse("tset").unwrap_err().contains(HELP));
    }
}
