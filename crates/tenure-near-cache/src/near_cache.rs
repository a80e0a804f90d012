use std::{fmt, sync::Arc};

use tenure_core::{
    Commit, Create, Delete, Freshness, Load, Record, Relation, Renewal, SessionId, SessionStore,
    StoreError, Timestamp, Version, VersionUse, Whose,
};

use crate::{
    Metrics, NearCacheBuilder, events,
    flight::take_off,
    pulse::Pulse,
    shelf::{Shelf, Ticket},
    verdict::Answer,
};

/// A store in front of a store: keeps sessions in this process's memory. See the
/// [crate's page](crate).
///
/// Clones are the same cache.
pub struct NearCache<S> {
    pub(crate) store: Arc<S>,
    shelf: Arc<Shelf>,
    pulse: Arc<Pulse>,
}

impl<S: SessionStore> NearCache<S> {
    /// A cache with the default limits: 64 MiB, at most 2 s stale.
    pub fn new(store: S) -> Self {
        Self::builder(store).build()
    }

    /// Begins a cache with other limits.
    pub fn builder(store: S) -> NearCacheBuilder<S> {
        NearCacheBuilder::new(store)
    }

    pub(crate) fn over(store: S, shelf: Arc<Shelf>, pulse: Pulse) -> Self {
        Self {
            store: Arc::new(store),
            shelf,
            pulse: Arc::new(pulse),
        }
    }

    /// What the cache has done so far, and how full it is.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(&self.shelf)
    }

    /// Asks the store, and keeps what it says.
    fn fetch(
        &self,
        ticket: Ticket,
        id: SessionId,
        freshness: Freshness,
    ) -> impl Future<Output = Result<Load, StoreError>> + Send + use<S> {
        let store = Arc::clone(&self.store);
        async move {
            let found = store.load(id, freshness).await?;
            match &found {
                Load::Found(record) => ticket.keep(Answer::Live(record.clone())),
                Load::Absent => ticket.keep(Answer::Absent),
                Load::Expired(_) => ticket.spoil(),
            }
            Ok(found)
        }
    }

    async fn load_from_store(
        &self,
        id: SessionId,
        freshness: Freshness,
    ) -> Result<Load, StoreError> {
        self.pulse.ensure();
        let ask = |ticket| self.fetch(ticket, id, freshness);
        let Freshness::AtLeast(floor) = freshness else {
            return ask(self.shelf.read(id)).await;
        };
        let fly = || self.shelf.fly(id, |ticket| take_off(ask(ticket)));
        let (flight, is_joined) = fly();
        if !is_joined {
            return flight.await;
        }
        match flight.await {
            // It may have left before the commit that this browser has seen.
            Ok(Load::Found(record)) if !is_at_least(&record, floor) => {
                ask(self.shelf.read(id)).await
            }
            // Its time was up, not this call's. Whoever is the first of those who have waited for it begins
            // another, which is as good as their own: it sets out after all of them have come.
            Err(error) if error.is_retryable() => fly().0.await,
            outcome => outcome,
        }
    }
}

impl<S: SessionStore> SessionStore for NearCache<S> {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        match self.shelf.look_up(id, freshness) {
            Ok(answer) => {
                self.shelf.counters.hits.add();
                Ok(answer)
            }
            Err(miss) => {
                self.shelf.counters.missed(miss);
                events::missed(miss);
                // Boxed, so that a hit's future has no room for it.
                Box::pin(self.load_from_store(id, freshness)).await
            }
        }
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let ticket = self.shelf.write(record.id());
        let outcome = self.store.create(record.clone()).await?;
        if outcome == Create::Created {
            ticket.keep(Answer::Live(record));
        }
        Ok(outcome)
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let ticket = self.shelf.write(record.id());
        let outcome = self.store.commit(expected, record.clone()).await?;
        match &outcome {
            Commit::Stored => ticket.keep(Answer::Live(record)),
            Commit::Overtaken(current) | Commit::Conflict(current) => {
                ticket.keep_read(Answer::Live(current.clone()));
            }
            Commit::Gone => ticket.spoil(),
        }
        Ok(outcome)
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let ticket = self.shelf.write(id);
        let outcome = self.store.renew(id, whose, lease_end).await?;
        if let (Renewal::Renewed(version), Some(cached)) = (outcome, ticket.cached())
            && cached.version() == version
        {
            let renewed = cached.clone().with_lease_end(lease_end);
            let kept = if renewed.lease_end() > cached.lease_end() {
                renewed.with_seen_at(self.shelf.time().max(cached.seen_at()))
            } else {
                cached
            };
            ticket.keep(Answer::Live(kept));
        }
        Ok(outcome)
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let ticket = self.shelf.write(id);
        let outcome = self.store.delete(id, whose).await?;
        match outcome {
            Delete::Deleted | Delete::Absent => ticket.keep(Answer::Deleted),
            // Whoever replaced the secret has changed the session.
            Delete::Superseded => ticket.spoil(),
        }
        Ok(outcome)
    }

    fn version_use(&self) -> VersionUse {
        VersionUse::Floor
    }
}

fn is_at_least(record: &Record, floor: Version) -> bool {
    matches!(
        record.lineage().relation(floor),
        Relation::Same | Relation::Ahead
    )
}

impl<S> Clone for NearCache<S> {
    fn clone(&self) -> Self {
        Self {
            store: Arc::clone(&self.store),
            shelf: Arc::clone(&self.shelf),
            pulse: Arc::clone(&self.pulse),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for NearCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NearCache")
            .field("store", &self.store)
            .field("shelf", &self.shelf)
            .field("pulse", &self.pulse)
            .finish()
    }
}
