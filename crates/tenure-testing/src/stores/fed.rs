use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::{
    Commit, Create, Delete, Fed, Feed, FeedListener, Freshness, Load, Part, Principal, Record,
    Renewal, SessionId, SessionIndex, SessionStore, StoreError, Timestamp, Version, VersionUse,
    Whose,
};
use tokio::sync::watch;

use super::{Verb, index::IndexAnswer};

/// Gives any store a [feed](SessionStore::feed): each handle is told what the others write, as the
/// nodes around a shared server are.
///
/// The test decides when reports arrive, and whether. Clones that were not fed write as somebody else
/// than all who are.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
///
/// use tenure_core::{FeedListener, MemoryStore, Part, SessionId, SessionStore, SystemClock, Clock};
/// use tenure_testing::{FedStore, records};
///
/// #[derive(Debug)]
/// struct Cache;
///
/// impl FeedListener for Cache {
///     fn changed(&self, id: SessionId) { println!("{id:?} has changed"); }
///     fn lost(&self, _: Part) { println!("everything may have changed"); }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let elsewhere = FedStore::new(MemoryStore::new());
/// let here = elsewhere.feed(Arc::new(Cache)).unwrap();
/// elsewhere.create(records::fresh(SystemClock.now())).await.unwrap();
/// here.feed.prove(Part::ONLY).await.unwrap();
/// # });
/// ```
pub struct FedStore<S> {
    inner: Arc<S>,
    hub: Arc<Hub>,
    /// Which of the listeners belongs to this handle.
    listener: Option<usize>,
}

impl<S: SessionStore> FedStore<S> {
    /// A store with a feed to which nobody listens, so far.
    #[must_use]
    pub fn new(inner: S) -> Self {
        Self {
            inner: Arc::new(inner),
            hub: Arc::new(Hub {
                state: Mutex::default(),
                is_silent: watch::Sender::new(false),
            }),
            listener: None,
        }
    }

    /// The wrapped store, whose writes nobody is told of.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Holds all reports and proofs back, as a network that delivers nothing, until
    /// [`deliver`](Self::deliver) or [`lose`](Self::lose).
    pub fn silence(&self) {
        self.hub.is_silent.send_replace(true);
    }

    /// Delivers what was held back.
    pub fn deliver(&self) {
        let mut state = self.hub.state.lock();
        for (writer, id) in std::mem::take(&mut state.held) {
            state.tell(writer, id);
        }
        self.hub.is_silent.send_replace(false);
    }

    /// Lets each proof arrive that long after it was asked for.
    pub fn delay_proofs(&self, delay: Duration) {
        self.hub.state.lock().delay = delay;
    }

    /// Drops what was held back and tells everybody so, as a connection that is made anew.
    pub fn lose(&self) {
        let mut state = self.hub.state.lock();
        state.held.clear();
        state
            .listeners
            .iter()
            .for_each(|listener| listener.lost(Part::ONLY));
        self.hub.is_silent.send_replace(false);
    }

    async fn write<T>(
        &self,
        id: SessionId,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        // Also if the call is dropped: it may have happened.
        let _report = Report { store: self, id };
        call.await
    }
}

struct Report<'a, S> {
    store: &'a FedStore<S>,
    id: SessionId,
}

impl<S> Drop for Report<'_, S> {
    fn drop(&mut self) {
        let hub = &self.store.hub;
        let mut state = hub.state.lock();
        if *hub.is_silent.borrow() {
            state.held.push((self.store.listener, self.id));
        } else {
            state.tell(self.store.listener, self.id);
        }
    }
}

struct Hub {
    state: Mutex<State>,
    is_silent: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    listeners: Vec<Arc<dyn FeedListener>>,
    /// Who wrote, and which session.
    held: Vec<(Option<usize>, SessionId)>,
    /// How long a proof is under way.
    delay: Duration,
}

impl State {
    fn tell(&self, writer: Option<usize>, id: SessionId) {
        for (index, listener) in self.listeners.iter().enumerate() {
            if writer != Some(index) {
                listener.changed(id);
            }
        }
    }
}

impl Feed for Hub {
    fn prove(&self, _: Part) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(async {
            let mut is_silent = self.is_silent.subscribe();
            // The sender is owned by `self`, so it cannot be gone.
            let _ = is_silent.wait_for(|is_silent| !is_silent).await;
            let delay = self.state.lock().delay;
            // Without a delay, no runtime with a timer is asked for.
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Hub")
            .field("listeners", &state.listeners.len())
            .field("held", &state.held.len())
            .finish_non_exhaustive()
    }
}

impl<S: SessionStore + SessionIndex> FedStore<S> {
    /// Nobody is told of what happens in the index.
    pub(super) async fn pass_on<T: IndexAnswer>(
        &self,
        _: Verb,
        _: Option<&Principal>,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        call.await
    }
}

impl<S> Clone for FedStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            hub: Arc::clone(&self.hub),
            listener: self.listener,
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for FedStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FedStore")
            .field("inner", &self.inner)
            .field("hub", &self.hub)
            .finish()
    }
}

impl<S: SessionStore> SessionStore for FedStore<S> {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        self.inner.load(id, freshness).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.write(record.id(), self.inner.create(record)).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.write(record.id(), self.inner.commit(expected, record))
            .await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.write(id, self.inner.renew(id, whose, lease_end)).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.write(id, self.inner.delete(id, whose)).await
    }

    fn version_use(&self) -> VersionUse {
        self.inner.version_use()
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        let mut state = self.hub.state.lock();
        state.listeners.push(listener);
        let store = Self {
            listener: Some(state.listeners.len() - 1),
            ..self.clone()
        };
        let feed = Arc::clone(&self.hub) as _;
        Some(Fed { store, feed })
    }
}
