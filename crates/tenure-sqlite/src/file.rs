//! The file: created, recognised, brought to this version's schema, and connected to.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tenure_core::{StoreError, StoreErrorKind};
use tokio::time::Instant;

use crate::{Durability, OpenError, error::fault};

/// Where the sessions are, and how to connect to them.
#[derive(Clone, Debug)]
pub(crate) struct File {
    path: PathBuf,
    durability: Durability,
    /// How long SQLite waits for locks that it holds for moments only.
    patience: Duration,
    max_bytes: Option<u64>,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Writing,
    Reading,
}

impl File {
    pub(crate) fn new(
        path: &Path,
        durability: Durability,
        patience: Duration,
        max_bytes: Option<u64>,
    ) -> Result<Self, OpenError> {
        if path.as_os_str().is_empty() {
            return Err(OpenError::EmptyPath);
        }
        // The process may change its folder later on. And so SQLite takes no name for one of its special ones,
        // such as `:memory:`.
        let absolute = std::path::absolute(path);
        let path = absolute.map_err(|error| OpenError::from_io(path.to_owned(), error))?;
        Ok(Self {
            path,
            durability,
            patience,
            max_bytes,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the file if it is not there, brings it up to date, and connects to it.
    pub(crate) fn open(&self) -> Result<Connection, OpenError> {
        create_if_missing(&self.path)
            .map_err(|error| OpenError::from_io(self.path.clone(), error))?;
        let until = Instant::now() + OPENING.max(self.patience);
        loop {
            match self.prepare() {
                // SQLite itself does not wait for every lock of another process that opens the same file.
                Err(OpenError::Locked { .. }) if Instant::now() < until => thread::sleep(PAUSE),
                outcome => return outcome,
            }
        }
    }

    fn prepare(&self) -> Result<Connection, OpenError> {
        let refused = |error| OpenError::from_sqlite(self.path.clone(), error);
        let mut connection = connect(&self.path).map_err(refused)?;
        connection.busy_timeout(self.patience).map_err(refused)?;
        self.recognise(&connection)?;
        let mode: String = connection
            .pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))
            .map_err(refused)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(OpenError::NoWriteAheadLog {
                path: self.path.clone(),
            });
        }
        self.tune(&connection, Purpose::Writing).map_err(refused)?;
        migrate(&mut connection).map_err(refused)?;
        // Another process may have been faster, with a later version of this crate.
        self.recognise(&connection)?;
        Ok(connection)
    }

    /// Connects once more to the file that was opened before. Never creates one: where sessions were, no
    /// empty file may take their place.
    pub(crate) fn connect(&self, purpose: Purpose) -> Result<Connection, StoreError> {
        let connection = connect(&self.path).map_err(fault)?;
        connection.busy_timeout(self.patience).map_err(fault)?;
        if marks(&connection).map_err(fault)? != (APPLICATION, SCHEMA) {
            let replaced = "the session file was replaced by another one: start this process again";
            return Err(StoreError::with_source(StoreErrorKind::Refused, replaced));
        }
        self.tune(&connection, purpose).map_err(fault)?;
        Ok(connection)
    }

    fn tune(&self, connection: &Connection, purpose: Purpose) -> rusqlite::Result<()> {
        connection.pragma_update(None, "synchronous", self.durability.pragma())?;
        // Triggers or views that somebody has put there must not call functions with effects.
        connection.pragma_update(None, "trusted_schema", false)?;
        // Damage shows where it is read, and does not spread.
        connection.pragma_update(None, "cell_size_check", true)?;
        // 16 MiB of log before its pages go to the file: the commit that has to move them waits for two more
        // writes to the disk. What the log's file has beyond 64 MiB is given back.
        connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        if let Some(max_bytes) = self.max_bytes {
            let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            // SQLite's own limit is 2^32 - 2 pages.
            let pages = (max_bytes / u64::from(page)).min(u64::from(u32::MAX - 1));
            connection.pragma_update(
                None,
                "max_page_count",
                i64::try_from(pages).unwrap_or(i64::MAX),
            )?;
        }
        match purpose {
            // Negative: in KiB. The writer's cache outlives its transactions, as long as no other process writes.
            Purpose::Writing => connection.pragma_update(None, "cache_size", -(32 << 10)),
            Purpose::Reading => {
                // A reader's cache is void after every commit; the pages are still in the operating system's.
                connection.pragma_update(None, "cache_size", -(4 << 10))?;
                connection.pragma_update(None, "query_only", true)
            }
        }
    }

    fn recognise(&self, connection: &Connection) -> Result<(), OpenError> {
        let refused = |error| OpenError::from_sqlite(self.path.clone(), error);
        let path = || self.path.clone();
        let (application, found) = marks(connection).map_err(refused)?;
        let is_new = || {
            connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", (), |row| {
                row.get(0)
            })
        };
        match application {
            APPLICATION if found > SCHEMA => Err(OpenError::NewerSchema {
                path: path(),
                found,
                known: SCHEMA,
            }),
            APPLICATION => Ok(()),
            0 if found == 0 && is_new().map_err(refused)? => Ok(()),
            _ => Err(OpenError::Foreign { path: path() }),
        }
    }
}

/// Readable and writable by the owner alone: values may be anything. SQLite gives its log the same rights.
fn create_if_missing(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        outcome => return outcome.map(drop),
    }
    options.create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // By another process, in between.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// No `SQLITE_OPEN_CREATE` and no `SQLITE_OPEN_URI`: a path is a path, and what is missing is missing.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

fn marks(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let application = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let schema = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((application, schema))
}

fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    if marks(connection)? == (APPLICATION, SCHEMA) {
        return Ok(());
    }
    // Of several processes that come at once, one does it and the others find it done.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if marks(&transaction)? == (0, 0) {
        transaction.execute_batch(include_str!("schema.sql"))?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", SCHEMA)?;
    }
    transaction.commit()
}

/// "tnur", by which `file` and this crate know a file of sessions.
const APPLICATION: i64 = 0x746e_7572;

const SCHEMA: i64 = 1;

/// As long as a process that has the file takes to recover a long log after a crash, and some more.
const OPENING: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(5);
