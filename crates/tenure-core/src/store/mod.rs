//! The storage contract.

mod erased;
mod error;
mod feed;
mod index;
mod memory;

use std::{fmt, future::Future, sync::Arc};

pub(crate) use self::erased::{ErasedIndex, ErasedStore};
pub use self::{
    error::{StoreError, StoreErrorKind},
    feed::{Absence, Fed, Feed, FeedListener, Part, Standing},
    index::{
        CONDEMNED_PER_CALL, Confirm, Confirmation, Ended, Ending, LoginCursor, LoginEntry,
        LoginLimit, LoginPage, LoginRoll, LoginSeen, LoginState, RESERVED_FOR, Reservation,
        Reserve, SessionIndex, Touch, UserCursor, UserPage, UserStanding,
    },
    memory::{MemoryStore, MemoryStoreBuilder},
};
use crate::{Expiry, Record, SessionId, Timestamp, Version, Whose};

/// Durable, versioned storage for session records.
///
/// A commit names the version it was based on and happens only if that version is still current,
/// so two requests that read the same session cannot silently overwrite each other.
/// Implementations must pass every test of `tenure_testing::store_conformance!`.
///
/// Expected outcomes are values ([`Load`], [`Create`], [`Commit`], [`Renewal`], [`Delete`]); an error is a
/// fault of the storage, and says with [`StoreError::outcome_unknown`] whether the write may have happened.
///
/// # Consistency
///
/// All verbs are linearizable per session, and a session that is deleted or expired never comes
/// back: only [`create`](Self::create) writes a key that is not there, and ids are never reused.
///
/// # Unknown outcomes
///
/// A write whose reply was lost has happened, will still happen, or never will: the connection that
/// carried it may deliver it late. So:
///
/// - a *creation* is made once under one id. Nobody makes it again, neither its caller nor the store: it
///   might bring a session back that was created, used and ended in between;
/// - a *commit* is made again only unchanged, and recognises itself by its version
///   ([`Commit::Overtaken`]). A store does not make it again by itself: only who knows that it was made
///   before can tell what a conflict means, once the commit's tag has left the lineage;
/// - a *renewal* and a *deletion* may be made again by anyone. A deletion names whose the session has
///   to be, so that one that arrives late does not end a later login.
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

    /// Writes a record under an id at which nothing is stored. Never made twice under one id; see
    /// [unknown outcomes](Self#unknown-outcomes).
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; of kind [`StoreErrorKind::TooLarge`] or [`StoreErrorKind::Full`] if there is
    /// no room for the record, and then nothing was written.
    fn create(&self, record: Record) -> impl Future<Output = Result<Create, StoreError>> + Send;

    /// Replaces a live record if its version is still `expected`, by `record`, whose version is the one after
    /// that. One atomic step.
    ///
    /// If `record`'s own version is part of the stored lineage, this very commit was made before, and
    /// nothing is written: the outcome is [`Commit::Stored`] if the stored version is that one, and
    /// [`Commit::Overtaken`] if others have committed since. The lease of `record` counts from a commit on, even
    /// if it ends earlier than the stored one.
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

    /// Moves the end of a live record's lease to `lease_end`, if the session is theirs: with a later login came other
    /// lifetimes. Not beyond the record's absolute
    /// limit and never to an earlier time than it has; if that moves it, the session was also
    /// [seen](Record::seen_at) at this time. The version stays. One atomic step.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; of kind [`StoreErrorKind::Corrupt`] if what is stored is evidently not a
    /// record. Damage beyond the header may go unnoticed here.
    fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> impl Future<Output = Result<Renewal, StoreError>> + Send;

    /// Removes a record, whatever its version, if the session is theirs. One atomic step.
    ///
    /// So can a session be ended whose record is damaged, or was written by a later version of tenure: what
    /// [`Whose`] compares stands at the same place in every format. See [`Whose::is_stored_in`].
    ///
    /// # Errors
    ///
    /// A [`StoreError`]. Unless it says that the outcome is unknown, the record is still there.
    fn delete(
        &self,
        id: SessionId,
        whose: Whose,
    ) -> impl Future<Output = Result<Delete, StoreError>> + Send;

    /// What the version in a visitor's cookie is good for, which decides how often the cookie is set.
    /// [`VersionUse::Witness`] unless the store says otherwise.
    fn version_use(&self) -> VersionUse {
        VersionUse::Witness
    }

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
        whose: Whose,
        lease_end: Timestamp,
    ) -> impl Future<Output = Result<Renewal, StoreError>> + Send {
        (**self).renew(id, whose, lease_end)
    }

    fn delete(
        &self,
        id: SessionId,
        whose: Whose,
    ) -> impl Future<Output = Result<Delete, StoreError>> + Send {
        (**self).delete(id, whose)
    }

    fn version_use(&self) -> VersionUse {
        (**self).version_use()
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
    /// The record is stored.
    Created,
    /// Something is stored under this id; nothing was written.
    Exists,
}

/// What became of a commit.
#[must_use = "`Conflict` and `Gone` mean that nothing was written now"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Commit {
    /// The record is stored, now or by an earlier attempt of this same commit.
    Stored,
    /// An earlier attempt of this same commit had happened, and others have committed since. Holds what is
    /// stored now.
    Overtaken(Record),
    /// Another writer got there first; nothing was written now. Holds what is stored.
    ///
    /// Nor will anything be written by this commit, since the expected version is past. Whether an earlier
    /// attempt of it had happened shows in the lineage, as far as that reaches back.
    Conflict(Record),
    /// The session was deleted or has expired; nothing was written, and nothing ever will be under
    /// this id.
    Gone,
}

/// What became of a lease's renewal.
#[must_use = "`Gone` means that the session has ended, `Superseded` that nothing was moved"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Renewal {
    /// The lease reaches at least to the requested end or to the absolute limit. Holds the version
    /// that is stored now.
    Renewed(Version),
    /// Somebody has logged in since; nothing was moved.
    Superseded,
    /// The session was deleted or has expired.
    Gone,
}

/// What became of a deletion.
#[must_use = "`Superseded` means that the session is still there"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Delete {
    /// The record was removed.
    Deleted,
    /// Nothing was stored under this id.
    Absent,
    /// The session is not theirs any more: somebody has logged in since. Nothing was removed.
    Superseded,
}

/// What the version in a visitor's cookie is good for.
///
/// Each use includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the manager must know what each asks of it"
)]
pub enum VersionUse {
    /// Nothing: the store answers with what it holds, and cannot lose commits without losing all. The
    /// cookie is set when a session begins, when its secret is replaced, and when its life is prolonged.
    Unused,
    /// It bears witness: a store that has lost commits, as after a failover, shows it. The cookie is set
    /// with every commit besides.
    Witness,
    /// It is the least that a cache may answer with, so that a visitor reads what they have written. As a
    /// witness, it is set with every commit.
    Floor,
}
