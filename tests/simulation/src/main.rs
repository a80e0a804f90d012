//! Runs schedules until one goes wrong, or the time is over.

#![expect(clippy::print_stdout, reason = "it reports to the terminal")]

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tenure_simulation::{Plan, Until};

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
}

fn main() -> ExitCode {
    let Options {
        seconds,
        schedules,
        seed,
    } = Options::parse();
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
    if sweep.found.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
