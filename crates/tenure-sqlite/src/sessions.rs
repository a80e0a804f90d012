//! The verbs, in terms of SQL, inside of a transaction that somebody else begins and ends.

use std::cell::Cell;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, types::ValueRef};
use tenure_core::{
    Commit, Create, Delete, Load, Record, Renewal, SessionId, StoreError, Timestamp, Version, Whose,
};

use crate::error::{corrupt, ends_connection, fault};

/// The table, through one connection, at one time.
pub(crate) struct Sessions<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) now: Timestamp,
    broken: Cell<bool>,
}

/// A stored session, and where it is.
struct Row {
    rowid: i64,
    sweep_at: i64,
    record: Bytes,
}

impl<'a> Sessions<'a> {
    pub(crate) const fn new(connection: &'a Connection, now: Timestamp) -> Self {
        Self {
            connection,
            now,
            broken: Cell::new(false),
        }
    }

    /// Whether something has happened after which the connection may never work again.
    pub(crate) fn have_broken(&self) -> bool {
        self.broken.get()
    }

    pub(crate) fn load(&self, id: SessionId) -> Result<Load, StoreError> {
        let Some(row) = self.find(id)? else {
            return Ok(Load::Absent);
        };
        Ok(Load::judge(decode(id, row.record)?, self.now))
    }

    pub(crate) fn create(&self, record: &Record, encoded: &[u8]) -> Result<Create, StoreError> {
        let sql = "INSERT INTO sessions (id, sweep_at, record) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO NOTHING";
        let written = self.execute(
            sql,
            (record.id().as_bytes(), millis(record.lease_end()), encoded),
        )?;
        Ok(if written == 1 {
            Create::Created
        } else {
            Create::Exists
        })
    }

    pub(crate) fn commit(
        &self,
        expected: Version,
        record: &Record,
        encoded: &[u8],
    ) -> Result<Commit, StoreError> {
        let Some(row) = self.find(record.id())? else {
            return Ok(Commit::Gone);
        };
        let stored = decode(record.id(), row.record)?;
        if stored.expiry(self.now).is_some() {
            return Ok(Commit::Gone);
        }
        if stored.version() != expected {
            return Ok(if stored.version() == record.version() {
                Commit::Stored
            } else if stored.lineage().contains(record.version()) {
                Commit::Overtaken(stored)
            } else {
                Commit::Conflict(stored)
            });
        }
        self.replace(row.rowid, row.sweep_at, record, encoded)?;
        Ok(Commit::Stored)
    }

    pub(crate) fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let Some(row) = self.find(id)? else {
            return Ok(Renewal::Gone);
        };
        let stored = decode(id, row.record)?;
        if stored.expiry(self.now).is_some() {
            return Ok(Renewal::Gone);
        }
        if !whose.is(&stored) {
            return Ok(Renewal::Superseded);
        }
        let renewed = stored.clone().with_lease_end(lease_end);
        if renewed.lease_end() > stored.lease_end() {
            let renewed = renewed.with_seen_at(self.now.max(stored.seen_at()));
            self.replace(row.rowid, row.sweep_at, &renewed, &renewed.encode())?;
        }
        Ok(Renewal::Renewed(stored.version()))
    }

    pub(crate) fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let Some(row) = self.find(id)? else {
            return Ok(Delete::Absent);
        };
        // By the bytes, so that a session can be ended whose record is damaged or of a later version.
        if !whose.is_stored_in(&row.record) {
            return Ok(Delete::Superseded);
        }
        self.execute("DELETE FROM sessions WHERE rowid = ?1", [row.rowid])?;
        Ok(Delete::Deleted)
    }

    /// Some of the sessions at which it is time to look whether they have ended, and of the rolls that can be
    /// dropped.
    pub(crate) fn due(&self, most: usize) -> Result<Due, StoreError> {
        let sql = "SELECT rowid, sweep_at, record FROM sessions WHERE sweep_at <= ?1 ORDER BY sweep_at LIMIT ?2";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_map([millis(self.now), most], row)?.collect());
        Ok(Due {
            sessions: self.noted(due)?,
            rolls: self.rolls_that_are_over(most)?,
        })
    }

    /// Removes what has ended, and enters the other sessions again.
    pub(crate) fn sweep(&self, due: Due) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        for number in due.rolls {
            swept.seen += 1;
            self.drop_roll(number)?;
        }
        for row in due.sessions {
            swept.seen += 1;
            let again = match Record::decode(row.record) {
                Ok(record) if record.expiry(self.now).is_some() => {
                    self.execute("DELETE FROM sessions WHERE rowid = ?1", [row.rowid])?;
                    swept.removed += 1;
                    continue;
                }
                Ok(record) => millis(record.lease_end()),
                // Perhaps a later version's, in the middle of a rolling deployment: not ours to remove.
                Err(_) => millis(self.now).saturating_add(UNREADABLE_AGAIN_MILLIS),
            };
            let sql = "UPDATE sessions SET sweep_at = ?2 WHERE rowid = ?1";
            self.execute(sql, [row.rowid, again])?;
        }
        Ok(swept)
    }

    /// Several writes that happen together or not at all, beside what else is in the transaction.
    pub(crate) fn atomically(
        &self,
        writes: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.noted(self.connection.execute_batch("SAVEPOINT verb"))?;
        let outcome = writes();
        let end = match outcome {
            Ok(()) => "RELEASE verb",
            Err(_) => "ROLLBACK TO verb; RELEASE verb",
        };
        // If SQLite has rolled everything back, there is no savepoint any more, and the first fault is what
        // matters.
        outcome.and(self.noted(self.connection.execute_batch(end)))
    }

    fn find(&self, id: SessionId) -> Result<Option<Row>, StoreError> {
        let sql = "SELECT rowid, sweep_at, record FROM sessions WHERE id = ?1";
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut select| select.query_row([id.as_bytes()], row).optional());
        self.noted(found)
    }

    fn replace(
        &self,
        rowid: i64,
        sweep_at: i64,
        record: &Record,
        encoded: &[u8],
    ) -> Result<(), StoreError> {
        let due = millis(record.lease_end());
        if due < sweep_at {
            let sql = "UPDATE sessions SET record = ?2, sweep_at = ?3 WHERE rowid = ?1";
            self.execute(sql, (rowid, encoded, due))?;
        } else {
            let sql = "UPDATE sessions SET record = ?2 WHERE rowid = ?1";
            self.execute(sql, (rowid, encoded))?;
        }
        Ok(())
    }

    pub(crate) fn execute(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<usize, StoreError> {
        let changed = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(values));
        self.noted(changed)
    }

    pub(crate) fn noted<T>(&self, outcome: rusqlite::Result<T>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            if ends_connection(&error) {
                self.broken.set(true);
            }
            fault(error)
        })
    }
}

/// What a sweep has to look at.
pub(crate) struct Due {
    sessions: Vec<Row>,
    rolls: Vec<i64>,
}

impl Due {
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.rolls.is_empty()
    }
}

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Sessions and rolls.
    pub(crate) seen: usize,
    /// Sessions.
    pub(crate) removed: usize,
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let record = match row.get_ref(2)? {
        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => Bytes::copy_from_slice(bytes),
        // Nothing that this crate has written, and no record.
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Bytes::new(),
    };
    Ok(Row {
        rowid: row.get(0)?,
        sweep_at: row.get(1)?,
        record,
    })
}

fn decode(id: SessionId, stored: Bytes) -> Result<Record, StoreError> {
    let record = Record::decode(stored)
        .map_err(|error| StoreError::with_source(tenure_core::StoreErrorKind::Corrupt, error))?;
    // Whatever mixed the rows up: nobody gets another's session.
    if record.id() != id {
        return Err(corrupt("the record is another session's"));
    }
    Ok(record)
}

/// SQLite's integers have a sign. The end of time is as good as any time after it.
pub(crate) fn millis(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A day: often enough to collect what an older version left behind, once this is a newer one.
const UNREADABLE_AGAIN_MILLIS: i64 = 24 * 60 * 60 * 1000;
