//! How many instructions the hot paths take, against what they took when the baseline was committed:
//!
//! ```console
//! $ cargo xtask bench instructions           # fails if a path takes 3 % more
//! $ cargo xtask bench instructions --accept  # makes these the baseline
//! ```
//!
//! Needs valgrind.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: its figures are its output, and a surprise ends it"
)]

use std::{env, hint::black_box, process::ExitCode, time::Duration};

use futures_util::FutureExt;
use tenure_benches::{
    OneRecord,
    callgrind::{Counts, Path},
    requests::{Work, repeat},
};
use tenure_core::{
    CookieConfig, Freshness, KeyRing, MemoryStore, Record, SessionManager, SessionStore,
};
use tenure_near_cache::NearCache;

const PATHS: &[Path] = &[
    ("request, session untouched", |calls| {
        repeat(MemoryStore::new(), Work::Nothing, calls);
    }),
    ("request, read, memory store", |calls| {
        repeat(MemoryStore::new(), Work::Read, calls);
    }),
    ("request, read, near cache hit", |calls| {
        repeat(near_cache(MemoryStore::new()), Work::Read, calls);
    }),
    ("request, modify, memory store", |calls| {
        repeat(MemoryStore::new(), Work::Modify, calls);
    }),
    ("request, first visit, memory store", |calls| {
        repeat(MemoryStore::new(), Work::Begin, calls);
    }),
    ("load of 1 KiB, near cache hit", |calls| {
        let store = OneRecord::of_bytes(1024);
        let record = store.another();
        load(&near_cache(store), &record, calls);
    }),
    ("load of 1 KiB, memory store", |calls| {
        let record = OneRecord::of_bytes(1024).another();
        let store = MemoryStore::new();
        let created = store.create(record.clone()).now_or_never();
        assert!(created.is_some_and(|created| created.is_ok()));
        load(&store, &record, calls);
    }),
    ("cookies of 1 kB, ours not among them", |calls| {
        search(1 << 10, calls);
    }),
    ("cookies of 128 kB, ours not among them", |calls| {
        search(128 << 10, calls);
    }),
];

fn main() -> ExitCode {
    let Some(counts) = Counts::of(PATHS) else {
        return ExitCode::SUCCESS;
    };
    if env::args().any(|argument| argument == "--accept") {
        counts.write(BASELINE).expect("a new baseline");
    }
    let baseline = Counts::read(BASELINE).expect("a baseline");
    let (table, worse) = counts.compare(&baseline);
    println!("{table}");
    if worse.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "More instructions than the baseline allows: {}",
        worse.join("; ")
    );
    ExitCode::FAILURE
}

/// A cache that nothing makes ask its store again.
fn near_cache<S: SessionStore>(store: S) -> NearCache<S> {
    let hour = Duration::from_secs(3600);
    NearCache::builder(store).max_staleness(hour).build()
}

fn load(store: &impl SessionStore, record: &Record, calls: u64) {
    for _ in 0..calls {
        let demand = Freshness::AtLeast(record.version());
        let loaded = store.load(record.id(), demand).now_or_never();
        let _ = black_box(loaded.expect("no waiting").expect("no fault"));
    }
}

/// Looks for the session's cookie among others of that many bytes.
fn search(bytes: usize, calls: u64) {
    let keys = KeyRing::generate().expect("random bytes");
    let cookie = CookieConfig::builder().name("__Host-app").build();
    let sessions = SessionManager::builder(MemoryStore::new(), keys)
        .cookie(cookie.expect("a cookie"))
        .build()
        .expect("the default settings");
    let cookies = "name=value; ".repeat(bytes / 12);
    for _ in 0..calls {
        let _ = black_box(sessions.open([black_box(&cookies)]));
    }
}

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/results/instructions.json");
