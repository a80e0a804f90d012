use std::{sync::Arc, time::Duration};

use tenure_core::{Clock, Fed, SessionStore, SystemClock};

use crate::{NearCache, pulse::Pulse, shelf::Shelf, verdict::Limits};

/// Sets the limits of a [`NearCache`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct NearCacheBuilder<S> {
    store: S,
    max_bytes: u64,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl<S: SessionStore> NearCacheBuilder<S> {
    pub(crate) fn new(store: S) -> Self {
        Self {
            store,
            max_bytes: 64 << 20,
            limits: Limits {
                max_staleness: Duration::from_secs(2),
                revalidate_after: Duration::from_secs(60),
            },
            clock: Arc::new(SystemClock),
        }
    }

    /// How much memory the cached sessions may take, in bytes. Default 64 MiB: about 53,000 sessions
    /// of 1 KiB. When it is full, the sessions that are used least make room.
    ///
    /// Counted are the records and what the cache needs for them.
    pub const fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Δ: how old, at most, an answer may be that is given without asking the store. Default 2 s.
    ///
    /// With a feed this matters only while the feed is interrupted: otherwise changes arrive within
    /// a round trip. The feed is then asked for a proof of life four times within Δ, one command
    /// each. For a store without a feed, it is how long an answer is used before the store is asked
    /// again.
    ///
    /// With [`Duration::ZERO`] every load asks the store: all reads are linearizable, and the cache
    /// saves nothing. The feed is not used then.
    pub const fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.limits.max_staleness = max_staleness;
        self
    }

    /// How old, at most, an answer may be whatever the feed says. Default 60 s.
    ///
    /// Bounds what a fault of the feed can do that nobody has thought of. It is no help against a primary
    /// that was deposed and does not know it: that one is asked again, and says the same.
    pub const fn revalidate_after(mut self, revalidate_after: Duration) -> Self {
        self.limits.revalidate_after = revalidate_after;
        self
    }

    /// The clock by which sessions end. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Makes the cache. The task that keeps asking the feed for proof runs on the runtime on which this is
    /// called, or if there is none, or it has ended, on that of a later call.
    #[must_use = "a cache does nothing until it is used as a store"]
    pub fn build(self) -> NearCache<S> {
        let shelf = Arc::new(Shelf::new(self.max_bytes, self.limits, self.clock));
        let is_strict = self.limits.max_staleness.is_zero();
        let fed = (!is_strict).then(|| self.store.feed(Arc::clone(&shelf) as _));
        let (store, feed) = match fed.flatten() {
            Some(Fed { store, feed }) => {
                shelf.listen_to(&feed);
                (store, Some(feed))
            }
            None => (self.store, None),
        };
        let pulse = Pulse::new(Arc::clone(&shelf), feed);
        NearCache::over(store, shelf, pulse)
    }
}
