//! What sharing transactions is worth, and what starting on a large file takes:
//! `cargo bench -p tenure-benches --bench sqlite`. Takes 2 GB of disk and a few minutes.

#![expect(clippy::expect_used, clippy::print_stdout, reason = "a benchmark")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tenure_core::{
    Clock, Commit, Create, Freshness, Load, Record, SessionId, SessionStore, SystemClock,
};
use tenure_sqlite::{Durability, SqliteStore};
use tenure_testing::records;
use tokio::{sync::Mutex, task::JoinSet};

#[tokio::main]
async fn main() {
    commits().await;
    start().await;
}

/// Commits per second of clients that each have a session of 1 KiB.
async fn commits() {
    println!("| `Durability` | 1 client | 16 | 64 | 64, one transaction each | shared ÷ single |");
    println!("|---|--:|--:|--:|--:|--:|");
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let mut rates = Vec::new();
        for (clients, turns) in [
            (1, Turns::AllAtOnce),
            (16, Turns::AllAtOnce),
            (64, Turns::AllAtOnce),
            (64, Turns::OneAfterTheOther),
        ] {
            rates.push(rate(durability, clients, turns).await);
        }
        let gain = rates[2] / rates[3];
        let rates = rates.iter().map(|rate| format!("{rate:.0}/s"));
        let rates = rates.collect::<Vec<_>>().join(" | ");
        println!("| `{durability:?}` | {rates} | {gain:.1} |");
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turns {
    AllAtOnce,
    /// The next commit is made when the one before has been acknowledged: none shares a transaction.
    OneAfterTheOther,
}

async fn rate(durability: Durability, clients: u64, turns: Turns) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::builder(folder.path().join("sessions.db"))
        .durability(durability)
        .deadline(Duration::from_secs(60))
        .open()
        .await
        .expect("a store");
    let turn = Arc::new(Mutex::new(()));
    let begin = now();
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (store, turn) = (store.clone(), Arc::clone(&turn));
        running.spawn(async move {
            let mut session = session();
            let created = store.create(session.clone()).await;
            assert_eq!(created.expect("no fault"), Create::Created);
            let mut commits = 0_u32;
            while begin.elapsed() < MEASURED {
                let waiting = match turns {
                    Turns::AllAtOnce => None,
                    Turns::OneAfterTheOther => Some(turn.lock().await),
                };
                let next = records::successor(&session);
                let committed = store.commit(session.version(), next.clone()).await;
                assert_eq!(committed.expect("no fault"), Commit::Stored);
                drop(waiting);
                session = next;
                commits += 1;
            }
            commits
        });
    }
    let commits: u32 = running.join_all().await.iter().sum();
    let rate = f64::from(commits) / begin.elapsed().as_secs_f64();
    store.close().await;
    rate
}

/// From nothing to the first answer, on a file of a million sessions.
async fn start() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sessions.db");
    let builder = || SqliteStore::builder(&path).deadline(Duration::from_secs(60));
    let filling = builder()
        .durability(Durability::ProcessCrash)
        .open()
        .await
        .expect("a store");
    let begin = now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let store = filling.clone();
        clients.spawn(async move {
            let mut last = None;
            for _ in 0..SESSIONS / CLIENTS {
                let session = session();
                last = Some(session.id());
                let created = store.create(session).await;
                assert_eq!(created.expect("no fault"), Create::Created);
            }
            last
        });
    }
    let ids: Vec<SessionId> = clients.join_all().await.into_iter().flatten().collect();
    let filled = begin.elapsed();
    filling.close().await;
    let bytes = std::fs::metadata(&path).expect("a file").len();

    let mut starts = Vec::new();
    for id in ids.iter().take(STARTS) {
        let begin = now();
        let store = builder().open().await.expect("a store");
        let opened = begin.elapsed();
        let loaded = store.load(*id, Freshness::Latest).await;
        assert!(matches!(loaded, Ok(Load::Found(_))));
        starts.push((begin.elapsed(), opened));
        store.close().await;
    }
    starts.sort();
    let (median, opened) = starts[STARTS / 2];
    let (slowest, _) = starts[STARTS - 1];
    println!();
    println!(
        "{SESSIONS} sessions of 1 KiB in a file of {} MiB, made in {} s ({:.0}/s). Opening it and loading a \
         session: {:.1} ms at the median of {STARTS} ({:.1} ms of it to open), {:.1} ms at most.",
        bytes >> 20,
        filled.as_secs(),
        SESSIONS as f64 / filled.as_secs_f64(),
        millis(median),
        millis(opened),
        millis(slowest),
    );
}

fn session() -> Record {
    records::padded(&records::fresh(SystemClock.now()), 1024)
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}

const MEASURED: Duration = Duration::from_secs(5);

const SESSIONS: usize = 1_000_000;

/// Enough to fill every transaction.
const CLIENTS: usize = 500;

const STARTS: usize = 21;
