//! How many instructions the hot paths take, which does not depend on what else the machine does:
//! `cargo bench -p tenure-benches --bench instructions`. Needs valgrind.
//!
//! The program runs itself under callgrind, each path with few and with many calls; the difference is
//! free of what the set-up takes.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: its figures are its output, and a surprise ends it"
)]

use std::{env, hint::black_box, process::Command, time::Duration};

use futures_util::FutureExt;
use tenure_benches::OneRecord;
use tenure_core::{Freshness, MemoryStore, Record, SessionStore};
use tenure_near_cache::NearCache;

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, path, calls] = &*arguments
        && let Ok(calls) = calls.parse()
    {
        return run(path, calls);
    }
    println!("| path | instructions |\n|---|---|");
    for path in ["near cache: a hit", "memory store: a load"] {
        let per_call = (counted(path, MANY) - counted(path, FEW)) / (MANY - FEW);
        println!("| {path} | {per_call} |");
    }
}

/// What callgrind counts for that many calls.
fn counted(path: &str, calls: u64) -> u64 {
    let program = env::current_exe().expect("this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([path, &calls.to_string()])
        .output()
        .expect("valgrind, from the system's packages");
    let text = String::from_utf8(output.stderr).expect("text");
    let line = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let Some((_, count)) = line else {
        panic!("no count: {text}")
    };
    count.trim().parse().expect("a number")
}

fn run(path: &str, calls: u64) {
    let store = OneRecord::of_bytes(1024);
    let record = store.another();
    match path {
        "near cache: a hit" => {
            let hour = Duration::from_secs(3600);
            let cache = NearCache::builder(store).max_staleness(hour);
            load(&cache.build(), &record, calls);
        }
        "memory store: a load" => {
            let memory = MemoryStore::new();
            let created = memory.create(record.clone()).now_or_never();
            assert!(created.is_some_and(|created| created.is_ok()));
            load(&memory, &record, calls);
        }
        _ => panic!("no such path: {path}"),
    }
}

fn load(store: &impl SessionStore, record: &Record, calls: u64) {
    for _ in 0..calls {
        let demand = Freshness::AtLeast(record.version());
        let loaded = store.load(record.id(), demand).now_or_never();
        let _ = black_box(loaded.expect("no waiting").expect("no fault"));
    }
}

const FEW: u64 = 1_000;
const MANY: u64 = 21_000;
