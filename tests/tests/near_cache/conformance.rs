//! Every clause of the storage contract and of that of the login index, around a Redis of its own each.

use tenure_core::{Freshness, SessionId, SessionStore};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{
    Fixture, ManualClock, Planted, RedisServer, index_conformance, store_conformance,
};

struct CacheFixture {
    cache: NearCache<RedisStore>,
    clock: ManualClock,
    server: RedisServer,
}

impl CacheFixture {
    async fn start() -> Self {
        let server = RedisServer::start();
        let clock = ManualClock::new();
        let store = RedisStore::builder(server.url())
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            .connect()
            .await
            .unwrap();
        Self {
            cache: NearCache::builder(store).clock(clock.clone()).build(),
            clock,
            server,
        }
    }
}

impl Fixture for CacheFixture {
    type Store = NearCache<RedisStore>;

    fn store(&self) -> &NearCache<RedisStore> {
        &self.cache
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, id: SessionId, bytes: &[u8]) -> Planted {
        let key = format!("tenure:{}", id.as_uuid());
        self.server.command(&[b"SET", key.as_bytes(), bytes]);
        // One round trip, behind which the report of the change has arrived.
        let _ = self.cache.load(id, Freshness::Latest).await;
        Planted::Stored
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

store_conformance!(CacheFixture::start().await);

mod index {
    use super::{CacheFixture, index_conformance};

    index_conformance!(CacheFixture::start().await);
}
