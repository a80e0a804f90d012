//! Every clause of the storage contract and of that of the login index, each on a server of its own.

use tenure_core::SessionId;
use tenure_redis::RedisStore;
use tenure_testing::{
    Fixture, ManualClock, Planted, RedisServer, index_conformance, store_conformance,
};

struct RedisFixture {
    store: RedisStore,
    clock: ManualClock,
    server: RedisServer,
}

impl RedisFixture {
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
            store,
            clock,
            server,
        }
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
        self.server.command(&[b"SET", key.as_bytes(), bytes]);
        Planted::Stored
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

store_conformance!(RedisFixture::start().await);

mod index {
    use super::{RedisFixture, index_conformance};

    index_conformance!(RedisFixture::start().await);
}
