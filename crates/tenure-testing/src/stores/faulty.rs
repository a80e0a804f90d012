use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    sync::Arc,
};

use parking_lot::Mutex;
use tenure_core::{
    Commit, Create, Delete, Fed, FeedListener, Freshness, Load, Principal, Record, Renewal,
    SessionId, SessionIndex, SessionStore, StoreError, StoreErrorKind, Timestamp, Version,
    VersionUse, Whose,
};

use super::{Moment, Verb, index::IndexAnswer};

/// Makes the calls of a store fail by a script.
///
/// Each verb has a script of its own, which its calls use up in the order in which they begin; when
/// nothing is left of it, they reach the wrapped store as if nothing were in between. Clones share the
/// store and the scripts, so a test keeps one while a manager owns another.
///
/// # Examples
///
/// ```
/// use tenure_core::{Clock, Commit, Create, MemoryStore, SessionIndex, SessionStore, StoreErrorKind, SystemClock};
/// use tenure_testing::{FaultyStore, Moment, Verb, records};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = FaultyStore::new(MemoryStore::new());
/// let record = records::fresh(SystemClock.now());
/// assert_eq!(store.create(record.clone()).await.unwrap(), Create::Created);
///
/// store.fail_next(1, Verb::Commit, Moment::AfterCall, StoreErrorKind::TimedOut);
/// let next = records::successor(&record);
/// let error = store.commit(record.version(), next.clone()).await.unwrap_err();
/// assert!(error.outcome_unknown());
/// // It was the reply that was lost, so the retry recognises itself.
/// assert_eq!(store.commit(record.version(), next).await.unwrap(), Commit::Stored);
/// # });
/// ```
pub struct FaultyStore<S> {
    inner: Arc<S>,
    scripts: Arc<Mutex<HashMap<Verb, VecDeque<Step>>>>,
}

impl<S: SessionStore> FaultyStore<S> {
    /// A store without faults, so far.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            scripts: Arc::default(),
        }
    }

    /// The wrapped store, which never fails by a script.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Lets the next `calls` of that verb fail, after those that are scripted already.
    ///
    /// `usize::MAX` stands for a store that is down until [`heal`](Self::heal).
    pub fn fail_next(&self, calls: usize, verb: Verb, moment: Moment, kind: StoreErrorKind) {
        self.script(calls, verb, Some((moment, kind)));
    }

    /// Lets the next `calls` of that verb through, after those that are scripted already: for a
    /// fault that strikes the second call.
    pub fn pass_next(&self, calls: usize, verb: Verb) {
        self.script(calls, verb, None);
    }

    /// Drops all scripts.
    pub fn heal(&self) {
        self.scripts.lock().clear();
    }

    /// How many faults are scripted and have not struck yet: a test that ends with some has not
    /// tested what it says.
    #[must_use]
    pub fn pending_faults(&self) -> usize {
        let scripts = self.scripts.lock();
        let faults = scripts
            .values()
            .flatten()
            .filter(|step| step.fault.is_some());
        faults.fold(0, |sum, step| sum.saturating_add(step.calls))
    }

    fn script(&self, calls: usize, verb: Verb, fault: Option<(Moment, StoreErrorKind)>) {
        if calls > 0 {
            let step = Step { calls, fault };
            self.scripts.lock().entry(verb).or_default().push_back(step);
        }
    }

    fn next_fault(&self, verb: Verb) -> Option<(Moment, StoreErrorKind)> {
        let mut scripts = self.scripts.lock();
        let script = scripts.get_mut(&verb)?;
        let step = script.front_mut()?;
        let fault = step.fault;
        step.calls -= 1;
        if step.calls == 0 {
            script.pop_front();
        }
        fault
    }

    async fn call<T: Send>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.next_fault(verb) {
            None => call.await,
            Some((Moment::BeforeCall, kind)) => Err(scripted(kind)),
            Some((Moment::AfterCall, kind)) => {
                // A lost reply hides even an error.
                let _ = call.await;
                Err(scripted(kind))
            }
        }
    }
}

impl<S: SessionStore + SessionIndex> FaultyStore<S> {
    pub(super) async fn pass_on<T: IndexAnswer>(
        &self,
        verb: Verb,
        _: Option<&Principal>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.call(verb, call).await
    }
}

impl<S> Clone for FaultyStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            scripts: Arc::clone(&self.scripts),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultyStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore")
            .field("inner", &self.inner)
            .field("scripts", &self.scripts.lock())
            .finish()
    }
}

impl<S: SessionStore> SessionStore for FaultyStore<S> {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        self.call(Verb::Load, self.inner.load(id, freshness)).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.call(Verb::Create, self.inner.create(record)).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.call(Verb::Commit, self.inner.commit(expected, record))
            .await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.call(Verb::Renew, self.inner.renew(id, whose, lease_end))
            .await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.call(Verb::Delete, self.inner.delete(id, whose)).await
    }

    fn version_use(&self) -> VersionUse {
        self.inner.version_use()
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        let wrap = |inner| Self {
            inner,
            scripts: Arc::clone(&self.scripts),
        };
        Some(self.inner.feed(listener)?.map(wrap))
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    calls: usize,
    fault: Option<(Moment, StoreErrorKind)>,
}

fn scripted(kind: StoreErrorKind) -> StoreError {
    StoreError::with_source(kind, "a fault from a test's script")
}
