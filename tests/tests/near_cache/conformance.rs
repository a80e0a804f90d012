//! Every clause of the storage contract and of that of the login index, around servers of its own each.

use std::time::Duration;

use tenure_core::{Freshness, SessionId, SessionStore};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::{
    Fixture, ManualClock, Planted, Program, RedisCluster, RedisSentinels, RedisServer,
    index_conformance, store_conformance,
};

struct CacheFixture {
    cache: NearCache<RedisStore>,
    clock: ManualClock,
    servers: Servers,
}

enum Servers {
    One(RedisServer),
    Watched(RedisSentinels),
    Cluster(RedisCluster),
}

impl CacheFixture {
    async fn start(servers: Servers) -> Self {
        let url = match &servers {
            Servers::One(server) => server.url(),
            Servers::Watched(watched) => watched.url(),
            Servers::Cluster(cluster) => cluster.url(),
        };
        let clock = ManualClock::new();
        let store = RedisStore::builder(url)
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
        Self::start(Servers::One(RedisServer::start_program(program, &[]))).await
    }

    async fn watched() -> Self {
        let watched = RedisSentinels::builder().replicas(0);
        Self::start(Servers::Watched(watched.start())).await
    }

    async fn cluster(program: Program) -> Self {
        let cluster = RedisCluster::builder().program(program).replicas(0);
        Self::start(Servers::Cluster(cluster.start())).await
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
        let server = match &self.servers {
            Servers::One(server) => server,
            Servers::Watched(watched) => &watched.nodes()[0],
            Servers::Cluster(cluster) => &cluster.nodes()[cluster.owner(cluster.slot(&key))],
        };
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

mod redis_sentinel {
    use super::*;
    store_conformance!(CacheFixture::watched().await);

    mod index {
        use super::*;
        index_conformance!(CacheFixture::watched().await);
    }
}

mod redis_cluster {
    use super::*;
    store_conformance!(CacheFixture::cluster(Program::Redis).await);

    mod index {
        use super::*;
        index_conformance!(CacheFixture::cluster(Program::Redis).await);
    }
}

mod valkey_cluster {
    use super::*;
    store_conformance!(CacheFixture::cluster(Program::Valkey).await);

    mod index {
        use super::*;
        index_conformance!(CacheFixture::cluster(Program::Valkey).await);
    }
}
