//! Any store, so that the doubles around it have one type.

use tenure_core::{
    Commit, Confirm, Confirmation, Create, Delete, Ended, Ending, Epoch, Freshness, Load,
    LoginCursor, LoginName, LoginPage, LoginSeen, MemoryStore, Principal, Record, Renewal,
    Reservation, Reserve, SessionId, SessionIndex, SessionStore, StoreError, Timestamp, Touch,
    UserCursor, UserPage, UserStanding, Version, VersionUse, Whose,
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

impl SessionIndex for AnyStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        match self {
            Self::Memory(store) => store.reserve(user, reservation).await,
            Self::Redis(store) => store.reserve(user, reservation).await,
            Self::NearCache(store) => store.reserve(user, reservation).await,
            Self::Sqlite(store) => store.reserve(user, reservation).await,
        }
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        match self {
            Self::Memory(store) => store.confirm(user, confirmation).await,
            Self::Redis(store) => store.confirm(user, confirmation).await,
            Self::NearCache(store) => store.confirm(user, confirmation).await,
            Self::Sqlite(store) => store.confirm(user, confirmation).await,
        }
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        match self {
            Self::Memory(store) => store.end(user, ending).await,
            Self::Redis(store) => store.end(user, ending).await,
            Self::NearCache(store) => store.end(user, ending).await,
            Self::Sqlite(store) => store.end(user, ending).await,
        }
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => store.condemn(user, login).await,
            Self::Redis(store) => store.condemn(user, login).await,
            Self::NearCache(store) => store.condemn(user, login).await,
            Self::Sqlite(store) => store.condemn(user, login).await,
        }
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => store.settle(user, logins).await,
            Self::Redis(store) => store.settle(user, logins).await,
            Self::NearCache(store) => store.settle(user, logins).await,
            Self::Sqlite(store) => store.settle(user, logins).await,
        }
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        match self {
            Self::Memory(store) => store.touch(user, seen).await,
            Self::Redis(store) => store.touch(user, seen).await,
            Self::NearCache(store) => store.touch(user, seen).await,
            Self::Sqlite(store) => store.touch(user, seen).await,
        }
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        match self {
            Self::Memory(store) => store.standing(user).await,
            Self::Redis(store) => store.standing(user).await,
            Self::NearCache(store) => store.standing(user).await,
            Self::Sqlite(store) => store.standing(user).await,
        }
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => store.unblock(user, blocked_in).await,
            Self::Redis(store) => store.unblock(user, blocked_in).await,
            Self::NearCache(store) => store.unblock(user, blocked_in).await,
            Self::Sqlite(store) => store.unblock(user, blocked_in).await,
        }
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        match self {
            Self::Memory(store) => store.logins(user, after, most).await,
            Self::Redis(store) => store.logins(user, after, most).await,
            Self::NearCache(store) => store.logins(user, after, most).await,
            Self::Sqlite(store) => store.logins(user, after, most).await,
        }
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        match self {
            Self::Memory(store) => store.users(after).await,
            Self::Redis(store) => store.users(after).await,
            Self::NearCache(store) => store.users(after).await,
            Self::Sqlite(store) => store.users(after).await,
        }
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        match self {
            Self::Memory(store) => store.gate().await,
            Self::Redis(store) => store.gate().await,
            Self::NearCache(store) => store.gate().await,
            Self::Sqlite(store) => store.gate().await,
        }
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        match self {
            Self::Memory(store) => store.raise_gate(to).await,
            Self::Redis(store) => store.raise_gate(to).await,
            Self::NearCache(store) => store.raise_gate(to).await,
            Self::Sqlite(store) => store.raise_gate(to).await,
        }
    }
}
