//! Every clause of the storage contract and of that of the login index, around stores in memory.

use tenure_core::{MemoryStore, SessionId, SessionStore};
use tenure_near_cache::NearCache;
use tenure_testing::{FedStore, Fixture, ManualClock, Planted};

struct CacheFixture<S> {
    cache: NearCache<S>,
    clock: ManualClock,
}

impl<S: SessionStore> CacheFixture<S> {
    fn around(wrap: impl FnOnce(MemoryStore) -> S) -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::builder()
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            .build();
        let cache = NearCache::builder(wrap(store)).clock(clock.clone());
        Self {
            cache: cache.build(),
            clock,
        }
    }
}

impl<S: SessionStore> Fixture for CacheFixture<S> {
    type Store = NearCache<S>;

    fn store(&self) -> &NearCache<S> {
        &self.cache
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, _: SessionId, _: &[u8]) -> Planted {
        Planted::Unrepresentable
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

mod without_a_feed {
    use super::*;

    tenure_testing::store_conformance!(CacheFixture::around(|store| store));

    mod index {
        use super::*;

        tenure_testing::index_conformance!(CacheFixture::around(|store| store));
    }
}

mod with_a_feed {
    use super::*;

    tenure_testing::store_conformance!(CacheFixture::around(FedStore::new));

    mod index {
        use super::*;

        tenure_testing::index_conformance!(CacheFixture::around(FedStore::new));
    }
}

mod twice {
    use super::*;

    tenure_testing::store_conformance!(CacheFixture::around(|store| {
        NearCache::new(FedStore::new(store))
    }));
}
