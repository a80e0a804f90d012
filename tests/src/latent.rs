//! A store at some distance.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::{
    Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionId, SessionStore, StoreError,
    Timestamp, Version, VersionUse, Whose,
};

/// Lets each call take a while, there and back, by a clock that tests may pause.
///
/// The way takes between half of what was asked for and one and a half of it, drawn from a fixed seed: with
/// equal times, nodes would keep in step as no real ones do.
#[derive(Clone, Debug)]
pub struct LatentStore<S> {
    inner: S,
    round_trip: Duration,
    draws: Arc<Mutex<u64>>,
}

impl<S> LatentStore<S> {
    /// The store, at that distance.
    pub fn new(inner: S, round_trip: Duration) -> Self {
        let draws = Arc::new(Mutex::new(0x9e37_79b9_7f4a_7c15));
        Self {
            inner,
            round_trip,
            draws,
        }
    }

    async fn travel(&self) {
        let share = self.draw();
        if self.round_trip.is_zero() {
            // Also without a network, others get to run, now and then more often than not.
            for _ in 0..=share % 3 {
                tokio::task::yield_now().await;
            }
        } else {
            tokio::time::sleep(self.round_trip * (500 + share) / 2000).await;
        }
    }

    /// A number below 1000.
    fn draw(&self) -> u32 {
        let mut draws = self.draws.lock();
        // Xorshift: three lines are enough for a little unrest.
        *draws ^= *draws << 13;
        *draws ^= *draws >> 7;
        *draws ^= *draws << 17;
        u32::try_from(*draws % 1000).unwrap_or_default()
    }
}

impl<S: SessionStore + Clone> SessionStore for LatentStore<S> {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        self.travel().await;
        let found = self.inner.load(id, freshness).await;
        self.travel().await;
        found
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.travel().await;
        let outcome = self.inner.create(record).await;
        self.travel().await;
        outcome
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.travel().await;
        let outcome = self.inner.commit(expected, record).await;
        self.travel().await;
        outcome
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.travel().await;
        let outcome = self.inner.renew(id, whose, lease_end).await;
        self.travel().await;
        outcome
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.travel().await;
        let outcome = self.inner.delete(id, whose).await;
        self.travel().await;
        outcome
    }

    fn version_use(&self) -> VersionUse {
        self.inner.version_use()
    }
}
