//! A store that costs what decoding costs.

use bytes::Bytes;
use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionId, SessionStore,
    StoreError, SystemClock, Timestamp, Version, Whose,
};
use tenure_testing::records;

/// A store that has a session under every id, and keeps none of them: it decodes each from bytes, as one
/// behind a network does.
#[derive(Clone, Debug)]
pub struct OneRecord {
    encoded: Bytes,
}

impl OneRecord {
    /// Sessions that are stored in that many bytes each.
    #[must_use]
    pub fn of_bytes(bytes: usize) -> Self {
        let record = records::padded(&records::fresh(SystemClock.now()), bytes);
        let encoded = record.encode();
        Self { encoded }
    }

    /// One of the sessions.
    #[must_use]
    pub fn another(&self) -> Record {
        self.decode(records::random_id())
    }

    /// The id lies at a fixed place; see `docs/record-format.md`.
    fn decode(&self, id: SessionId) -> Record {
        let mut bytes = self.encoded.to_vec();
        bytes[2..18].copy_from_slice(id.as_bytes());
        Record::decode(bytes.into()).expect("a record")
    }
}

impl SessionStore for OneRecord {
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        Ok(Load::Found(self.decode(id)))
    }

    async fn create(&self, _: Record) -> Result<Create, StoreError> {
        Ok(Create::Created)
    }

    async fn commit(&self, _: Version, _: Record) -> Result<Commit, StoreError> {
        Ok(Commit::Stored)
    }

    async fn renew(&self, id: SessionId, _: Whose, _: Timestamp) -> Result<Renewal, StoreError> {
        Ok(Renewal::Renewed(self.decode(id).version()))
    }

    async fn delete(&self, _: SessionId, _: Whose) -> Result<Delete, StoreError> {
        Ok(Delete::Deleted)
    }
}
