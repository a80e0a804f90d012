use std::{fmt, future::Future, sync::Arc};

use parking_lot::Mutex;
use tenure_core::{
    Commit, Create, Delete, Fed, FeedListener, Freshness, Load, Principal, Record, Renewal,
    SessionId, SessionIndex, SessionStore, StoreError, StoreErrorKind, Timestamp, Version,
    VersionUse, Whose,
};

use super::{Verb, index::IndexAnswer};

/// Writes down what is asked of a store and what it answers.
///
/// Clones share the store and the log. The log can be taken apart with [`SpyStore::log`] and read
/// while a manager owns the store.
///
/// # Examples
///
/// ```
/// use tenure_core::{Freshness, MemoryStore, SessionStore};
/// use tenure_testing::{Outcome, SpyStore, Verb, records};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = SpyStore::new(MemoryStore::new());
/// let log = store.log();
/// store.load(records::random_id(), Freshness::Latest).await.unwrap();
/// assert_eq!(log.outcomes(), [(Verb::Load, Outcome::Absent)]);
/// assert_eq!(log.count(Verb::Commit), 0);
/// # });
/// ```
pub struct SpyStore<S> {
    inner: Arc<S>,
    log: CallLog,
}

impl<S: SessionStore> SpyStore<S> {
    /// Watches a store.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            log: CallLog::default(),
        }
    }

    /// A handle to the log.
    #[must_use]
    pub fn log(&self) -> CallLog {
        self.log.clone()
    }

    /// The watched store: calls that are made here are not written down.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    async fn watch<T>(
        &self,
        call: Call,
        future: impl Future<Output = Result<T, StoreError>> + Send,
        outcome: impl FnOnce(&T) -> Outcome + Send,
    ) -> Result<T, StoreError> {
        let mut entry = OpenEntry::begin(&self.log, call);
        let result = future.await;
        entry.finish(match &result {
            Ok(answer) => outcome(answer),
            Err(error) => Outcome::Failed(error.kind()),
        });
        result
    }
}

impl<S: SessionStore + SessionIndex> SpyStore<S> {
    pub(super) async fn pass_on<T: IndexAnswer>(
        &self,
        verb: Verb,
        user: Option<&Principal>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let entry = Call {
            user: user.cloned(),
            ..Call::of(verb)
        };
        self.watch(entry, call, T::outcome).await
    }
}

impl<S> Clone for SpyStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            log: self.log.clone(),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for SpyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpyStore")
            .field("inner", &self.inner)
            .field("calls", &self.log.len())
            .finish()
    }
}

impl<S: SessionStore> SessionStore for SpyStore<S> {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        let call = Call {
            freshness: Some(freshness),
            ..Call::new(Verb::Load, id)
        };
        let outcome = |answer: &Load| match answer {
            Load::Found(_) => Outcome::Found,
            Load::Expired(_) => Outcome::Expired,
            Load::Absent => Outcome::Absent,
        };
        self.watch(call, self.inner.load(id, freshness), outcome)
            .await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let call = Call {
            version: Some(record.version()),
            ..Call::new(Verb::Create, record.id())
        };
        let outcome = |answer: &Create| match answer {
            Create::Created => Outcome::Created,
            Create::Exists => Outcome::Exists,
        };
        self.watch(call, self.inner.create(record), outcome).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let call = Call {
            version: Some(record.version()),
            ..Call::new(Verb::Commit, record.id())
        };
        let outcome = |answer: &Commit| match answer {
            Commit::Stored => Outcome::Stored,
            Commit::Overtaken(_) => Outcome::Overtaken,
            Commit::Conflict(_) => Outcome::Conflict,
            Commit::Gone => Outcome::Gone,
        };
        self.watch(call, self.inner.commit(expected, record), outcome)
            .await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let outcome = |answer: &Renewal| match answer {
            Renewal::Renewed(_) => Outcome::Renewed,
            Renewal::Superseded => Outcome::Superseded,
            Renewal::Gone => Outcome::Gone,
        };
        let call = Call::new(Verb::Renew, id);
        self.watch(call, self.inner.renew(id, whose, lease_end), outcome)
            .await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let outcome = |answer: &Delete| match answer {
            Delete::Deleted => Outcome::Deleted,
            Delete::Absent => Outcome::Absent,
            Delete::Superseded => Outcome::Superseded,
        };
        let call = Call::new(Verb::Delete, id);
        self.watch(call, self.inner.delete(id, whose), outcome)
            .await
    }

    fn version_use(&self) -> VersionUse {
        self.inner.version_use()
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        let wrap = |inner| Self {
            inner,
            log: self.log.clone(),
        };
        Some(self.inner.feed(listener)?.map(wrap))
    }
}

/// What a [`SpyStore`] has written down, in the order in which the calls began.
///
/// Clones are handles to the same log.
#[derive(Clone, Default)]
pub struct CallLog {
    calls: Arc<Mutex<Entries>>,
}

impl CallLog {
    /// All calls.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().entries.clone()
    }

    /// All calls, as verb and outcome: what most assertions compare.
    #[must_use]
    pub fn outcomes(&self) -> Vec<(Verb, Outcome)> {
        let verb_and_outcome = |call: &Call| (call.verb, call.outcome);
        self.calls
            .lock()
            .entries
            .iter()
            .map(verb_and_outcome)
            .collect()
    }

    /// All calls, as verbs.
    #[must_use]
    pub fn verbs(&self) -> Vec<Verb> {
        self.calls.lock().entries.iter().map(Call::verb).collect()
    }

    /// How many calls of that verb there were.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        let calls = self.calls.lock();
        calls
            .entries
            .iter()
            .filter(|call| call.verb == verb)
            .count()
    }

    /// How many calls there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.calls.lock().entries.len()
    }

    /// Whether there was no call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all calls. Those that are under way leave no entry.
    pub fn clear(&self) {
        let mut calls = self.calls.lock();
        calls.entries.clear();
        calls.generation += 1;
    }
}

impl fmt::Debug for CallLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.calls.lock().entries).finish()
    }
}

/// One call. `Debug` shows no user data and no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    verb: Verb,
    id: Option<SessionId>,
    user: Option<Principal>,
    freshness: Option<Freshness>,
    version: Option<Version>,
    outcome: Outcome,
}

impl Call {
    fn new(verb: Verb, id: SessionId) -> Self {
        Self {
            id: Some(id),
            ..Self::of(verb)
        }
    }

    const fn of(verb: Verb) -> Self {
        Self {
            verb,
            id: None,
            user: None,
            freshness: None,
            version: None,
            outcome: Outcome::Pending,
        }
    }

    /// What was asked.
    #[must_use]
    pub const fn verb(&self) -> Verb {
        self.verb
    }

    /// Of which session, if the storage was asked.
    #[must_use]
    pub const fn id(&self) -> Option<SessionId> {
        self.id
    }

    /// Of which principal, if the index was asked for one.
    #[must_use]
    pub const fn user(&self) -> Option<&Principal> {
        self.user.as_ref()
    }

    /// How new a load had to be.
    #[must_use]
    pub const fn freshness(&self) -> Option<Freshness> {
        self.freshness
    }

    /// The version that a creation or a commit was to store.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// What came of it.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }
}

/// What came of a call, without what it carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// A load found a live session.
    Found,
    /// A load found a session that has ended.
    Expired,
    /// A load or a deletion found nothing.
    Absent,
    /// A creation happened.
    Created,
    /// A creation met another session.
    Exists,
    /// A commit happened, or had happened before.
    Stored,
    /// A commit had happened before, and others since.
    Overtaken,
    /// A commit was based on another version than the stored one.
    Conflict,
    /// A lease was renewed.
    Renewed,
    /// A commit or a renewal found no live session.
    Gone,
    /// A deletion happened.
    Deleted,
    /// A renewal or a deletion met a later login.
    Superseded,
    /// A reservation was admitted.
    Admitted,
    /// A reservation met the limit.
    Full,
    /// A reservation or a confirmation came after its epoch.
    Revoked,
    /// A reservation or a confirmation met others in its place.
    Displaced,
    /// A reservation was one of a blocked principal.
    Blocked,
    /// A login was confirmed.
    Confirmed,
    /// A login in use was known.
    Known,
    /// A login in use was entered again.
    Entered,
    /// A login in use had ended.
    Ended,
    /// An index has answered that says no more than that.
    Answered,
    /// The call failed.
    Failed(StoreErrorKind),
    /// The caller dropped the call before it was answered.
    Dropped,
    /// The call is under way.
    Pending,
}

#[derive(Default)]
struct Entries {
    entries: Vec<Call>,
    /// Counts the clearings, so that a call from before one does not finish another's entry.
    generation: u64,
}

/// An entry of a call that is under way; one that is not finished was dropped.
struct OpenEntry<'a> {
    log: &'a CallLog,
    generation: u64,
    index: usize,
    outcome: Outcome,
}

impl<'a> OpenEntry<'a> {
    fn begin(log: &'a CallLog, call: Call) -> Self {
        let mut calls = log.calls.lock();
        let index = calls.entries.len();
        calls.entries.push(call);
        Self {
            log,
            generation: calls.generation,
            index,
            outcome: Outcome::Dropped,
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for OpenEntry<'_> {
    fn drop(&mut self) {
        let mut calls = self.log.calls.lock();
        if calls.generation == self.generation {
            calls.entries[self.index].outcome = self.outcome;
        }
    }
}
