//! Near caches over a cluster whose slots and primaries change: nothing is served that was replaced longer ago than
//! the bound, and one node's fault is not that of the others' sessions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenure_core::{
    Clock, Commit, Create, Freshness, Load, Record, SessionStore, SystemClock, Version,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{Program, RedisCluster, records};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep},
};

const STALENESS: Duration = Duration::from_secs(1);
const SESSIONS: usize = 12;

async fn cache(cluster: &RedisCluster) -> NearCache<RedisStore> {
    let store = RedisStore::connect(cluster.url()).await.unwrap();
    NearCache::builder(store).max_staleness(STALENESS).build()
}

async fn created(cache: &NearCache<RedisStore>) -> Record {
    let record = records::fresh(SystemClock.now());
    let outcome = cache.create(record.clone()).await;
    assert_eq!(outcome.unwrap(), Create::Created);
    record
}

fn slot(cluster: &RedisCluster, record: &Record) -> u16 {
    cluster.slot(&format!("tenure:{}", record.id().as_uuid()))
}

/// The versions of a session that were acknowledged, and when.
type Acknowledged = Vec<(u64, Instant)>;

fn write(
    cache: NearCache<RedisStore>,
    mut sessions: Vec<Record>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Vec<Acknowledged>> {
    tokio::spawn(async move {
        let mut acknowledged = vec![Acknowledged::new(); sessions.len()];
        while !stop.load(Ordering::Relaxed) {
            for (record, acknowledged) in sessions.iter_mut().zip(&mut acknowledged) {
                let next = records::successor(record);
                while !stop.load(Ordering::Relaxed) {
                    match cache.commit(record.version(), next.clone()).await {
                        Ok(outcome) => {
                            assert_eq!(outcome, Commit::Stored);
                            acknowledged.push((next.version().counter(), Instant::now()));
                            *record = next;
                            break;
                        }
                        Err(error) => assert!(error.is_retryable(), "{error:?}"),
                    }
                }
                sleep(Duration::from_millis(4)).await;
            }
        }
        acknowledged
    })
}

/// Which session was read, when it was asked for, and the version that was served.
type Reads = Vec<(usize, Instant, u64)>;

fn read(
    cache: NearCache<RedisStore>,
    sessions: Vec<(Record, Version)>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<Reads> {
    tokio::spawn(async move {
        let mut reads = Reads::new();
        while !stop.load(Ordering::Relaxed) {
            for (index, (record, floor)) in sessions.iter().enumerate() {
                let asked = Instant::now();
                match cache.load(record.id(), Freshness::AtLeast(*floor)).await {
                    Ok(Load::Found(found)) => reads.push((index, asked, found.version().counter())),
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => assert!(error.is_retryable(), "{error:?}"),
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
        reads
    })
}

fn assert_in_bounds(acknowledged: &[Acknowledged], reads: &Reads) {
    for (session, asked, version) in reads {
        let replaced = acknowledged[*session]
            .iter()
            .find(|(newer, _)| newer > version);
        if let Some((newer, at)) = replaced {
            let late = asked.saturating_duration_since(*at);
            assert!(
                late <= STALENESS,
                "version {version} was served {late:?} after {newer} was acknowledged"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_older_than_the_bound_is_served_while_slots_and_primaries_change() {
    for program in [Program::Redis, Program::Valkey] {
        let cluster = Arc::new(RedisCluster::builder().program(program).start());
        let (here, there) = (cache(&cluster).await, cache(&cluster).await);
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            sessions.push(created(&here).await);
        }
        let slots: Vec<_> = sessions.iter().map(|it| slot(&cluster, it)).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let floors = sessions
            .iter()
            .map(|it| (it.clone(), it.version()))
            .collect();
        let reading = read(there.clone(), floors, Arc::clone(&stop));
        let writing = write(here, sessions, Arc::clone(&stop));
        let changing = Arc::clone(&cluster);
        spawn_blocking(move || {
            for round in 0..3 {
                for slot in &slots {
                    let from = changing.owner(*slot);
                    let primaries = [0, 1, 2].map(|shard| primary_of(&changing, shard));
                    let to = primaries.into_iter().cycle().skip(round);
                    let to = to.into_iter().find(|node| *node != from).unwrap();
                    changing.move_slot(*slot, to);
                }
                let replica = replica_of(&changing, round);
                let node = &changing.nodes()[replica];
                node.command(&["CLUSTER", "FAILOVER"]);
                let begun = Instant::now();
                while !node.command(&["ROLE"]).starts_with("master") {
                    assert!(begun.elapsed() < Duration::from_secs(20));
                    std::thread::sleep(Duration::from_millis(5));
                }
                changing.wait_until_replicated();
                changing.wait_until_served();
            }
        })
        .await
        .unwrap();
        sleep(STALENESS).await;
        stop.store(true, Ordering::Relaxed);
        let (acknowledged, reads) = (writing.await.unwrap(), reading.await.unwrap());
        assert_in_bounds(&acknowledged, &reads);
        let metrics = there.metrics();
        println!(
            "{program}: {} reads, {} of them hits, {} commits, {} answers not kept, {} losses",
            reads.len(),
            metrics.hits,
            acknowledged.iter().map(Vec::len).sum::<usize>(),
            metrics.dirty_fills,
            metrics.losses
        );
        assert!(metrics.hits * 2 > u64::try_from(reads.len()).unwrap());
    }
}

/// The nodes of a shard are the one that began as its primary, and its replica.
fn primary_of(cluster: &RedisCluster, shard: usize) -> usize {
    let is_primary = |node: &usize| {
        cluster.nodes()[*node]
            .command(&["ROLE"])
            .starts_with("master")
    };
    [shard, shard + 3].into_iter().find(is_primary).unwrap()
}

fn replica_of(cluster: &RedisCluster, shard: usize) -> usize {
    2 * shard + 3 - primary_of(cluster, shard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_costs_the_others_sessions_no_hit() {
    let arguments = ["--cluster-require-full-coverage", "no"];
    let cluster = RedisCluster::builder().arguments(&arguments).start();
    let cache = cache(&cluster).await;
    let mut sessions = Vec::new();
    for _ in 0..60 {
        sessions.push(created(&cache).await);
    }
    let owner = |record: &Record| cluster.owner(slot(&cluster, record));
    let (dead, others): (Vec<_>, Vec<_>) = sessions.into_iter().partition(|it| owner(it) == 0);
    // Each has been proven.
    sleep(STALENESS).await;
    cluster.nodes()[0].kill();
    let before = cache.metrics();
    let (killed, mut loads, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    while killed.elapsed() < 3 * STALENESS {
        for record in &others {
            let begun = Instant::now();
            let found = cache
                .load(record.id(), Freshness::AtLeast(record.version()))
                .await;
            assert_eq!(found.unwrap(), Load::Found(record.clone()));
            slowest = slowest.max(begun.elapsed());
            loads += 1;
        }
        // Its sessions are asked for all the time.
        let asking = cache.clone();
        let one = dead[0].clone();
        let asked = tokio::spawn(async move {
            asking
                .load(one.id(), Freshness::AtLeast(one.version()))
                .await
        });
        sleep(Duration::from_millis(20)).await;
        asked.abort();
    }
    let hits = cache.metrics().hits - before.hits;
    println!("{hits} hits in {loads} loads of the others' sessions, the slowest {slowest:?}");
    assert!(hits * 100 >= loads * 99, "{hits} of {loads}");
    // And those of the dead one are served by its replica.
    loop {
        let one = &dead[0];
        match cache
            .load(one.id(), Freshness::AtLeast(one.version()))
            .await
        {
            Ok(found) => break assert_eq!(found, Load::Found(one.clone())),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        assert!(killed.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(20)).await;
    }
    println!("served again after {:?}", killed.elapsed());
}
