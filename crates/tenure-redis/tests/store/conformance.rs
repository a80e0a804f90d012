//! Every clause of the storage contract and of that of the login index, on each kind of server, each on servers of its own.

use std::{sync::Arc, time::Duration};

use tenure_core::SessionId;
use tenure_redis::RedisStore;
use tenure_testing::{
    Fixture, ManualClock, Planted, Program, RedisCluster, RedisSentinels, RedisServer,
    index_conformance, index_conformance_on, store_conformance, store_conformance_on,
};

struct RedisFixture {
    store: RedisStore,
    clock: ManualClock,
    servers: Arc<Servers>,
}

enum Servers {
    One(RedisServer),
    Watched(RedisSentinels),
    Cluster(RedisCluster),
}

impl RedisFixture {
    async fn start(servers: Arc<Servers>) -> Self {
        let clock = ManualClock::new();
        let url = match &*servers {
            Servers::One(server) => server.url(),
            Servers::Watched(watched) => watched.url(),
            Servers::Cluster(cluster) => cluster.url(),
        };
        let store = RedisStore::builder(url)
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            // More than a busy machine needs.
            .deadline(Duration::from_secs(10))
            .connect()
            .await
            .unwrap();
        Self {
            store,
            clock,
            servers,
        }
    }

    async fn single(program: Program) -> Self {
        let server = RedisServer::start_program(program, &[]);
        Self::start(Arc::new(Servers::One(server))).await
    }
}

impl Servers {
    /// What replicas are for is not part of the contract.
    fn watched() -> Arc<Self> {
        let watched = RedisSentinels::builder().replicas(0);
        Arc::new(Self::Watched(watched.start()))
    }

    fn cluster(program: Program) -> Arc<Self> {
        let cluster = RedisCluster::builder().program(program).replicas(0);
        Arc::new(Self::Cluster(cluster.start()))
    }
}

impl Fixture for RedisFixture {
    type Store = RedisStore;

    fn store(&self) -> &RedisStore {
        &self.store
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, id: SessionId, bytes: &[u8]) -> Planted {
        let key = format!("tenure:{}", id.as_uuid());
        let server = match &*self.servers {
            Servers::One(server) => server,
            Servers::Watched(watched) => &watched.nodes()[0],
            Servers::Cluster(cluster) => &cluster.nodes()[cluster.owner(cluster.slot(&key))],
        };
        server.command(&[b"SET", key.as_bytes(), bytes]);
        Planted::Stored
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

mod redis {
    use super::*;
    store_conformance!(RedisFixture::single(Program::Redis).await);

    mod index {
        use super::*;
        index_conformance!(RedisFixture::single(Program::Redis).await);
    }
}

mod valkey {
    use super::*;
    store_conformance!(RedisFixture::single(Program::Valkey).await);

    mod index {
        use super::*;
        index_conformance!(RedisFixture::single(Program::Valkey).await);
    }
}

// Clusters and sentinels take seconds to start, so all clauses share one.
store_conformance_on!(
    sentinel,
    servers = Servers::watched(),
    RedisFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_sentinel,
    servers = Servers::watched(),
    RedisFixture::start(Arc::clone(&servers)).await
);
store_conformance_on!(
    cluster,
    servers = Servers::cluster(Program::Redis),
    RedisFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_cluster,
    servers = Servers::cluster(Program::Redis),
    RedisFixture::start(Arc::clone(&servers)).await
);
store_conformance_on!(
    valkey_cluster,
    servers = Servers::cluster(Program::Valkey),
    RedisFixture::start(Arc::clone(&servers)).await
);
index_conformance_on!(
    index_on_valkey_cluster,
    servers = Servers::cluster(Program::Valkey),
    RedisFixture::start(Arc::clone(&servers)).await
);
