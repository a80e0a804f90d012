//! Any store, so that the doubles around it have one type.

use tenure_core::{
    Commit, Create, Delete, Freshness, Load, MemoryStore, Record, Renewal, SessionId, SessionStore,
    StoreError, Timestamp, Version, VersionUse, Whose,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_sqlite::SqliteStore;
use tenure_testing::{FaultyStore, SlowStore, SpyStore};

/// A node's store: watched, and prepared to fail and to wait.
pub(crate) type Doubles = SpyStore<FaultyStore<SlowStore<AnyStore>>>;

/// The store of a [`Cluster`](crate::Cluster), as one of its nodes holds it.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "one variant per backend")]
pub enum AnyStore {
    /// Shared by the nodes.
    Memory(MemoryStore),
    /// This node's own connection to the server that the nodes share.
    Redis(RedisStore),
    /// The same, behind a cache.
    NearCache(NearCache<RedisStore>),
    /// This node's own handle of the file that the nodes share.
    Sqlite(SqliteStore),
}

impl SessionStore for AnyStore {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        match self {
            Self::Memory(store) => store.load(id, freshness).await,
            Self::Redis(store) => store.load(id, freshness).await,
            Self::NearCache(store) => store.load(id, freshness).await,
            Self::Sqlite(store) => store.load(id, freshness).await,
        }
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        match self {
            Self::Memory(store) => store.create(record).await,
            Self::Redis(store) => store.create(record).await,
            Self::NearCache(store) => store.create(record).await,
            Self::Sqlite(store) => store.create(record).await,
        }
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        match self {
            Self::Memory(store) => store.commit(expected, record).await,
            Self::Redis(store) => store.commit(expected, record).await,
            Self::NearCache(store) => store.commit(expected, record).await,
            Self::Sqlite(store) => store.commit(expected, record).await,
        }
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        match self {
            Self::Memory(store) => store.renew(id, whose, lease_end).await,
            Self::Redis(store) => store.renew(id, whose, lease_end).await,
            Self::NearCache(store) => store.renew(id, whose, lease_end).await,
            Self::Sqlite(store) => store.renew(id, whose, lease_end).await,
        }
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        match self {
            Self::Memory(store) => store.delete(id, whose).await,
            Self::Redis(store) => store.delete(id, whose).await,
            Self::NearCache(store) => store.delete(id, whose).await,
            Self::Sqlite(store) => store.delete(id, whose).await,
        }
    }

    fn version_use(&self) -> VersionUse {
        match self {
            // Tests put older states back, which no real process does to its own memory.
            Self::Memory(_) => VersionUse::Witness,
            Self::Redis(store) => store.version_use(),
            Self::NearCache(store) => store.version_use(),
            Self::Sqlite(store) => store.version_use(),
        }
    }
}
