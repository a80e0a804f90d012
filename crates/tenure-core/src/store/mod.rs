//! The storage contract.

mod erased;
mod error;
mod feed;
mod memory;

use std::{fmt, future::Future, sync::Arc};

pub(crate) use self::erased::ErasedStore;
pub use self::{
    error::{StoreError, StoreErrorKind},
    feed::{Fed, Feed, FeedListener},
    memory::{MemoryStore, MemoryStoreBuilder},
};
use crate::{Expiry, Record, SessionId, Timestamp, Version};

/// Durable, versioned storage for session records.
///
/// A commit names the version it was based on and happens only if that version is still current,
/// so two requests that read the same session cannot silently overwrite each other.
/// Implementations must pass every test of `tenure_testing::store_conformance!`.
///
/// Expected outcomes are values ([`Load`], [`Create`], [`Commit`], [`Renewal`]); an error is a fault of the
/// storage, and says with [`StoreError::outcome_unknown`] whether the write may have happened.
///
/// # Consistency
///
/// All verbs are linearizable per session, and a session that is deleted or expired never comes
/// back: only [`create`](Self::create) writes a key that is not there, and ids are never reused.
///
/// Every verb is idempotent, so that a call whose reply was lost is simply made again: commits and
/// creations recognise themselves by their version.
///
/// # Cancellation
///
/// Dropping a returned future leaves the record in its old or its new state, never in between, and
/// leaves the store usable.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a session store",
    note = "implement `tenure_core::SessionStore` and check it with `tenure_testing::store_conformance!`"
)]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Reads a record that is at least as new as `freshness` demands.
    ///
    /// Never returns a record under another id than the asked one.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; of kind [`StoreErrorKind::Corrupt`] if what is stored is not a record.
    fn load(
        &self,
        id: SessionId,
        freshness: Freshness,
    ) -> impl Future<Output = Result<Load, StoreError>> + Send;

    /// Writes a record under an id at which nothing is stored.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; of kind [`StoreErrorKind::TooLarge`] or [`StoreErrorKind::Full`] if there is
    /// no room for the record, and then nothing was written.
    fn create(&self, record: Record) -> impl Future<Output = Result<Create, StoreError>> + Send;

    /// Replaces a live record if its version is still `expected`. One atomic step.
    ///
    /// If `record`'s own version is part of the stored lineage, this very commit was made before,
    /// and the outcome is [`Commit::Stored`]. The lease of `record` counts from then on, even if it
    /// ends earlier than the stored one.
    ///
    /// # Errors
    ///
    /// As for [`create`](Self::create); of kind [`StoreErrorKind::Corrupt`] if what is stored is not
    /// a record or names another id, whatever the version.
    fn commit(
        &self,
        expected: Version,
        record: Record,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send;

    /// Moves the end of a live record's lease to `lease_end`, but not beyond the record's absolute
    /// limit and never to an earlier time than it has. The version stays. One atomic step.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; of kind [`StoreErrorKind::Corrupt`] if what is stored is evidently not a
    /// record. Damage beyond the header may go unnoticed here.
    fn renew(
        &self,
        id: SessionId,
        lease_end: Timestamp,
    ) -> impl Future<Output = Result<Renewal, StoreError>> + Send;

    /// Removes a record, whatever its version. No error if it is not there.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]. Unless it says that the outcome is unknown, the record is still there.
    fn delete(&self, id: SessionId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Another handle to this storage, which tells `listener` what others change; `None`, the
    /// default, if the storage cannot tell. For caches, which then need not ask.
    ///
    /// See [`FeedListener`] for what the storage promises by returning one.
    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>>
    where
        Self: Sized,
    {
        let _ = listener;
        None
    }
}

impl<S: SessionStore> SessionStore for Arc<S> {
    fn load(
        &self,
        id: SessionId,
        freshness: Freshness,
    ) -> impl Future<Output = Result<Load, StoreError>> + Send {
        (**self).load(id, freshness)
    }

    fn create(&self, record: Record) -> impl Future<Output = Result<Create, StoreError>> + Send {
        (**self).create(record)
    }

    fn commit(
        &self,
        expected: Version,
        record: Record,
    ) -> impl Future<Output = Result<Commit, StoreError>> + Send {
        (**self).commit(expected, record)
    }

    fn renew(
        &self,
        id: SessionId,
        lease_end: Timestamp,
    ) -> impl Future<Output = Result<Renewal, StoreError>> + Send {
        (**self).renew(id, lease_end)
    }

    fn delete(&self, id: SessionId) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).delete(id)
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        Some((**self).feed(listener)?.map(Self::new))
    }
}

/// How new a loaded record has to be. Only caches and replicas can tell the difference; a store
/// that always asks its primary may ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "stores must handle every demand")]
pub enum Freshness {
    /// No older than this version, which the caller has seen before.
    AtLeast(Version),
    /// What the primary holds now: a linearizable read.
    Latest,
}

/// What a load found.
#[must_use = "a session may be absent or expired"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Load {
    /// A live session.
    Found(Record),
    /// The record is still stored, but the session has ended. A store that has already collected it
    /// says [`Load::Absent`] instead.
    Expired(Expiry),
    /// Nothing is stored under this id: never created, deleted, or expired and collected.
    Absent,
}

impl Load {
    /// Judges a stored record by its own times, which decide; a store's time to live only collects
    /// garbage.
    pub fn judge(record: Record, now: Timestamp) -> Self {
        match record.expiry(now) {
            None => Self::Found(record),
            Some(expiry) => Self::Expired(expiry),
        }
    }
}

/// What became of a creation.
#[must_use = "`Exists` means that nothing was written"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Create {
    /// The record is stored, now or by an earlier attempt of this same creation.
    Created,
    /// Another session is stored under this id; nothing was written.
    Exists,
}

/// What became of a commit.
#[must_use = "`Conflict` and `Gone` mean that nothing was written"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Commit {
    /// The write happened, now or by an earlier attempt of this same commit. Holds the version that
    /// is stored now: the commit's own, unless others have committed since the earlier attempt.
    Stored(Version),
    /// Another writer got there first; nothing was written. Holds what is stored now.
    Conflict(Record),
    /// The session was deleted or has expired; nothing was written, and nothing ever will be under
    /// this id.
    Gone,
}

/// What became of a lease's renewal.
#[must_use = "`Gone` means that the session has ended"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Renewal {
    /// The lease reaches at least to the requested end or to the absolute limit. Holds the version
    /// that is stored now.
    Renewed(Version),
    /// The session was deleted or has expired.
    Gone,
}
