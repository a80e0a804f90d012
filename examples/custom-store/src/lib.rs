//! A session store of your own.
//!
//! ```console
//! $ cargo run -p custom-store          # an application with this store
//! $ cargo test -p custom-store         # the store against every clause of the contract
//! ```
//!
//! [`TableStore`] keeps records as bytes in a table of keys and values. The table here is a `BTreeMap`
//! behind a mutex, so that the example needs no database; put yours in its place. What the store asks
//! of it is one thing: to read and write **one key in one atomic step**. That is a transaction, a
//! compare-and-swap or a script in your database, and the mutex here. A database that cannot do it
//! cannot hold sessions.
//!
//! `tests/conformance.rs` has the one line that checks all of it.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionId, SessionStore,
    StoreError, StoreErrorKind, SystemClock, Timestamp, Version, Whose,
};

/// What stands for the database: bytes under keys. Clones share it.
pub type Table = Arc<Mutex<BTreeMap<SessionId, Bytes>>>;

/// Keeps sessions as bytes in a [`Table`].
///
/// It never collects what has expired: a database does that with a time to live or a nightly job. When
/// it does so is of no importance, since the times inside the record decide.
#[derive(Clone)]
pub struct TableStore {
    table: Table,
    clock: Arc<dyn Clock>,
}

impl TableStore {
    /// A store over a table.
    #[must_use]
    pub fn new(table: Table) -> Self {
        Self::with_clock(table, SystemClock)
    }

    /// The same, with the clock by which sessions expire: the conformance suite moves it.
    #[must_use]
    pub fn with_clock(table: Table, clock: impl Clock) -> Self {
        Self {
            table,
            clock: Arc::new(clock),
        }
    }

    /// The largest record, in bytes. Every store has such a limit; one that you know of fails in an
    /// orderly way.
    pub const MAX_RECORD_BYTES: usize = 1 << 20;
}

// Not derived: it would print every session.
impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableStore").finish_non_exhaustive()
    }
}

// No verb waits for anything while it holds the table, so none can be dropped half-way. A store that
// talks to a server sends one request per verb: dropped, it has happened or not.
impl SessionStore for TableStore {
    // The table is always up to date, so every demand for freshness is fulfilled.
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        let stored = self.table.lock().get(&id).cloned();
        let Some(stored) = stored else {
            return Ok(Load::Absent);
        };
        Ok(Load::judge(decode(id, stored)?, self.clock.now()))
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let encoded = encode(&record)?;
        let mut table = self.table.lock();
        Ok(match table.entry(record.id()) {
            Entry::Occupied(_) => Create::Exists,
            Entry::Vacant(free) => {
                free.insert(encoded);
                Create::Created
            }
        })
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let encoded = encode(&record)?;
        let mut table = self.table.lock();
        // From reading the version to writing the next one: this is the step that must be atomic.
        let Some(stored) = live(&table, record.id(), self.clock.now())? else {
            return Ok(Commit::Gone);
        };
        if stored.version() == record.version() {
            return Ok(Commit::Stored);
        }
        // Nobody else can have drawn this tag: it is this commit, whose answer was lost.
        if stored.lineage().contains(record.version()) {
            return Ok(Commit::Overtaken(stored));
        }
        if stored.version() != expected {
            return Ok(Commit::Conflict(stored));
        }
        table.insert(record.id(), encoded);
        Ok(Commit::Stored)
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let mut table = self.table.lock();
        let Some(stored) = live(&table, id, self.clock.now())? else {
            return Ok(Renewal::Gone);
        };
        if !whose.is(&stored) {
            return Ok(Renewal::Superseded);
        }
        let renewed = stored.clone().with_lease_end(lease_end);
        if renewed.lease_end() > stored.lease_end() {
            let seen_at = self.clock.now().max(stored.seen_at());
            table.insert(id, renewed.with_seen_at(seen_at).encode());
        }
        Ok(Renewal::Renewed(stored.version()))
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let mut table = self.table.lock();
        let Some(stored) = table.get(&id) else {
            return Ok(Delete::Absent);
        };
        // Not by way of `decode`: a session whose record is damaged can still be logged out.
        if !whose.is_stored_in(stored) {
            return Ok(Delete::Superseded);
        }
        table.remove(&id);
        Ok(Delete::Deleted)
    }
}

/// The record, if there is one that has not ended.
fn live(
    table: &BTreeMap<SessionId, Bytes>,
    id: SessionId,
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    let Some(stored) = table.get(&id) else {
        return Ok(None);
    };
    let record = decode(id, stored.clone())?;
    Ok(record.expiry(now).is_none().then_some(record))
}

fn encode(record: &Record) -> Result<Bytes, StoreError> {
    if record.encoded_len() > TableStore::MAX_RECORD_BYTES {
        return Err(StoreError::new(StoreErrorKind::TooLarge));
    }
    Ok(record.encode())
}

/// Bytes that are no record, or another session's, are a fault. To take them for "no session" would let
/// them be written over, and they may be the record of a later version of tenure.
fn decode(id: SessionId, stored: Bytes) -> Result<Record, StoreError> {
    let record = Record::decode(stored)
        .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
    if record.id() != id {
        return Err(StoreError::new(StoreErrorKind::Corrupt));
    }
    Ok(record)
}
