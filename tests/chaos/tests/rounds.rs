//! Some rounds with fixed seeds. `cargo xtask chaos` plays others, for as long as it is told to.

#![expect(
    clippy::expect_used,
    reason = "a round that cannot be played has failed"
)]

use std::{path::Path, time::Duration};

use tenure_chaos::{Cache, Setting, StoreKind, play};
use tenure_testbed::Adapter;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_on_redis_keeps_its_promises() {
    keeps_its_promises(1, StoreKind::Redis, Cache::None, Adapter::Axum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tower_on_redis_behind_near_caches_keeps_its_promises() {
    keeps_its_promises(2, StoreKind::Redis, Cache::Near, Adapter::Tower).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actix_on_redis_behind_near_caches_keeps_its_promises() {
    keeps_its_promises(3, StoreKind::Redis, Cache::Near, Adapter::Actix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axum_in_memory_keeps_its_promises() {
    keeps_its_promises(4, StoreKind::Memory, Cache::None, Adapter::Axum).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tower_on_a_cluster_behind_near_caches_keeps_its_promises() {
    keeps_its_promises(5, StoreKind::RedisCluster, Cache::Near, Adapter::Tower).await;
}

/// A round in which hardly anything was asked, or nothing went wrong, shows nothing.
async fn keeps_its_promises(seed: u64, store: StoreKind, cache: Cache, adapter: Adapter) {
    let setting = Setting {
        seed,
        time: ROUND,
        store,
        cache,
        adapter,
    };
    let program = Path::new(env!("CARGO_BIN_EXE_tenure-chaos"));
    let report = play(program, setting).await.expect("a round");
    assert_eq!(report.violations(), 0, "\n{report}");
    assert!(report.operations() > 500, "\n{report}");
    assert!(report.faults() >= 3, "\n{report}");
}

/// Long enough for some thousand requests and some dozen faults on two cores. Hours belong to `cargo xtask chaos`.
const ROUND: Duration = Duration::from_secs(5);
