//! The command line.

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use tenure_testbed::Adapter;

use crate::{Cache, Setting, StoreKind, chance::Chance, play};

/// Lets random visitors use several nodes while random things go wrong, and judges what they saw.
///
/// A run is a series of rounds, each with processes, a seed and a verdict of its own: a violation is
/// found again with the seed and the time of its round. The exit code is 1 if there was one.
#[derive(Debug, Parser)]
struct Options {
    /// For how long, in seconds; the last round is played to its end.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long a round is, in seconds. Without it 10, or as long as the run.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    round: Option<u64>,
    /// Where all chance comes from. The first round has this seed, the next the next number. Without
    /// it, one from the clock.
    #[arg(long)]
    seed: Option<u64>,
    /// Where sessions are kept.
    #[arg(long, value_enum, default_value = "redis")]
    store: StoreKind,
    /// Puts a near cache in front of the store.
    #[arg(long)]
    near_cache: bool,
    /// What nodes are served by. Without it, each in turn.
    #[arg(long, value_enum)]
    adapter: Option<Adapter>,
}

/// Reads the command line and plays, until the time is over or it is interrupted.
///
/// # Errors
///
/// An [`io::Error`] if a round cannot be played.
#[expect(clippy::print_stdout, reason = "the report is what it is run for")]
pub async fn run() -> io::Result<ExitCode> {
    let options = Options::parse();
    let program = std::env::current_exe()?;
    let first = options.seed.unwrap_or_else(seed_of_the_clock);
    let rounds = options.rounds();
    println!("seed {first}, {rounds} rounds");
    let (mut played, mut violations) = ([0; 3], 0);
    for index in 0..rounds {
        let setting = options.setting(first, index);
        let report = tokio::select! {
            report = play(&program, setting) => report?,
            // Dropped in the middle, a round kills its processes.
            _ = tokio::signal::ctrl_c() => break,
        };
        print!("{report}");
        violations += report.violations();
        for (sum, more) in played
            .iter_mut()
            .zip([1, report.operations(), report.faults()])
        {
            *sum += more;
        }
    }
    let [rounds, operations, faults] = played;
    println!(
        "seed {first}: {rounds} rounds, {operations} operations, {faults} faults, {violations} violations"
    );
    Ok(if violations == 0 && rounds > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Options {
    fn round(&self) -> u64 {
        self.round.unwrap_or(ROUND).min(self.seconds)
    }

    fn rounds(&self) -> u64 {
        self.seconds.div_ceil(self.round())
    }

    fn setting(&self, first: u64, index: u64) -> Setting {
        let adapters = [Adapter::Axum, Adapter::Actix, Adapter::Tower];
        let seed = first.wrapping_add(index);
        // By the seed, so that a round that is repeated by its seed has the same one.
        let turn = usize::try_from(seed % 3).unwrap_or(0);
        Setting {
            seed,
            time: Duration::from_secs(self.round()),
            store: self.store,
            cache: if self.near_cache {
                Cache::Near
            } else {
                Cache::None
            },
            adapter: self.adapter.unwrap_or(adapters[turn]),
        }
    }
}

/// Any number does, as long as it is another one the next time.
fn seed_of_the_clock() -> u64 {
    let clock = tenure_core::SystemClock;
    let now = tenure_core::Clock::now(&clock).as_millis();
    Chance::new(now, &[]).below(1_000_000)
}

/// Long enough for sessions to grow hot and for faults to meet, short enough to read what happened.
const ROUND: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Options {
        let words = ["tenure-chaos"].into_iter().chain(words.split_whitespace());
        Options::try_parse_from(words).unwrap()
    }

    #[test]
    fn a_run_is_divided_into_rounds_that_can_be_repeated_by_their_seed() {
        let run = options("--seconds 3600 --seed 7 --near-cache");
        assert_eq!(run.rounds(), 360);
        let third = run.setting(7, 2);
        let again = options("--seconds 10 --seed 9 --near-cache").setting(9, 0);
        assert_eq!(third.to_string(), again.to_string());
        assert_eq!(third.seed, 9);
        assert_eq!(options("--seconds 3").round(), 3);
        assert_eq!(options("--seconds 25").rounds(), 3);
    }

    #[test]
    fn adapters_take_turns_unless_one_is_chosen() {
        let run = options("--seed 0");
        assert_ne!(run.setting(0, 0).adapter, run.setting(0, 1).adapter);
        let chosen = options("--adapter tower --store memory").setting(0, 1);
        assert_eq!(chosen.adapter, Adapter::Tower);
        assert_eq!(chosen.store, StoreKind::Memory);
        assert_eq!(chosen.cache, Cache::None);
    }
}
