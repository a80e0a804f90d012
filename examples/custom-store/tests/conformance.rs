//! The store fulfils the storage contract, one test for each clause.

use bytes::Bytes;
use custom_store::{Table, TableStore};
use tenure_core::SessionId;
use tenure_testing::{Fixture, ManualClock, Planted, store_conformance};

struct TableFixture {
    store: TableStore,
    table: Table,
    clock: ManualClock,
}

impl TableFixture {
    fn new() -> Self {
        let (table, clock) = (Table::default(), ManualClock::new());
        Self {
            store: TableStore::with_clock(table.clone(), clock.clone()),
            table,
            clock,
        }
    }
}

impl Fixture for TableFixture {
    type Store = TableStore;

    fn store(&self) -> &TableStore {
        &self.store
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn max_record_bytes(&self) -> usize {
        TableStore::MAX_RECORD_BYTES
    }

    async fn plant(&self, id: SessionId, bytes: &[u8]) -> Planted {
        let bytes = Bytes::copy_from_slice(bytes);
        self.table.lock().insert(id, bytes);
        Planted::Stored
    }
}

store_conformance!(TableFixture::new());
