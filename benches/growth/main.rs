//! What a request costs as an application grows: more sessions, larger ones, more nodes.
//!
//! ```console
//! $ cargo bench -p tenure-benches --bench growth             # writes benches/results/growth.md and growth-*.svg
//! $ cargo bench -p tenure-benches --bench growth -- --quick  # fewer sessions and requests; prints the tables only
//! ```
//!
//! Needs `redis-server` and Linux. Cost is CPU time, not latency: of this process, which sends the
//! requests through the tower layer without sockets, and of the Redis server.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark: its figures are its output, and a surprise ends it"
)]

mod crowd;
mod meter;
mod picture;
mod report;

use std::{env, fs, path::Path, sync::LazyLock};

use tenure_core::{Entropy, KeyRing, MemoryStore, OsEntropy, SessionManager, SessionStore};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::RedisServer;

use self::{
    crowd::{Crowd, Shape, Work},
    meter::{Cost, Meter},
    report::{NodesPoint, StorePoint},
};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let effort = if env::args().any(|argument| argument == "--quick") {
        QUICK
    } else {
        FULL
    };
    let mut sections = Vec::new();

    let points = more_sessions(&effort).await;
    sections.push(report::sessions(&points));

    let mut points = Vec::new();
    for keys in [1, 4, 16, 64] {
        let shape = Shape { keys, bytes: 32 };
        points.push(larger_sessions(keys, shape, &effort).await);
    }
    sections.push(report::keys(&points));

    let mut points = Vec::new();
    for bytes in [100, 1 << 10, 8 << 10, 64 << 10] {
        let shape = Shape { keys: 1, bytes };
        points.push(larger_sessions(bytes, shape, &effort).await);
    }
    sections.push(report::values(&points));

    let mut points = Vec::new();
    for nodes in 1..=4 {
        points.push(more_nodes(nodes, &effort).await);
    }
    sections.push(report::nodes(&points));

    let text = report::page(&effort, &sections);
    println!("{text}");
    if effort.is_kept {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
        fs::write(results.join("growth.md"), text).expect("a writable directory");
        for section in sections {
            let name = format!("growth-{}.svg", section.name);
            fs::write(results.join(name), section.svg).expect("a writable directory");
        }
    }
}

/// The same crowd grows from point to point, so that no session is created twice.
async fn more_sessions(effort: &Effort) -> Vec<StorePoint> {
    let redis = RedisServer::start();
    let memory = [manager(roomy_memory())];
    let plain = [manager(connect(&redis).await)];
    let (mut in_memory, mut in_redis) = (Crowd::default(), Crowd::default());
    let mut points = Vec::new();
    for &sessions in effort.sessions {
        in_memory.grow(sessions, &memory[0], Shape::SMALL).await;
        in_redis.grow(sessions, &plain[0], Shape::SMALL).await;
        points.push(StorePoint {
            at: sessions,
            memory: read_and_modify(Meter::default(), &memory, &mut in_memory, effort).await,
            redis: read_and_modify(Meter::of(&redis), &plain, &mut in_redis, effort).await,
            near_cache: near_cache(&redis, &mut in_redis, effort).await,
        });
    }
    points
}

async fn larger_sessions(at: usize, shape: Shape, effort: &Effort) -> StorePoint {
    let redis = RedisServer::start();
    let memory = [manager(roomy_memory())];
    let plain = [manager(connect(&redis).await)];
    let (mut in_memory, mut in_redis) = (Crowd::default(), Crowd::default());
    in_memory.grow(FEW_SESSIONS, &memory[0], shape).await;
    in_redis.grow(FEW_SESSIONS, &plain[0], shape).await;
    StorePoint {
        at,
        memory: read_and_modify(Meter::default(), &memory, &mut in_memory, effort).await,
        redis: read_and_modify(Meter::of(&redis), &plain, &mut in_redis, effort).await,
        near_cache: near_cache(&redis, &mut in_redis, effort).await,
    }
}

async fn more_nodes(at: usize, effort: &Effort) -> NodesPoint {
    let redis = RedisServer::start();
    let mut caches = Vec::new();
    for _ in 0..at {
        caches.push(NearCache::new(connect(&redis).await));
    }
    let nodes: Vec<_> = caches.iter().cloned().map(manager).collect();
    let mut crowd = Crowd::default();
    crowd.grow(FEW_SESSIONS, &nodes[0], Shape::SMALL).await;
    crowd.visit_all(&nodes).await;
    let meter = Meter::of(&redis).and_caches(caches);
    // The steady state is one in which some cached sessions have been changed elsewhere.
    meter.measure(&nodes, &mut crowd, Work::Mixed, effort).await;
    let cost = meter.measure(&nodes, &mut crowd, Work::Mixed, effort).await;
    NodesPoint { at, cost }
}

/// With a cache of its own that has seen all sessions, or more than fit.
async fn near_cache(redis: &RedisServer, crowd: &mut Crowd, effort: &Effort) -> [Cost; 2] {
    let cache = NearCache::new(connect(redis).await);
    let node = [manager(cache.clone())];
    crowd.visit_all(&node).await;
    let meter = Meter::of(redis).and_caches(vec![cache]);
    read_and_modify(meter, &node, crowd, effort).await
}

async fn read_and_modify(
    meter: Meter<'_>,
    nodes: &[SessionManager],
    crowd: &mut Crowd,
    effort: &Effort,
) -> [Cost; 2] {
    let read = meter.measure(nodes, crowd, Work::Read, effort).await;
    [
        read,
        meter.measure(nodes, crowd, Work::Modify, effort).await,
    ]
}

/// All of them sign with the same key, so a visitor may come to any.
fn manager(store: impl SessionStore) -> SessionManager {
    let keys = KeyRing::new(*KEY).expect("a random key");
    let sessions = SessionManager::builder(store, keys).build();
    sessions.expect("the default settings")
}

fn roomy_memory() -> MemoryStore {
    MemoryStore::builder().max_bytes(8 << 30).build()
}

async fn connect(redis: &RedisServer) -> RedisStore {
    let store = RedisStore::connect(redis.url()).await;
    store.expect("a server that answers")
}

static KEY: LazyLock<[u8; 32]> = LazyLock::new(|| {
    let mut key = [0; 32];
    OsEntropy.fill(&mut key).expect("random bytes");
    key
});

/// How much is measured.
#[derive(Debug)]
struct Effort {
    sessions: &'static [usize],
    /// Of each figure; the table shows the median.
    rounds: usize,
    /// Of each round.
    requests: usize,
    /// Whether the figures are good enough to be kept.
    is_kept: bool,
}

const FULL: Effort = Effort {
    sessions: &[1_000, 10_000, 100_000, 1_000_000],
    rounds: 3,
    requests: 12_000,
    is_kept: true,
};

const QUICK: Effort = Effort {
    sessions: &[1_000, 10_000],
    rounds: 3,
    requests: 2_000,
    is_kept: false,
};

/// Where their number is not what grows.
const FEW_SESSIONS: usize = 1_000;
