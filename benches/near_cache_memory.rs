//! What cached sessions take of the process's memory:
//! `cargo bench -p tenure-benches --bench near_cache_memory`.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::{env, fs, hint::black_box, process::Command, time::Duration};

use futures_util::FutureExt;
use tenure_benches::OneRecord;
use tenure_core::{Freshness, SessionStore};
use tenure_near_cache::NearCache;

fn main() {
    let arguments: Vec<_> = env::args().collect();
    if let [_, sessions, max_bytes] = &*arguments
        && let (Ok(sessions), Ok(max_bytes)) = (sessions.parse(), max_bytes.parse())
    {
        return fill(sessions, max_bytes);
    }
    println!("| sessions of 1 KiB | bound | cached | counted per session | resident per session |");
    println!("|---|---|---|---|---|");
    // Each in a process of its own: memory that was freed still counts as resident.
    for (sessions, max_bytes) in [(100_000, 1 << 30), (1_000_000, 64 << 20)] {
        let program = env::current_exe().expect("this program");
        let arguments = [sessions, max_bytes].map(|number: u64| number.to_string());
        let status = Command::new(program).args(arguments).status();
        assert!(status.expect("a process").success());
    }
}

/// Loads that many sessions and prints what that took.
fn fill(sessions: u64, max_bytes: u64) {
    let store = OneRecord::of_bytes(1024);
    let cache = NearCache::builder(store.clone())
        .max_bytes(max_bytes)
        .max_staleness(Duration::from_secs(3600))
        .build();
    let before = resident_bytes();
    for _ in 0..sessions {
        let record = store.another();
        let demand = Freshness::AtLeast(record.version());
        let loaded = cache.load(record.id(), demand).now_or_never();
        let _ = black_box(loaded.expect("no waiting").expect("no fault"));
    }
    let resident = resident_bytes().saturating_sub(before);
    let metrics = cache.metrics();
    assert!(metrics.bytes <= max_bytes);
    let each = |bytes: u64| bytes / metrics.entries as u64;
    println!(
        "| {sessions} | {max_bytes} | {} | {} | {} |",
        metrics.entries,
        each(metrics.bytes),
        each(resident),
    );
}

/// Of this process, as Linux counts it.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    1024 * kibibytes
        .expect("a figure")
        .parse::<u64>()
        .expect("a number")
}
