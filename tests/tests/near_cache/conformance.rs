//! Every clause of the storage contract and of that of the login index, around servers of its own each.

use std::{sync::Arc, time::Duration};

use tenure_core::{Freshness, SessionId, SessionStore};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{
    Fixture, ManualClock, Planted, Program, RedisDeployment, index_conformance,
    index_conformance_on, store_conformance, store_conformance_on,
};

struct CacheFixture {
    cache: NearCache<RedisStore>,
    clock: ManualClock,
    servers: Arc<RedisDeployment>,
}

impl CacheFixture {
    async fn start(servers: Arc<RedisDeployment>) -> Self {
        let clock = ManualClock::new();
        let store = RedisStore::builder(servers.url())
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            // More than a busy machine needs.
            .deadline(Duration::from_secs(10))
            .connect()
            .await
            .unwrap();
        Self {
            cache: NearCache::builder(store).clock(clock.clone()).build(),
            clock,
            servers,
        }
    }

    async fn single(program: Program) -> Self {
        Self::start(Arc::new(RedisDeployment::single(program))).await
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
        let server = self.servers.holder(&key);
        server.command(&[b"SET", key.as_bytes(), bytes]);
        // One round trip, behind which the report of the change has arrived.
        let _ = self.cache.load(id, Freshness::Latest).await;
        Planted::Stored
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

mod redis {
    use super::*;
    store_conformance!(CacheFixture::single(Program::Redis).await);

    mod index {
        use super::*;
        index_conformance!(CacheFixture::single(Program::Redis).await);
    }
}

mod valkey {
    use super::*;
    store_conformance!(CacheFixture::single(Program::Valkey).await);

    mod index {
        use super::*;
        index_conformance!(CacheFixture::single(Program::Valkey).await);
    }
}

// Clusters and sentinels take seconds to start, so all clauses share one.
store_conformance_on!(
    sentinel,
    servers = Arc::new(RedisDeployment::sentinels()),
    CacheFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_sentinel,
    servers = Arc::new(RedisDeployment::sentinels()),
    CacheFixture::start(Arc::clone(&servers)).await
);
store_conformance_on!(
    cluster,
    servers = Arc::new(RedisDeployment::cluster(Program::Redis)),
    CacheFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_cluster,
    servers = Arc::new(RedisDeployment::cluster(Program::Redis)),
    CacheFixture::start(Arc::clone(&servers)).await
);
store_conformance_on!(
    valkey_cluster,
    servers = Arc::new(RedisDeployment::cluster(Program::Valkey)),
    CacheFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_valkey_cluster,
    servers = Arc::new(RedisDeployment::cluster(Program::Valkey)),
    CacheFixture::start(Arc::clone(&servers)).await
);
