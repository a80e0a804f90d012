//! Calls from several runtimes, as under actix, where each worker has its own. Connections belong to the one
//! on which the store was connected.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use tenure_core::{
    Delete, FeedListener, Freshness, Load, Part, SessionId, SessionStore, StoreErrorKind,
    Timestamp, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};
use tokio::{
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{
    replication::{confirming, pair},
    support::{holds, kill_connections, lacks, live},
};

/// The general case of a blocked worker: it was the one whose call had to connect.
#[tokio::test]
async fn a_blocked_runtime_holds_up_only_its_own_calls() {
    let (server, _replica) = pair().await;
    let store = RedisStore::connect(server.url()).await.unwrap();
    let confirming = confirming(&server).await;
    let fed = store.feed(Arc::new(Deaf)).unwrap();
    let record = live(&store).await;
    // Also where nothing was connected before.
    for store in [&store, &confirming, &fed.store] {
        kill_connections(&server);
        let (blocked, worker) = Worker::start(store.clone());
        blocked.await.unwrap();
        for _ in 0..20 {
            holds(store, &record).await;
            assert_eq!(deletion_of_nothing(store).await, Delete::Absent);
        }
        worker.end();
    }
    timeout(Duration::from_secs(1), fed.feed.prove(Part::ONLY))
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn a_store_outlives_the_runtime_on_which_it_was_connected() {
    let server = RedisServer::start();
    let first = runtime();
    let store = first.block_on(RedisStore::connect(server.url())).unwrap();
    let record = first.block_on(live(&store));
    drop(first);
    // Not even the first call is lost, although it is one that is not repeated.
    runtime().block_on(live(&store));
    runtime().block_on(holds(&store, &record));
}

#[test]
fn a_store_can_be_made_outside_of_any_runtime() {
    let server = RedisServer::start();
    let store = RedisStore::builder(server.url()).connect_lazy().unwrap();
    let first = runtime();
    let record = first.block_on(live(&store));
    first.block_on(holds(&store, &record));
}

/// As when a program connects on a runtime that it then only keeps.
#[test]
fn a_runtime_that_nobody_drives_is_left_behind() {
    let server = RedisServer::start();
    let deadline = Duration::from_millis(50);
    let builder = RedisStore::builder(server.url()).deadline(deadline);
    let asleep = runtime();
    let store = asleep.block_on(builder.connect()).unwrap();
    let record = asleep.block_on(live(&store));
    runtime().block_on(async {
        let begun = Instant::now();
        loop {
            match store.load(record.id(), Freshness::Latest).await {
                Ok(load) => break assert_eq!(load, Load::Found(record.clone())),
                Err(error) => assert!(error.is_retryable(), "{error:?}"),
            }
            assert!(begun.elapsed() < 40 * deadline, "not found a way out");
        }
        live(&store).await;
    });
}

#[test]
fn a_call_on_a_runtime_that_ends_with_it_leaves_a_store_that_works() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(server.url()).deadline(Duration::from_millis(200));
    let store = builder.connect_lazy().unwrap();
    server.stop();
    let error = runtime().block_on(store.load(records::random_id(), Freshness::Latest));
    assert_eq!(error.unwrap_err().kind(), StoreErrorKind::Unavailable);
    server.cont();
    runtime().block_on(live(&store));
}

/// A runtime of its own that makes a call and then blocks.
struct Worker {
    release: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn start(store: RedisStore) -> (oneshot::Receiver<()>, Self) {
        let (is_blocked, blocked) = oneshot::channel();
        let (release, released) = mpsc::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                lacks(&store, &records::fresh(Timestamp::default())).await;
                assert_eq!(deletion_of_nothing(&store).await, Delete::Absent);
                is_blocked.send(()).unwrap();
                released.recv().unwrap();
            });
        });
        (blocked, Self { release, thread })
    }

    fn end(self) {
        self.release.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

async fn deletion_of_nothing(store: &RedisStore) -> Delete {
    let whose = Whose::Login(records::fresh(Timestamp::default()).login().stamp);
    store.delete(records::random_id(), whose).await.unwrap()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[derive(Debug)]
struct Deaf;

impl FeedListener for Deaf {
    fn changed(&self, _: SessionId) {}

    fn lost(&self, _: Part) {}
}
