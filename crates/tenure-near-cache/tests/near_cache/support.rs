//! Nodes with a cache each, around one store in memory.

use std::time::Duration;

use tenure_core::{
    Clock, Commit, Freshness, Load, MemoryStore, Record, SessionId, SessionStore, Version,
};
use tenure_near_cache::{NearCache, NearCacheBuilder};
use tenure_testing::{FaultyStore, FedStore, ManualClock, SlowStore, SpyStore, Verb, records};
use tokio::task::JoinHandle;

pub(crate) const STALENESS: Duration = Duration::from_secs(2);
pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// What lies behind a cache.
pub(crate) type Stack = SpyStore<FaultyStore<SlowStore<FedStore<MemoryStore>>>>;

/// A node with a cache.
pub(crate) struct Node {
    pub(crate) cache: NearCache<Stack>,
    stack: Stack,
}

/// The store that the nodes share; its own writes are somebody else's.
pub(crate) struct World {
    pub(crate) elsewhere: FedStore<MemoryStore>,
    pub(crate) clock: ManualClock,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::builder().clock(clock.clone()).build();
        Self {
            elsewhere: FedStore::new(store),
            clock,
        }
    }

    pub(crate) fn node(&self) -> Node {
        self.node_with(|builder| builder)
    }

    pub(crate) fn node_with(
        &self,
        configure: impl FnOnce(NearCacheBuilder<Stack>) -> NearCacheBuilder<Stack>,
    ) -> Node {
        let stack = SlowStore::new(self.elsewhere.clone());
        let stack = SpyStore::new(FaultyStore::new(stack));
        let builder = NearCache::builder(stack.clone()).clock(self.clock.clone());
        Node {
            cache: configure(builder).build(),
            stack,
        }
    }

    /// A session that somebody else has stored.
    pub(crate) async fn stored(&self) -> Record {
        let record = records::fresh(self.clock.now());
        let created = self.elsewhere.create(record.clone()).await.unwrap();
        assert_eq!(created, tenure_core::Create::Created);
        record
    }

    /// Commits as somebody else.
    pub(crate) async fn changed(&self, base: &Record) -> Record {
        let next = records::successor(base);
        let outcome = self.elsewhere.commit(base.version(), next.clone()).await;
        assert_eq!(outcome.unwrap(), Commit::Stored);
        next
    }
}

impl Node {
    /// Loads with the floor of a browser that has seen `seen`.
    pub(crate) async fn load(&self, seen: &Record) -> Load {
        self.load_at_least(seen.id(), seen.version()).await
    }

    pub(crate) async fn load_at_least(&self, id: SessionId, floor: Version) -> Load {
        let freshness = Freshness::AtLeast(floor);
        self.cache.load(id, freshness).await.unwrap()
    }

    /// The same, as a task of its own.
    pub(crate) fn loading(&self, seen: &Record) -> JoinHandle<Load> {
        self.loading_with(seen.id(), Freshness::AtLeast(seen.version()))
    }

    /// Loads what the primary holds, as a task of its own.
    pub(crate) fn loading_latest(&self, id: SessionId) -> JoinHandle<Load> {
        self.loading_with(id, Freshness::Latest)
    }

    fn loading_with(&self, id: SessionId, freshness: Freshness) -> JoinHandle<Load> {
        let cache = self.cache.clone();
        tokio::spawn(async move { cache.load(id, freshness).await.unwrap() })
    }

    /// Commits as a task of its own.
    pub(crate) fn committing(&self, base: &Record, next: &Record) -> JoinHandle<Commit> {
        let (cache, expected, next) = (self.cache.clone(), base.version(), next.clone());
        tokio::spawn(async move { cache.commit(expected, next).await.unwrap() })
    }

    /// Asserts what a browser that has seen `seen` finds.
    pub(crate) async fn finds(&self, seen: &Record, expected: &Record) {
        assert_eq!(self.load(seen).await, found(expected));
    }

    /// Commits a successor.
    pub(crate) async fn commits(&self, base: &Record) -> Record {
        let next = records::successor(base);
        let outcome = self.cache.commit(base.version(), next.clone()).await;
        assert_eq!(outcome.unwrap(), Commit::Stored);
        next
    }

    /// How often the store was asked for a session.
    pub(crate) fn loads(&self) -> usize {
        self.stack.log().count(Verb::Load)
    }

    pub(crate) fn faults(&self) -> &FaultyStore<SlowStore<FedStore<MemoryStore>>> {
        self.stack.inner()
    }

    pub(crate) fn gates(&self) -> &SlowStore<FedStore<MemoryStore>> {
        self.faults().inner()
    }
}

pub(crate) fn found(record: &Record) -> Load {
    Load::Found(record.clone())
}
