//! A writer that races the reads of a node: whatever comes to lie in the cache, nothing stale stays
//! there.

use std::{sync::Arc, time::Duration};

use tenure_core::{Clock, Commit, Freshness, Load, Record, SessionId, SessionStore, SystemClock};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_stays_behind_a_racing_writer() {
    let server = RedisServer::start();
    let (mut runs, mut seen) = (0, Seen::default());
    let racing = async {
        // On a busy machine a run may show nothing: the writer gets all the time, or the reader none.
        while runs < RUNS || seen.hits == 0 || seen.dirty == 0 {
            seen.add(&race(&server).await);
            runs += 1;
            assert_eq!(seen.stale, 0);
        }
    };
    // What counts is what was seen until then, be it less than is wished for.
    let _ = tokio::time::timeout(PATIENCE, racing).await;
    println!("{runs} runs, {KEYS} keys each: {seen:?}");
    assert!(seen.hits > 0, "all was asked for, so nothing was tested");
    assert!(
        seen.dirty > 0,
        "no answer was overtaken, so nothing was tested"
    );
}

/// What a run has shown.
#[derive(Debug, Default)]
struct Seen {
    /// Last states that were answered by the cache,
    hits: u64,
    /// and those that were not the last.
    stale: u64,
    /// Answers that were overtaken by a change, and not kept.
    dirty: u64,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.hits += other.hits;
        self.stale += other.stale;
        self.dirty += other.dirty;
    }
}

async fn race(server: &RedisServer) -> Seen {
    let connect = || async { RedisStore::connect(server.url()).await.unwrap() };
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
    let mut stale = 0;
    for record in &last {
        let base = &first[index(&first, record)];
        let found = reader
            .load(base.id(), Freshness::AtLeast(base.version()))
            .await;
        stale += u64::from(found.unwrap() != Load::Found(record.clone()));
    }
    Seen {
        hits: reader.metrics().hits - cached.hits,
        stale,
        dirty: cached.dirty_fills,
    }
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

/// As many as are wished for: each has some thousand changes that a read may overtake.
const RUNS: usize = 8;
const KEYS: usize = 400;
const WRITERS: usize = 8;
const ROUNDS: usize = 10;

/// Eight runs take ten seconds on two idle cores.
const PATIENCE: Duration = Duration::from_secs(100);
