//! Measures session libraries beside each other: how fast, at what cost, and what concurrent requests
//! keep. `--help` tells the options; results go to `benches/results`.

#![expect(
    clippy::print_stdout,
    reason = "the program reports its progress to the terminal"
)]

mod accounting;
mod browser;
mod contestants;
mod correctness;
mod generator;
mod machine;
mod plot;
mod processes;
mod report;
mod speed;
mod table;

use std::{env, error::Error, fs, path::PathBuf, process::ExitCode};

use clap::Parser;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use self::{
    contestants::{Contestant, select},
    correctness::Correctness,
    generator::Generator,
    machine::Setup,
    processes::{Cores, Stage, pin},
    report::{Findings, Report},
    speed::Bench,
};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Compares session libraries. Needs `redis-server` and `wrk`.
#[derive(Debug, Parser)]
struct Options {
    /// How often each contestant has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// Only those with this in their name, and whom they are compared with.
    #[arg(long)]
    only: Option<String>,
    /// One round of one second, and memory for 10,000 sessions: to see whether everything works.
    #[arg(long)]
    quick: bool,
    /// Where the results go, if not to `benches/results`.
    #[arg(long)]
    results: Option<PathBuf>,
}

fn main() -> ExitCode {
    match start(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start(options: &Options) -> Outcome<()> {
    let cores = Cores::assign()?;
    // Before there are other threads, which inherit it.
    pin(cores.generator)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        // Whichever ends first, everything that was started is killed as its owner is dropped.
        tokio::select! {
            outcome = run(options, cores) => outcome,
            _ = terminate.recv() => Err("terminated".into()),
            _ = interrupt.recv() => Err("interrupted".into()),
        }
    })
}

async fn run(options: &Options, cores: Cores) -> Outcome<()> {
    let contestants = select(options.only.as_deref());
    if contestants.is_empty() {
        return Err("nobody has such a name".into());
    }
    let (rounds, seconds, sessions) = if options.quick {
        (1, 1, 10_000)
    } else {
        (options.rounds, options.seconds, 100_000)
    };
    let bench = Bench {
        stage: Stage::build(cores).await?,
        generator: Generator::prepare().await?,
        seconds,
        sessions,
    };
    let started = Instant::now();
    let setup = Setup::detect(cores, &bench.generator.version, rounds, seconds).await?;
    let findings = measure(&bench, &contestants, rounds).await;
    let report = Report::new(setup, findings);
    let folder = options.results.clone();
    let folder = folder.unwrap_or_else(|| package().join("../../results"));
    fs::create_dir_all(&folder)?;
    let write = |name, text: &str| fs::write(folder.join(name), text);
    write(
        "peers.json",
        &(serde_json::to_string_pretty(&report)? + "\n"),
    )?;
    write("peers.svg", &plot::draw(&report)?)?;
    let table = table::render(&report);
    write("peers.md", &table)?;
    println!("{table}\ntook {} s", started.elapsed().as_secs());
    Ok(())
}

/// This package's folder. `cargo run` sets the variable; the value at compile time would be that of
/// another clone if two of them share a target directory.
fn package() -> PathBuf {
    let compiled = || env!("CARGO_MANIFEST_DIR").into();
    env::var_os("CARGO_MANIFEST_DIR").map_or_else(compiled, PathBuf::from)
}

async fn measure(
    bench: &Bench,
    contestants: &[&'static Contestant],
    rounds: usize,
) -> Vec<Findings> {
    let mut findings = Vec::new();
    for &contestant in contestants {
        println!("{}: probing", contestant.name);
        findings.push(probe(bench, contestant).await);
    }
    for round in 0..rounds {
        for index in 0..contestants.len() {
            // Each round begins with another one, so that nobody always follows the same neighbour.
            let index = (index + round) % contestants.len();
            println!(
                "{}: round {} of {rounds}",
                contestants[index].name,
                round + 1
            );
            let measures = bench.round(contestants[index]).await;
            findings[index].rounds.push(measures);
        }
    }
    findings
}

/// What is looked at once: correctness and memory.
async fn probe(bench: &Bench, contestant: &'static Contestant) -> Findings {
    let (correctness, memory) = if contestant.is_floor() {
        (None, None)
    } else {
        let memory = bench.memory(contestant).await;
        (
            Some(correctness(bench, contestant).await),
            Some(memory.map_err(|error| error.to_string())),
        )
    };
    Findings {
        contestant,
        rounds: Vec::new(),
        correctness,
        memory,
    }
}

async fn correctness(bench: &Bench, contestant: &Contestant) -> Correctness {
    let start = async {
        let redis = bench.stage.redis()?;
        let mut apps = Vec::new();
        for _ in 0..contestant.nodes() {
            apps.push(bench.stage.app(contestant, &redis).await?);
        }
        Outcome::Ok((redis, apps))
    };
    match start.await {
        Ok((_redis, apps)) => {
            let nodes: Vec<_> = apps.iter().map(|app| app.address).collect();
            Correctness::probe(&nodes).await
        }
        Err(error) => Correctness::failed(&error.to_string()),
    }
}
