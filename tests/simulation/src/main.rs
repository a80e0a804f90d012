//! Runs schedules until one goes wrong, or the time is over.

#![expect(clippy::print_stdout, reason = "it reports to the terminal")]

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tenure_simulation::{
    Plan, Until,
    logins::{explore, plans},
};

/// Runs the session manager and the near cache over a simulated store, under schedules that are drawn.
#[derive(Debug, Parser)]
struct Options {
    /// For how long.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How many schedules, whatever the time.
    #[arg(long)]
    schedules: Option<u64>,
    /// The first seed; the others follow it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Instead of all that: explores logins through the index in every order, with a failure anywhere.
    #[arg(long)]
    logins: bool,
}

fn main() -> ExitCode {
    let Options {
        seconds,
        schedules,
        seed,
        logins,
    } = Options::parse();
    if logins {
        return explore_logins();
    }
    let until = match schedules {
        Some(most) => Until::Schedules(most),
        None => Until::Elapsed(Duration::from_secs(seconds)),
    };
    let plan = Plan {
        first_seed: seed,
        until,
        flaw: None,
    };
    let sweep = plan.run();
    println!("{sweep}");
    for (kind, finding) in &sweep.found {
        let case = finding.case.clone().shrunk(*kind);
        println!(
            "{kind:?}, seed {}, shortened:\n{}",
            finding.seed,
            case.trace(*kind)
        );
    }
    exit_code(sweep.found.is_empty())
}

fn explore_logins() -> ExitCode {
    let mut is_as_expected = true;
    let sound = plans::sound().into_iter().map(|plan| (plan, true));
    let unsound = plans::unsound().into_iter().map(|(plan, _)| (plan, false));
    for (plan, is_sound) in sound.chain(unsound) {
        let explored = explore(&plan);
        println!("{explored}");
        is_as_expected &= explored.broken.is_none() == is_sound;
    }
    exit_code(is_as_expected)
}

fn exit_code(is_good: bool) -> ExitCode {
    if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
