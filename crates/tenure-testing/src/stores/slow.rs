use std::{collections::HashMap, fmt, future::Future, sync::Arc};

use parking_lot::Mutex;
use tenure_core::{
    Commit, Create, Delete, Fed, FeedListener, Freshness, Load, Principal, Record, Renewal,
    SessionId, SessionIndex, SessionStore, StoreError, Timestamp, Version, VersionUse, Whose,
};
use tokio::sync::{Semaphore, watch};

use super::{Moment, Verb, index::IndexAnswer};

/// Holds the calls of a store at gates, so that a test can arrange a race instead of hoping for it.
///
/// Nothing sleeps: a call waits at its gate until the test lets it through, and the test waits until
/// the call has arrived. Clones share the store and the gates.
///
/// # Examples
///
/// A load that has read its answer, and returns it only after a commit:
///
/// ```
/// use tenure_core::{Freshness, Load, MemoryStore, SessionStore, SystemClock, Clock};
/// use tenure_testing::{Moment, SlowStore, Verb, records};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = SlowStore::new(MemoryStore::new());
/// let record = records::fresh(SystemClock.now());
/// store.create(record.clone()).await.unwrap();
///
/// let gate = store.hold(Verb::Load, Moment::AfterCall);
/// let loading = tokio::spawn({
///     let (store, id) = (store.clone(), record.id());
///     async move { store.load(id, Freshness::Latest).await }
/// });
/// gate.arrivals(1).await;
/// store.commit(record.version(), records::successor(&record)).await.unwrap();
/// gate.open();
/// assert_eq!(loading.await.unwrap().unwrap(), Load::Found(record));
/// # });
/// ```
pub struct SlowStore<S> {
    inner: Arc<S>,
    gates: Arc<Gates>,
}

impl<S: SessionStore> SlowStore<S> {
    /// A store without gates, so far.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            gates: Arc::default(),
        }
    }

    /// The wrapped store, whose calls are never held.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Holds every call of that verb from now on, until the gate is opened or dropped.
    ///
    /// A second gate for the same verb and moment takes the place of the first, which keeps the
    /// calls that wait at it.
    pub fn hold(&self, verb: Verb, moment: Moment) -> Gate {
        let barrier = Arc::new(Barrier::default());
        self.gates
            .lock()
            .insert((verb, moment), Arc::clone(&barrier));
        Gate {
            barrier,
            gates: Arc::clone(&self.gates),
            place: (verb, moment),
        }
    }

    async fn call<T: Send>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.pass(verb, Moment::BeforeCall).await;
        let result = call.await;
        self.pass(verb, Moment::AfterCall).await;
        result
    }

    async fn pass(&self, verb: Verb, moment: Moment) {
        let barrier = self.gates.lock().get(&(verb, moment)).cloned();
        if let Some(barrier) = barrier {
            barrier.pass().await;
        }
    }
}

impl<S: SessionStore + SessionIndex> SlowStore<S> {
    pub(super) async fn pass_on<T: IndexAnswer>(
        &self,
        verb: Verb,
        _: Option<&Principal>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.call(verb, call).await
    }
}

impl<S> Clone for SlowStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            gates: Arc::clone(&self.gates),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for SlowStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlowStore")
            .field("inner", &self.inner)
            .field("gates", &self.gates.lock().keys())
            .finish()
    }
}

impl<S: SessionStore> SessionStore for SlowStore<S> {
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
            gates: Arc::clone(&self.gates),
        };
        Some(self.inner.feed(listener)?.map(wrap))
    }
}

/// Where the calls of one verb wait. Dropping it opens it.
#[must_use = "a gate that is dropped is open"]
pub struct Gate {
    barrier: Arc<Barrier>,
    gates: Arc<Gates>,
    place: (Verb, Moment),
}

impl Gate {
    /// Waits until that many calls in all have arrived here, those included that were let through
    /// or dropped since.
    pub async fn arrivals(&self, calls: usize) {
        let mut arrived = self.barrier.arrived.subscribe();
        // The sender is owned by `self`, so it cannot be gone.
        let _ = arrived.wait_for(|arrived| *arrived >= calls).await;
    }

    /// How many calls have arrived here so far.
    #[must_use]
    pub fn arrived(&self) -> usize {
        *self.barrier.arrived.borrow()
    }

    /// Lets one call through: the one that has waited longest, or else the next to arrive.
    pub fn admit_one(&self) {
        self.barrier.permits.add_permits(1);
    }

    /// Lets all calls through, and takes the gate away.
    pub fn open(self) {
        drop(self);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        let current = gates.get(&self.place);
        if current.is_some_and(|barrier| Arc::ptr_eq(barrier, &self.barrier)) {
            gates.remove(&self.place);
        }
        self.barrier.permits.close();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("verb", &self.place.0)
            .field("moment", &self.place.1)
            .field("arrived", &self.arrived())
            .finish_non_exhaustive()
    }
}

type Gates = Mutex<HashMap<(Verb, Moment), Arc<Barrier>>>;

struct Barrier {
    permits: Semaphore,
    arrived: watch::Sender<usize>,
}

impl Barrier {
    async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // An error says that the gate was opened.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

impl Default for Barrier {
    fn default() -> Self {
        Self {
            permits: Semaphore::new(0),
            arrived: watch::Sender::new(0),
        }
    }
}
