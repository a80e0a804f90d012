//! Servers and networks that stop answering without closing anything: only deadlines notice.

use std::time::Duration;

use tenure_core::{Freshness, Load, SessionId, SessionStore, StoreError, StoreErrorKind};
use tenure_redis::RedisStore;
use tenure_testing::{FaultProxy, RedisServer, Traffic, records};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::support::{holds, live};

#[tokio::test]
async fn calls_to_a_stopped_server_time_out_and_it_is_in_use_again_when_it_goes_on() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let record = live(&store).await;
    server.stop();
    for call in 0..5 {
        let begun = Instant::now();
        let next = records::successor(&record);
        let outcome = store.commit(record.version(), next).await;
        let (error, took) = (outcome.unwrap_err(), begun.elapsed());
        assert!(
            took >= SECOND && took < SECOND + Duration::from_millis(300),
            "{took:?}"
        );
        // After three calls without an answer the connection is given up. There is no new one, so
        // the later calls were not sent.
        let expected = match call {
            0..3 => StoreErrorKind::TimedOut,
            _ => StoreErrorKind::Unavailable,
        };
        assert_eq!(error.kind(), expected, "call {call}: {error:?}");
    }
    server.cont();
    let begun = Instant::now();
    let outcome = store.load(record.id(), Freshness::Latest).await;
    // One of the calls that timed out was carried out when the server went on.
    assert!(matches!(outcome, Ok(Load::Found(_))), "{outcome:?}");
    assert!(begun.elapsed() < 2 * SECOND);
}

#[tokio::test]
async fn a_stop_shorter_than_the_deadline_is_only_a_delay() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let record = live(&store).await;
    server.stop();
    let load = spawn_load(&store, record.id());
    sleep(Duration::from_millis(300)).await;
    server.cont();
    assert!(matches!(load.await.unwrap(), Ok(Load::Found(_))));
}

#[tokio::test]
async fn a_connection_that_falls_silent_is_replaced_after_three_calls() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let builder = RedisStore::builder(proxy.url()).deadline(Duration::from_millis(200));
    let store = builder.connect().await.unwrap();
    let record = live(&store).await;
    let connections = server.command_stats()["hello"];
    proxy.set(Traffic::BlackHole);
    for _ in 0..3 {
        let outcome = store.load(record.id(), Freshness::Latest).await;
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TimedOut, "{error:?}");
    }
    let outcome = store.load(record.id(), Freshness::Latest).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
    proxy.set(Traffic::Pass);
    holds(&store, &record).await;
    assert!(
        server.command_stats()["hello"] > connections,
        "over a new connection"
    );
}

/// Behind a proxy that cancels requests sooner than the deadline, no call ever times out, and a
/// connection that only counted time-outs would be kept for good.
#[tokio::test]
async fn a_silent_connection_is_replaced_also_if_no_caller_waits_for_the_deadline() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = RedisStore::connect(proxy.url()).await.unwrap();
    let record = live(&store).await;
    let connections = server.command_stats()["hello"];
    proxy.set(Traffic::BlackHoleReplies);
    for _ in 0..3 {
        let load = store.load(record.id(), Freshness::Latest);
        assert!(timeout(Duration::from_millis(150), load).await.is_err());
    }
    // Begins the new connection, and leaves before it is made.
    let load = store.load(record.id(), Freshness::Latest);
    assert!(timeout(Duration::from_millis(50), load).await.is_err());
    proxy.set(Traffic::Pass);
    holds(&store, &record).await;
    assert_eq!(
        server.command_stats()["hello"],
        connections + 1,
        "over a new connection"
    );
}

#[tokio::test]
async fn calls_beyond_the_bound_fail_at_once() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(server.url()).max_in_flight(2);
    let store = builder.connect().await.unwrap();
    let record = live(&store).await;
    server.stop();
    let waiting: Vec<_> = (0..2).map(|_| spawn_load(&store, record.id())).collect();
    sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    let outcome = store.load(record.id(), Freshness::Latest).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    assert!(!error.outcome_unknown());
    assert!(begun.elapsed() < Duration::from_millis(50));
    server.cont();
    for load in waiting {
        assert!(matches!(load.await.unwrap(), Ok(Load::Found(_))));
    }
    holds(&store, &record).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_time_outs_nor_dropped_calls_use_the_bound_up() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = RedisStore::builder(proxy.url())
        .max_in_flight(4)
        .deadline(Duration::from_millis(300))
        .connect()
        .await
        .unwrap();
    let record = live(&store).await;
    proxy.set(Traffic::BlackHole);
    for round in 0..6 {
        let calls: Vec<_> = (0..4).map(|_| spawn_load(&store, record.id())).collect();
        for call in calls {
            if round % 2 == 0 {
                call.abort();
                assert!(call.await.is_err());
            } else {
                assert!(call.await.unwrap().is_err());
            }
        }
    }
    proxy.set(Traffic::Pass);
    while store.load(record.id(), Freshness::Latest).await.is_err() {}
    for _ in 0..10 {
        let calls: Vec<_> = (0..4).map(|_| spawn_load(&store, record.id())).collect();
        for call in calls {
            assert!(matches!(call.await.unwrap(), Ok(Load::Found(_))));
        }
    }
}

/// Callers that leave early must not keep the attempt to connect from succeeding.
#[tokio::test]
async fn a_slow_connection_is_made_although_no_caller_waits_for_it() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(server.url()).deadline(Duration::from_millis(300));
    let store = builder.connect_lazy().unwrap();
    server.stop();
    let id = records::random_id();
    for _ in 0..5 {
        let load = store.load(id, Freshness::Latest);
        assert!(timeout(Duration::from_millis(20), load).await.is_err());
    }
    server.cont();
    // Long enough that an attempt of which nobody knows better would count as stuck.
    sleep(Duration::from_millis(800)).await;
    let begun = Instant::now();
    assert_eq!(
        store.load(id, Freshness::Latest).await.unwrap(),
        Load::Absent
    );
    assert!(begun.elapsed() < Duration::from_millis(100));
    assert_eq!(
        server.command_stats()["hello"],
        1,
        "all of them shared one attempt"
    );
}

fn spawn_load(store: &RedisStore, id: SessionId) -> JoinHandle<Result<Load, StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { store.load(id, Freshness::Latest).await })
}

const SECOND: Duration = Duration::from_secs(1);
