//! Processes on one SQLite file: killed, several at once, and on a disk without room.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs them")]

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tenure_tests::{Browser, Node, SqliteFile, random_key, storm};
use tokio::{process::Command, sync::Semaphore, task::JoinSet};

const PROGRAM: &str = env!("CARGO_BIN_EXE_testbed-node");

async fn start(file: &SqliteFile, keys: &str) -> Node {
    let path = file.to_string();
    let options = ["--adapter", "axum", "--store", "sqlite", "--path", &path];
    Node::start(PROGRAM, &[&options[..], &["--keys", keys]].concat()).await
}

/// Somebody who counts as well what they were told.
#[derive(Clone, Debug, Default)]
struct Counter {
    browser: Browser,
    told: u64,
}

impl Counter {
    /// Counts up, one after the other, until the node goes away. Each success is one permit.
    async fn count(mut self, node: SocketAddr, successes: Arc<Semaphore>) -> Self {
        while let Some(answer) = self.browser.attempt(node, "/incr").await {
            self.told = answer.number();
            successes.add_permits(1);
        }
        self
    }
}

/// `TENURE_ROUNDS` says how many; each takes about a quarter of a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_kill_is_there_after_it() {
    let rounds = env::var("TENURE_ROUNDS").ok();
    let rounds = rounds.map_or(8, |rounds| rounds.parse().expect("a number of rounds"));
    let (file, keys) = (SqliteFile::new(), random_key());
    let mut counters = vec![Counter::default(); 16];
    let mut unacknowledged = 0;
    for round in 0..rounds {
        let node = start(&file, &keys).await;
        for counter in &mut counters {
            let found = counter.browser.get(node.address(), "/read").await.number();
            let more = found.checked_sub(counter.told);
            let more = more.expect("what was acknowledged");
            assert!(
                more <= 1,
                "each had one request under way, and {more} happened"
            );
            unacknowledged += more;
            counter.told = found;
        }
        let successes = Arc::new(Semaphore::new(0));
        let mut counting = JoinSet::new();
        for counter in counters {
            counting.spawn(counter.count(node.address(), Arc::clone(&successes)));
        }
        // At another point of its work each time.
        let enough = 40 + 67 * round % 151;
        let enough = successes.acquire_many(enough).await;
        enough.expect("as many successes").forget();
        node.kill().await;
        counters = counting.join_all().await;
    }
    let told: u64 = counters.iter().map(|counter| counter.told).sum();
    println!(
        "{rounds} kills, {told} commits acknowledged, 0 of them missing; {unacknowledged} more had happened"
    );
    assert!(file.is_sound());
}

async fn nodes_on_one_file_lose_nothing_and_show_nothing_old(count: usize) {
    let (file, keys) = (SqliteFile::new(), random_key());
    let mut nodes = Vec::new();
    for _ in 0..count {
        nodes.push(start(&file, &keys).await);
    }
    let addresses: Vec<_> = nodes.iter().map(Node::address).collect();
    let mut browser = Browser::new();
    browser.get(addresses[0], "/set/first/visit").await.ok();
    let answers = storm(&addresses, &browser, 16, 800, |_| "/incr?ms=2".to_owned()).await;
    answers.into_iter().for_each(|answer| drop(answer.ok()));
    let kept = browser.get(addresses[count - 1], "/read").await.number();
    let writes = |i| format!("/set/k{i}/{i}?ms=2");
    let answers = storm(&addresses, &browser, 16, 192, writes).await;
    answers.into_iter().for_each(|answer| drop(answer.ok()));
    let keys = browser.get(addresses[0], "/keys").await.number() - 2;
    let mut stale = 0;
    for i in 0..200 {
        let written = browser.get(addresses[i % count], "/incr").await.number();
        let read = browser.get(addresses[(i + 1) % count], "/read").await;
        stale += usize::from(read.number() != written);
    }
    println!(
        "{count} processes on one file: kept {kept} of 800 increments, {keys} of 192 keys; \
         {stale} of 200 reads right after a write were stale"
    );
    assert_eq!((kept, keys, stale), (800, 192, 0));
    assert!(file.is_sound());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_on_one_file_lose_nothing_and_show_nothing_old() {
    nodes_on_one_file_lose_nothing_and_show_nothing_old(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_on_one_file_lose_nothing_and_show_nothing_old() {
    nodes_on_one_file_lose_nothing_and_show_nothing_old(4).await;
}

/// The next version starts, then the last one ends; nobody notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request() {
    let (file, keys) = (SqliteFile::new(), random_key());
    let mut node = start(&file, &keys).await;
    let mut browser = Browser::new();
    for restart in 0..5 {
        let next = start(&file, &keys).await;
        for (turn, address) in [node.address(), next.address()]
            .iter()
            .cycle()
            .take(10)
            .enumerate()
        {
            let count = browser.get(*address, "/incr").await.number();
            assert_eq!(count, restart * 10 + turn as u64 + 1);
        }
        node.kill().await;
        node = next;
    }
}

/// A disk of a megabyte, which only the node sees.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_needs_room_harms_nothing_and_is_in_use_again_when_it_has_some() {
    let folder = SqliteFile::new();
    let folder = folder.path().parent().expect("a folder");
    let path = folder.join("sessions.db");
    let (path, keys) = (path.to_str().expect("text"), random_key());
    // Needs `unshare` (util-linux) and the right to mount in a name space of its own, as root or otherwise.
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c"]);
    command.arg(
        "mount -t tmpfs -o size=1m tmpfs \"$0\" && head -c 300000 /dev/zero > \"$0/ballast\" && exec \"$@\"",
    );
    command.arg(folder).arg(PROGRAM);
    let options = [
        "--adapter",
        "axum",
        "--store",
        "sqlite",
        "--path",
        path,
        "--keys",
        &keys,
    ];
    let node = Node::start_by(command, &options).await;
    let seen = |path: &str| format!("/proc/{}/root{path}", node.pid());

    let mut small = Browser::new();
    assert_eq!(small.get(node.address(), "/incr").await.number(), 1);
    let (mut kept, mut refused) = (Vec::new(), 0);
    while refused < 5 {
        let mut large = Browser::new();
        let answer = large.get(node.address(), "/fill/20000").await;
        match answer.status {
            200 => kept.push(large),
            503 => {
                assert!(answer.session_cookie().is_none());
                refused += 1;
            }
            status => panic!("{status}"),
        }
        assert!(kept.len() < 50, "a disk of 1 MiB");
    }
    // Nothing that was stored is harmed, and nobody is given an empty session.
    assert_eq!(small.get(node.address(), "/read").await.number(), 1);
    for large in &mut kept {
        assert_eq!(large.get(node.address(), "/keys").await.number(), 1);
    }
    std::fs::remove_file(seen(&format!("{}/ballast", folder.display()))).expect("room");
    assert_eq!(small.get(node.address(), "/incr").await.number(), 2);
    Browser::new().get(node.address(), "/fill/20000").await.ok();
    for large in &mut kept {
        assert_eq!(large.get(node.address(), "/keys").await.number(), 1);
    }
    println!(
        "a full disk: {} sessions of 20 kB kept, {refused} refused",
        kept.len()
    );
}

/// Requests that arrive while the file is written for others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_visitors_are_counted_each_for_themselves() {
    let (file, keys) = (SqliteFile::new(), random_key());
    let node = start(&file, &keys).await;
    let visits = Arc::new(AtomicUsize::new(0));
    let mut visitors = JoinSet::new();
    for _ in 0..100 {
        let (address, visits) = (node.address(), Arc::clone(&visits));
        visitors.spawn(async move {
            let mut browser = Browser::new();
            for visit in 1..=10 {
                assert_eq!(browser.get(address, "/incr").await.number(), visit);
                visits.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    visitors.join_all().await;
    assert_eq!(
        (visits.load(Ordering::Relaxed), file.sessions()),
        (1000, 100)
    );
}
