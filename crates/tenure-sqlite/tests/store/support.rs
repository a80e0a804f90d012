//! A store on a file of its own, and a second way to that file.

use std::{path::PathBuf, time::Duration};

use rusqlite::Connection;
use tempfile::TempDir;
use tenure_core::{Clock, Create, Freshness, Load, Record, SessionStore, Timestamp};
use tenure_sqlite::{SqliteStore, SqliteStoreBuilder};
use tenure_testing::{ManualClock, records};

/// A folder with a session file in it, which goes when the test does.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) clock: ManualClock,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: ManualClock::new(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sessions.db")
    }

    /// What SQLite keeps beside the file.
    pub(crate) fn beside(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("sessions.db{suffix}"))
    }

    pub(crate) fn builder(&self) -> SqliteStoreBuilder {
        // Longer than a busy machine takes, so that no test depends on its speed.
        SqliteStore::builder(self.path())
            .deadline(Duration::from_secs(20))
            .clock(self.clock.clone())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.builder().open().await.unwrap()
    }

    /// Another process, as far as SQLite can tell.
    pub(crate) fn other(&self) -> Connection {
        let other = Connection::open(self.path()).unwrap();
        other.busy_timeout(Duration::from_secs(20)).unwrap();
        other
    }

    pub(crate) fn clock_after(&self, span: Duration) -> Timestamp {
        self.clock.now().after(span)
    }

    pub(crate) fn fresh(&self) -> Record {
        records::fresh(self.clock.now())
    }

    /// A session that was just created.
    pub(crate) async fn live(&self, store: &SqliteStore) -> Record {
        let record = self.fresh();
        assert_eq!(store.create(record.clone()).await.unwrap(), Create::Created);
        record
    }

    /// How many sessions the file holds.
    pub(crate) fn rows(&self) -> i64 {
        let count = "SELECT count(*) FROM sessions";
        self.other().query_row(count, (), |row| row.get(0)).unwrap()
    }
}

/// Asserts that exactly this is stored.
pub(crate) async fn holds(store: &SqliteStore, record: &Record) {
    let loaded = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(loaded.unwrap(), Load::Found(record.clone()));
}

/// Asserts that nothing is stored under the record's id.
pub(crate) async fn lacks(store: &SqliteStore, record: &Record) {
    let loaded = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(loaded.unwrap(), Load::Absent);
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not within 20 s: {what}");
}

/// The identifier of a session in SQL.
pub(crate) fn quoted(record: &Record) -> String {
    let digits = record.id().as_uuid().simple().to_string();
    format!("x'{digits}'")
}
