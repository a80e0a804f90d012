//! The one place in which a store loses its type, so that managers, layers and sessions need no
//! type parameter.

use std::{fmt, future::Future, pin::Pin};

use super::{
    Commit, Create, Delete, Freshness, Load, Renewal, SessionStore, StoreError, VersionUse,
};
use crate::{Record, SessionId, Timestamp, Version, Whose};

type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`SessionStore`] with boxed futures.
pub(crate) trait ErasedStore: fmt::Debug + Send + Sync {
    fn load(&self, id: SessionId, freshness: Freshness) -> Pending<'_, Load>;
    fn create(&self, record: Record) -> Pending<'_, Create>;
    fn commit(&self, expected: Version, record: Record) -> Pending<'_, Commit>;
    fn renew(&self, id: SessionId, whose: Whose, lease_end: Timestamp) -> Pending<'_, Renewal>;
    fn delete(&self, id: SessionId, whose: Whose) -> Pending<'_, Delete>;
    fn version_use(&self) -> VersionUse;
}

impl<S: SessionStore> ErasedStore for S {
    fn load(&self, id: SessionId, freshness: Freshness) -> Pending<'_, Load> {
        Box::pin(SessionStore::load(self, id, freshness))
    }

    fn create(&self, record: Record) -> Pending<'_, Create> {
        Box::pin(SessionStore::create(self, record))
    }

    fn commit(&self, expected: Version, record: Record) -> Pending<'_, Commit> {
        Box::pin(SessionStore::commit(self, expected, record))
    }

    fn renew(&self, id: SessionId, whose: Whose, lease_end: Timestamp) -> Pending<'_, Renewal> {
        Box::pin(SessionStore::renew(self, id, whose, lease_end))
    }

    fn delete(&self, id: SessionId, whose: Whose) -> Pending<'_, Delete> {
        Box::pin(SessionStore::delete(self, id, whose))
    }

    fn version_use(&self) -> VersionUse {
        SessionStore::version_use(self)
    }
}
