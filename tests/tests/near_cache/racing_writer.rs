//! A writer that races the reads of a node: whatever comes to lie in the cache, nothing stale stays
//! there.

use std::sync::Arc;

use tenure_core::{Clock, Commit, Freshness, Load, Record, SessionId, SessionStore, SystemClock};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_stays_behind_a_racing_writer() {
    let server = RedisServer::start();
    let connect = || async { RedisStore::connect(server.url()).await.unwrap() };
    let (mut stale, mut dirty) = (0, 0);
    for _ in 0..RUNS {
        let (writer, reader) = (connect().await, NearCache::new(connect().await));
        let mut first = Vec::new();
        for _ in 0..KEYS {
            let record = records::fresh(SystemClock.now());
            assert!(writer.create(record.clone()).await.is_ok());
            first.push(record);
        }
        let first = Arc::new(first);
        let mut writing = JoinSet::new();
        for part in 0..WRITERS {
            writing.spawn(write(writer.clone(), Arc::clone(&first), part));
        }
        let reading = tokio::spawn(read_all_the_time(reader.clone(), Arc::clone(&first)));
        let last: Vec<_> = writing.join_all().await.into_iter().flatten().collect();
        reading.abort();
        let _ = reading.await;
        // One round trip, behind which all reports of changes have arrived.
        let nobody = SessionId::from_bytes([0; 16]);
        assert_eq!(
            reader.load(nobody, Freshness::Latest).await.unwrap(),
            Load::Absent
        );
        let cached = reader.metrics();
        dirty += cached.dirty_fills;
        for record in &last {
            let base = &first[index(&first, record)];
            let found = reader
                .load(base.id(), Freshness::AtLeast(base.version()))
                .await;
            stale += usize::from(found.unwrap() != Load::Found(record.clone()));
        }
        let hits = reader.metrics().hits - cached.hits;
        assert!(hits > 0, "all was asked for, so nothing was tested");
    }
    println!(
        "{RUNS} runs, {KEYS} keys each: {stale} stale; {dirty} answers were dirty and not kept"
    );
    assert_eq!(stale, 0);
    assert!(dirty > 0, "no answer was overtaken, so nothing was tested");
}

/// Changes its part of the sessions over and over, and returns their last states.
async fn write(store: RedisStore, first: Arc<Vec<Record>>, part: usize) -> Vec<Record> {
    let mut last: Vec<_> = first.iter().skip(part).step_by(WRITERS).cloned().collect();
    for _ in 0..ROUNDS {
        for record in &mut last {
            let next = records::successor(record);
            let outcome = store.commit(record.version(), next.clone()).await;
            assert_eq!(outcome.unwrap(), Commit::Stored);
            *record = next;
        }
    }
    last
}

/// Reads all sessions as a browser that has seen nothing since their creation, many at a time.
async fn read_all_the_time(cache: NearCache<RedisStore>, first: Arc<Vec<Record>>) {
    loop {
        let mut reads = JoinSet::new();
        for record in first.iter() {
            let (cache, id, floor) = (cache.clone(), record.id(), record.version());
            reads.spawn(async move { cache.load(id, Freshness::AtLeast(floor)).await.unwrap() });
        }
        reads.join_all().await;
    }
}

fn index(first: &[Record], record: &Record) -> usize {
    first.iter().position(|it| it.id() == record.id()).unwrap()
}

const RUNS: usize = 20;
const KEYS: usize = 400;
const WRITERS: usize = 8;
const ROUNDS: usize = 10;
