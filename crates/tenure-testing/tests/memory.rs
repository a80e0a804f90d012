//! The store that comes with tenure-core fulfils the storage contract, and that of the login index.

use tenure_core::{MemoryStore, SessionId};
use tenure_testing::{Fixture, ManualClock, Planted, index_conformance, store_conformance};

struct MemoryFixture {
    store: MemoryStore,
    clock: ManualClock,
}

impl MemoryFixture {
    fn start() -> Self {
        let clock = ManualClock::new();
        let store = MemoryStore::builder()
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            .build();
        Self { store, clock }
    }
}

impl Fixture for MemoryFixture {
    type Store = MemoryStore;

    fn store(&self) -> &MemoryStore {
        &self.store
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

store_conformance!(MemoryFixture::start());

mod index {
    use super::{MemoryFixture, index_conformance};

    index_conformance!(MemoryFixture::start());
}
