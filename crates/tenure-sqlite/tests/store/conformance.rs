//! Every clause of the storage contract, each on a file of its own.

use tenure_core::SessionId;
use tenure_sqlite::{Durability, SqliteStore};
use tenure_testing::{Fixture, ManualClock, Planted, index_conformance, store_conformance};

use crate::support::Place;

struct SqliteFixture {
    store: SqliteStore,
    place: Place,
}

impl SqliteFixture {
    async fn start() -> Self {
        Self::with(Durability::PowerLoss).await
    }

    async fn with(durability: Durability) -> Self {
        let place = Place::new();
        let store = place.builder().max_record_bytes(MAX_RECORD_BYTES);
        let store = store.durability(durability);
        Self {
            store: store.open().await.unwrap(),
            place,
        }
    }
}

impl Fixture for SqliteFixture {
    type Store = SqliteStore;

    fn store(&self) -> &SqliteStore {
        &self.store
    }

    fn clock(&self) -> &ManualClock {
        &self.place.clock
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, id: SessionId, bytes: &[u8]) -> Planted {
        let insert = "INSERT OR REPLACE INTO sessions (id, sweep_at, record) VALUES (?1, ?2, ?3)";
        let values = (id.as_bytes(), i64::MAX, bytes);
        self.place.other().execute(insert, values).unwrap();
        Planted::Stored
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

store_conformance!(SqliteFixture::start().await);

mod index {
    use super::{Durability, SqliteFixture, index_conformance};

    // Some clauses make thousands of logins, one after the other.
    index_conformance!(SqliteFixture::with(Durability::ProcessCrash).await);
}
