//! Automation: `cargo xtask help` lists the tasks.
//!
//! What to do is decided by pure functions ([`plan`], [`provision`], [`task`]) over what the machine
//! has ([`machine`]); [`run`] does it and [`totals`] reads the results out of what it prints.

#![expect(
    clippy::print_stdout,
    reason = "tasks report their progress to the terminal"
)]

mod machine;
mod plan;
mod provision;
mod run;
mod task;
mod totals;

use std::{env, path::PathBuf, process::ExitCode};

use self::{machine::Machine, task::Task};

fn main() -> ExitCode {
    let outcome = Task::parse(env::args().skip(1)).and_then(|task| perform(&task));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task) -> Result<(), String> {
    // Set by `cargo run`. The value at compile time would be that of another clone if two of them
    // share a target directory.
    if let Some(package) = env::var_os("CARGO_MANIFEST_DIR") {
        let root = PathBuf::from(package).join("../..");
        env::set_current_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    }
    let machine = Machine::detect();
    let steps = match task {
        Task::Help => {
            println!("{}", task::HELP);
            return Ok(());
        }
        Task::Test { arguments } => plan::test(&machine, arguments)?,
        Task::Ci { arguments } => plan::ci(&machine, arguments)?,
        Task::System { arguments } => plan::system(&machine, arguments)?,
        Task::Chaos { arguments } => plan::chaos(&machine, arguments)?,
        Task::Bench { bench, arguments } => plan::bench(&machine, *bench, arguments)?,
        Task::Simulate { arguments } => plan::simulate(arguments),
        Task::Fuzz { seconds } => plan::fuzz(&machine, &machine::fuzz_targets()?, *seconds)?,
    };
    run::all(&steps)
}
