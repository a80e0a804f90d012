//! Faults of the feed, under a writer on one node that numbers its values and reads on the other that
//! never show a newer cookie: nothing is served that was replaced longer ago than the staleness bound,
//! and afterwards hits come back by themselves.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenure_testing::{FaultProxy, RedisServer, Traffic};
use tenure_tests::Browser;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};

use crate::nodes::{Nodes, STALENESS, figure};

/// What the test does to the second node's connection, or to Redis itself.
enum Fault {
    BlackHole,
    BlackHoleReplies,
    KilledConnections,
    StoppedServer,
    EmptyRestart,
}

impl Fault {
    /// Lets the fault last, and ends it. Returns when the sessions were lost, if they were.
    async fn strike(&self, redis: &RedisServer, proxy: &FaultProxy) -> Option<Instant> {
        match self {
            Self::BlackHole => proxy.set(Traffic::BlackHole),
            Self::BlackHoleReplies => proxy.set(Traffic::BlackHoleReplies),
            Self::KilledConnections => {
                for _ in 0..60 {
                    redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
                    sleep(LASTING / 100).await;
                }
            }
            Self::StoppedServer => redis.stop(),
            Self::EmptyRestart => {
                redis.kill();
                redis.restart();
                return Some(Instant::now());
            }
        }
        if !matches!(self, Self::KilledConnections) {
            sleep(LASTING).await;
        }
        proxy.set(Traffic::Pass);
        redis.cont();
        None
    }
}

async fn nothing_older_than_the_bound_is_served(fault: Fault) {
    let redis = RedisServer::start();
    let proxy = FaultProxy::start(redis.address());
    let nodes = Nodes::start(redis, Some(&proxy.url())).await;
    let [here, there] = nodes.both();
    let mut browsers = Vec::new();
    for _ in 0..SESSIONS {
        let mut browser = Browser::new();
        browser.get(here, "/set/n/0").await.ok();
        browsers.push(browser);
    }

    let stop = Arc::new(AtomicBool::new(false));
    let reading = read(browsers.clone(), there, Arc::clone(&stop));
    let writing = write(browsers, here, Arc::clone(&stop));
    sleep(LASTING / 5).await;
    assert!(figure(there, "/hits").await > 0, "no hits to begin with");
    let lost = fault.strike(&nodes.redis, &proxy).await;
    sleep(LASTING / 2).await;
    stop.store(true, Ordering::Relaxed);

    let writes = writing.await.unwrap();
    let reads = reading.await.unwrap();
    assert_in_bounds(&writes, &reads, lost);
    assert_hits_come_back(here, there).await;
}

/// The values that were stored in a session, and when the answers came.
type Writes = Vec<(u64, Instant)>;

/// Which session was read, when the request was sent, and the value in its answer; `None` if the
/// session was empty, an error for a status other than 200.
type Read = (usize, Instant, Result<Option<u64>, u16>);

/// Writes to one session after the other, so that at any time most of them lie in the other node's
/// cache.
fn write(
    mut browsers: Vec<Browser>,
    node: SocketAddr,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Vec<Writes>> {
    tokio::spawn(async move {
        let mut writes = vec![Writes::new(); SESSIONS];
        for n in 1.. {
            for (browser, writes) in browsers.iter_mut().zip(&mut writes) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let answer = browser.get(node, &format!("/set/n/{n}")).await;
                if answer.status == 200 {
                    writes.push((n, Instant::now()));
                }
                sleep(Duration::from_millis(4)).await;
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        writes
    })
}

/// Sends requests at a steady pace, whether or not the earlier ones have been answered.
fn read(browsers: Vec<Browser>, node: SocketAddr, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Read>> {
    tokio::spawn(async move {
        let mut reads = JoinSet::new();
        for session in (0..SESSIONS).cycle() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let browser = browsers[session].clone();
            reads.spawn(async move {
                let sent = Instant::now();
                let answer = browser.peek(node, "/get/n").await;
                let value = match answer.status {
                    200 => Ok(answer.body.parse().ok()),
                    status => Err(status),
                };
                (session, sent, value)
            });
            sleep(Duration::from_millis(1)).await;
        }
        reads.join_all().await
    })
}

fn assert_in_bounds(writes: &[Writes], reads: &[Read], lost: Option<Instant>) {
    let (mut refused, mut oldest) = (0, Duration::ZERO);
    for &(session, sent, value) in reads {
        let value = match value {
            Ok(Some(value)) => value,
            Ok(None) => {
                assert!(
                    lost.is_some(),
                    "a session that is stored was served as empty"
                );
                continue;
            }
            Err(status) => {
                assert_eq!(status, 503);
                refused += 1;
                continue;
            }
        };
        let writes = &writes[session];
        let next = writes.partition_point(|(written, _)| *written <= value);
        let replaced = writes.get(next).map(|(_, at)| *at);
        // The request was sent that long after it was certain that the value was no longer stored.
        for ended in [replaced, lost].into_iter().flatten() {
            let age = sent.saturating_duration_since(ended);
            assert!(age < STALENESS, "{value} was served {age:?} after its end");
            oldest = oldest.max(age);
        }
    }
    println!(
        "{} writes, {} reads, {refused} refused; the oldest value was served {oldest:?} after its end",
        writes.iter().map(Vec::len).sum::<usize>(),
        reads.len(),
    );
    assert!(reads.len() > refused + 500, "hardly any reads");
}

async fn assert_hits_come_back(here: SocketAddr, there: SocketAddr) {
    let mut browser = Browser::new();
    browser.get(here, "/incr").await.ok();
    let begun = Instant::now();
    loop {
        let before = figure(there, "/hits").await;
        for _ in 0..10 {
            browser.peek(there, "/read").await;
        }
        if figure(there, "/hits").await >= before + 9 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "no hits");
    }
    assert_eq!(browser.get(there, "/incr").await.number(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_delivers_nothing() {
    nothing_older_than_the_bound_is_served(Fault::BlackHole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_delivers_no_replies() {
    nothing_older_than_the_bound_is_served(Fault::BlackHoleReplies).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_again_and_again() {
    nothing_older_than_the_bound_is_served(Fault::KilledConnections).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_for_five_seconds() {
    nothing_older_than_the_bound_is_served(Fault::StoppedServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty() {
    nothing_older_than_the_bound_is_served(Fault::EmptyRestart).await;
}

const LASTING: Duration = Duration::from_secs(5);
const SESSIONS: usize = 40;
