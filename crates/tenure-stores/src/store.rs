use std::{fmt, sync::Arc};

use tenure_core::{
    Commit, Confirm, Confirmation, Create, Delete, Ended, Ending, Epoch, Fed, FeedListener,
    Freshness, Load, LoginCursor, LoginName, LoginPage, LoginSeen, MemoryStore, Principal, Record,
    Renewal, Reservation, Reserve, SessionId, SessionIndex, SessionStore, StoreError, Timestamp,
    Touch, UserCursor, UserPage, UserStanding, Version, VersionUse, Whose,
};

/// One of tenure's stores; see the [crate's documentation](crate) for which.
///
/// Clones share what the store shares.
#[derive(Clone)]
pub struct AnyStore(Store);

#[derive(Clone, Debug)]
enum Store {
    Memory(MemoryStore),
    #[cfg(feature = "sqlite")]
    Sqlite(tenure_sqlite::SqliteStore),
    #[cfg(feature = "redis")]
    Redis(tenure_redis::RedisStore),
}

/// The same for whichever store it is.
macro_rules! with {
    ($any:expr, $store:ident => $action:expr) => {
        match &$any.0 {
            Store::Memory($store) => $action,
            #[cfg(feature = "sqlite")]
            Store::Sqlite($store) => $action,
            #[cfg(feature = "redis")]
            Store::Redis($store) => $action,
        }
    };
}

impl AnyStore {
    pub(crate) const fn memory(store: MemoryStore) -> Self {
        Self(Store::Memory(store))
    }

    #[cfg(feature = "sqlite")]
    pub(crate) const fn sqlite(store: tenure_sqlite::SqliteStore) -> Self {
        Self(Store::Sqlite(store))
    }

    #[cfg(feature = "redis")]
    pub(crate) const fn redis(store: tenure_redis::RedisStore) -> Self {
        Self(Store::Redis(store))
    }
}

impl fmt::Debug for AnyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SessionStore for AnyStore {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        with!(self, store => store.load(id, freshness).await)
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        with!(self, store => store.create(record).await)
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        with!(self, store => store.commit(expected, record).await)
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        with!(self, store => store.renew(id, whose, lease_end).await)
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        with!(self, store => store.delete(id, whose).await)
    }

    fn version_use(&self) -> VersionUse {
        with!(self, store => store.version_use())
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        match &self.0 {
            Store::Memory(store) => Some(store.feed(listener)?.map(Self::memory)),
            #[cfg(feature = "sqlite")]
            Store::Sqlite(store) => Some(store.feed(listener)?.map(Self::sqlite)),
            #[cfg(feature = "redis")]
            Store::Redis(store) => Some(store.feed(listener)?.map(Self::redis)),
        }
    }
}

impl SessionIndex for AnyStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        with!(self, store => store.reserve(user, reservation).await)
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        with!(self, store => store.confirm(user, confirmation).await)
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        with!(self, store => store.end(user, ending).await)
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        with!(self, store => store.condemn(user, login).await)
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        with!(self, store => store.settle(user, logins).await)
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        with!(self, store => store.touch(user, seen).await)
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        with!(self, store => store.standing(user).await)
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        with!(self, store => store.unblock(user, blocked_in).await)
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        with!(self, store => store.logins(user, after, most).await)
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        with!(self, store => store.users(after).await)
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        with!(self, store => store.gate().await)
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        with!(self, store => store.raise_gate(to).await)
    }
}
