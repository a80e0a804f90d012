//! What one request does to others, and to its own next call: a future that is kept, a runtime that ends or
//! blocks, a panic, a generator that fails.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;
use tenure_core::{
    Commit, Create, Delete, Freshness, KeyRing, Load, MemoryStore, Record, Renewal, Session,
    SessionId, SessionManager, SessionStore, StoreError, Timestamp, Version, VersionUse, Whose,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{Moment, RedisServer, SlowStore, Verb};
use tenure_tests::Visitor;

const DEADLINE: Duration = Duration::from_millis(200);

fn manager(store: impl SessionStore) -> SessionManager {
    SessionManager::builder(store, KeyRing::generate().unwrap())
        .deadline(DEADLINE)
        .build()
        .unwrap()
}

async fn visitor(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("x", 5_u64).unwrap())
        .await;
    visitor
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.poll_unpin(context))).await
}

/// A handler begins `commit()`, its `select!` goes another way, and the future is kept somewhere (here: by
/// whoever would go on with it behind the response). The response never leaves.
#[tokio::test]
async fn a_commit_that_is_kept_unpolled_does_not_hang_the_response_of_its_own_request() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = manager(slow.clone());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let (handle, session) = visitor.load().await;
    session.insert("y", 1_u64).unwrap();
    let own = session.clone();
    let mut kept = Box::pin(async move { own.commit().await });
    assert!(poll_once(&mut kept).await.is_pending());
    gate.open();
    // The store is well again; ten deadlines.
    let finish = tokio::time::timeout(10 * DEADLINE, handle.finish(200)).await;
    assert!(finish.is_ok(), "the response hung for 10 deadlines");
    drop(kept);
}

/// The same inside one handler: the futurelock.
#[tokio::test]
async fn a_refresh_that_lost_a_select_does_not_hang_the_next_call() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = manager(slow.clone());
    let visitor = visitor(&manager).await;
    let (_handle, session) = visitor.load().await;
    let gate = slow.hold(Verb::Load, Moment::BeforeCall);
    let mut refresh = std::pin::pin!(session.refresh());
    tokio::select! {
        _ = &mut refresh => panic!("held"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    gate.open();
    session.insert("y", 1_u64).unwrap();
    let commit = tokio::time::timeout(10 * DEADLINE, session.commit()).await;
    assert!(commit.is_ok(), "the commit hung for 10 deadlines");
}

/// The same for loading: an outer middleware gives its look at the session up but keeps the future.
#[tokio::test]
async fn a_load_that_is_kept_unpolled_does_not_hang_the_next_load() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = manager(slow.clone());
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Load, Moment::BeforeCall);
    let handle = visitor.open();
    let early = handle.clone();
    let mut kept = Box::pin(async move { early.load().await.map(drop) });
    assert!(poll_once(&mut kept).await.is_pending());
    gate.open();
    let load = tokio::time::timeout(10 * DEADLINE, handle.load()).await;
    assert!(load.is_ok(), "the load hung for 10 deadlines");
    drop(kept);
}

thread_local! {
    static CURRENT: std::cell::RefCell<Option<Session>> = const { std::cell::RefCell::new(None) };
}

/// A value whose meaning depends on another one of the session.
#[derive(Debug)]
struct Contextual;

impl serde::Serialize for Contextual {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u64(1)
    }
}

impl<'de> serde::Deserialize<'de> for Contextual {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let _ = <u64 as serde::Deserialize>::deserialize(d)?;
        CURRENT.with_borrow(|session| {
            if let Some(session) = session {
                let _ = session.get::<u64>("x").unwrap();
            }
        });
        Ok(Self)
    }
}

fn ends_within(limit: Duration, work: impl FnOnce() + Send + 'static) -> bool {
    let (done, wait) = mpsc::channel();
    std::thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    wait.recv_timeout(limit).is_ok()
}

fn decoding_by(read: fn(&Session)) -> bool {
    ends_within(Duration::from_secs(3), move || {
        current_thread().block_on(async {
            let manager = manager(MemoryStore::new());
            let mut visitor = visitor(&manager).await;
            visitor
                .request(async |session| session.insert("c", Contextual).unwrap())
                .await;
            let (_handle, session) = visitor.load().await;
            CURRENT.set(Some(session.clone()));
            read(&session);
            CURRENT.set(None);
        });
    })
}

#[test]
fn a_value_that_reads_its_session_when_it_is_decoded_hangs_no_thread() {
    assert!(
        decoding_by(|s| {
            s.get::<Contextual>("c").unwrap();
        }),
        "get"
    );
    assert!(
        decoding_by(|s| {
            s.take::<Contextual>("c").unwrap();
        }),
        "take"
    );
}

/// Answers commits with a conflict as long as it is told to.
#[derive(Clone, Debug)]
struct Contended {
    inner: MemoryStore,
    contended: Arc<AtomicBool>,
    commits: Arc<AtomicUsize>,
}

impl SessionStore for Contended {
    async fn load(&self, id: SessionId, f: Freshness) -> Result<Load, StoreError> {
        self.inner.load(id, f).await
    }
    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.inner.create(record).await
    }
    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        if self.contended.load(Ordering::SeqCst) {
            // Somebody else was faster.
            let Load::Found(now) = self.inner.load(record.id(), Freshness::Latest).await? else {
                return Ok(Commit::Gone);
            };
            return Ok(Commit::Conflict(now));
        }
        self.inner.commit(expected, record).await
    }
    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.inner.renew(id, whose, lease_end).await
    }
    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.inner.delete(id, whose).await
    }
    fn version_use(&self) -> VersionUse {
        self.inner.version_use()
    }
}

/// Two workers, each with a runtime of its own as in actix. The request on the first is at the head of the
/// line, in the pause after 16 conflicts, when its worker ends. The other's request is not to notice.
#[test]
fn a_runtime_that_ends_in_the_pause_between_conflicts_fells_no_request_of_another_one() {
    let store = Contended {
        inner: MemoryStore::new(),
        contended: Arc::new(AtomicBool::new(false)),
        commits: Arc::default(),
    };
    let manager = SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .deadline(Duration::from_secs(5))
        .build()
        .unwrap();
    let (first, other) = (current_thread(), current_thread());
    let visitor = other.block_on(visitor(&manager));
    let begin = |key: &'static str| {
        let visitor = visitor.clone();
        async move {
            let (handle, session) = visitor.load().await;
            session.insert(key, 1_u64).unwrap();
            handle.finish(200).await.refusal
        }
    };
    store.contended.store(true, Ordering::SeqCst);
    let a = first.spawn(begin("a"));
    first.block_on(async {
        // Up to its first pause.
        while store.commits.load(Ordering::SeqCst) < 16 {
            tokio::task::yield_now().await;
        }
    });
    let b = other.spawn(begin("b"));
    other.block_on(async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    });
    store.contended.store(false, Ordering::SeqCst);
    drop(first);
    assert!(a.now_or_never().is_none_or(|a| a.is_err()));
    let b = other.block_on(b);
    assert!(
        matches!(b, Ok(None)),
        "the request on the other runtime: {b:?}"
    );
}

/// The same worker only blocks: the other's request waits for the timer of a runtime that does not run.
#[test]
fn a_worker_that_blocks_in_the_pause_between_conflicts_holds_no_other_request_up() {
    let store = Contended {
        inner: MemoryStore::new(),
        contended: Arc::new(AtomicBool::new(false)),
        commits: Arc::default(),
    };
    let manager = manager(store.clone());
    let (first, other) = (current_thread(), current_thread());
    let visitor = other.block_on(visitor(&manager));
    let begin = |key: &'static str| {
        let visitor = visitor.clone();
        async move {
            let (handle, session) = visitor.load().await;
            session.insert(key, 1_u64).unwrap();
            handle.finish(200).await.refusal
        }
    };
    store.contended.store(true, Ordering::SeqCst);
    let _a = first.spawn(begin("a"));
    first.block_on(async {
        while store.commits.load(Ordering::SeqCst) < 16 {
            tokio::task::yield_now().await;
        }
    });
    // `first` is not driven any more: its worker blocks.
    store.contended.store(false, Ordering::SeqCst);
    let b = other.block_on(begin("b"));
    assert!(b.is_none(), "{b:?}");
}

/// A store whose loads take a while by tokio's clock, or panic.
#[derive(Clone, Debug)]
struct Timed {
    inner: MemoryStore,
    slow: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
}

impl SessionStore for Timed {
    async fn load(&self, id: SessionId, f: Freshness) -> Result<Load, StoreError> {
        if self.slow.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if self.panics.load(Ordering::SeqCst) {
            panic!("a bug in the store");
        }
        self.inner.load(id, f).await
    }
    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.inner.create(record).await
    }
    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.inner.commit(expected, record).await
    }
    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.inner.renew(id, whose, lease_end).await
    }
    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.inner.delete(id, whose).await
    }
    fn version_use(&self) -> VersionUse {
        VersionUse::Floor
    }
}

fn timed() -> Timed {
    Timed {
        inner: MemoryStore::new(),
        slow: Arc::new(AtomicBool::new(false)),
        panics: Arc::new(AtomicBool::new(false)),
    }
}

#[test]
fn a_runtime_that_ends_during_a_shared_load_fells_no_request_of_another_one() {
    let store = timed();
    let keys = tenure_tests::random_key();
    let warm = SessionManager::builder(store.clone(), keys.parse().unwrap())
        .build()
        .unwrap();
    let (first, other) = (current_thread(), current_thread());
    let visitor = other.block_on(visitor(&warm));
    let node = SessionManager::builder(NearCache::new(store.clone()), keys.parse().unwrap())
        .build()
        .unwrap();
    let visitor = visitor.at(&node);
    store.slow.store(true, Ordering::SeqCst);
    let load = || {
        let visitor = visitor.clone();
        async move { visitor.open().load().await.map(drop) }
    };
    let _a = first.spawn(load());
    first.block_on(tokio::task::yield_now());
    let b = other.spawn(load());
    other.block_on(tokio::task::yield_now());
    drop(first);
    let b = other.block_on(b);
    assert!(
        matches!(b, Ok(Ok(()))),
        "the request on the other runtime: {b:?}"
    );
}

/// The same with what the README shows: Redis with a near cache, at a moment when Redis is slow.
#[test]
fn redis_a_runtime_that_ends_during_a_shared_load_fells_no_request_of_another_one() {
    let server = RedisServer::start();
    let home = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let store = home.block_on(RedisStore::connect(&*server.url())).unwrap();
    let keys = tenure_tests::random_key();
    let warm = SessionManager::builder(store.clone(), keys.parse().unwrap())
        .build()
        .unwrap();
    let (first, other) = (current_thread(), current_thread());
    let visitor = home.block_on(visitor(&warm));
    let node = {
        let _on = home.enter();
        SessionManager::builder(NearCache::new(store), keys.parse().unwrap())
            .build()
            .unwrap()
    };
    let visitor = visitor.at(&node);
    // The tracked connection is made.
    home.block_on(async {
        let absent = Visitor::new(node.clone());
        drop(absent);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    });
    let load = || {
        let visitor = visitor.clone();
        async move { visitor.open().load().await.map(drop) }
    };
    server.stop();
    let _a = first.spawn(load());
    first.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    let b = other.spawn(load());
    other.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    drop(first);
    other.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    server.cont();
    let b = other.block_on(b);
    assert!(
        matches!(b, Ok(Ok(()))),
        "the request on the other runtime: {b:?}"
    );
}

#[tokio::test]
async fn a_store_that_panics_in_a_load_fells_only_the_request_that_made_it() {
    let store = timed();
    let keys = tenure_tests::random_key();
    let warm = SessionManager::builder(store.clone(), keys.parse().unwrap())
        .build()
        .unwrap();
    let visitor = visitor(&warm).await;
    let node = SessionManager::builder(NearCache::new(store.clone()), keys.parse().unwrap())
        .build()
        .unwrap();
    let visitor = visitor.at(&node);
    store.slow.store(true, Ordering::SeqCst);
    store.panics.store(true, Ordering::SeqCst);
    let load = || {
        let visitor = visitor.clone();
        tokio::spawn(async move { visitor.open().load().await.map(drop) })
    };
    let all = [load(), load(), load(), load()];
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut felled = 0;
    for one in all {
        felled += usize::from(one.await.is_err());
    }
    assert!(felled <= 1, "{felled} of 4 requests unwound");
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("the payload's own drop");
        }
    }
}

#[tokio::test]
async fn a_panic_whose_payload_panics_fells_no_other_request() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let visitor = visitor(&manager).await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let commit = |change: fn(&Session)| {
        let visitor = visitor.clone();
        tokio::spawn(async move {
            let (handle, session) = visitor.load().await;
            change(&session);
            handle.finish(200).await.refusal
        })
    };
    let head = commit(|s| s.insert("head", 1_u64).unwrap());
    gate.arrivals(1).await;
    let innocent = commit(|s| s.insert("innocent", 1_u64).unwrap());
    let bomb = commit(|s| {
        let calls = AtomicUsize::new(0);
        s.update("x", move |x: Option<u64>| {
            if calls.fetch_add(1, Ordering::SeqCst) > 0 {
                std::panic::panic_any(Bomb);
            }
            x.unwrap_or(0)
        })
        .unwrap();
    });
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    gate.open();
    let (head, innocent, bomb) = (head.await, innocent.await, bomb.await);
    assert!(bomb.unwrap().is_some(), "its own request has failed");
    assert!(matches!(head, Ok(None)), "head: {head:?}");
    assert!(matches!(innocent, Ok(None)), "innocent: {innocent:?}");
}

/// Says something of its session when it goes, as a guard in a closure may.
struct Farewell(Session);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.id();
    }
}

#[test]
fn a_generator_that_fails_hangs_no_thread() {
    assert!(ends_within(Duration::from_secs(3), || {
        current_thread().block_on(async {
            let (memory, keys) = (MemoryStore::new(), tenure_tests::random_key());
            let well = SessionManager::builder(memory.clone(), keys.parse().unwrap())
                .build()
                .unwrap();
            let ill = SessionManager::builder(memory, keys.parse().unwrap())
                .danger_entropy(tenure_testing::FailingEntropy)
                .build()
                .unwrap();
            let visitor = visitor(&well).await;
            let (handle, session) = visitor.at(&ill).load().await;
            let farewell = Farewell(session.clone());
            session
                .update("n", move |n: Option<u64>| {
                    let _ = &farewell;
                    n.unwrap_or(0) + 1
                })
                .unwrap();
            session.rotate().unwrap();
            assert!(handle.finish(200).await.refusal.is_some());
        });
    }));
}
