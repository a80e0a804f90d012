//! What goes wrong, in the words of whoever has to mend it.

use std::{fmt, path::PathBuf, time::Duration};

use rusqlite::ErrorCode;
use tenure_core::{StoreError, StoreErrorKind};

/// A store that could not be opened. Nothing was written, and nothing was created in the place of a file
/// that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The path is empty.
    #[error("the path of the session file is empty; for sessions in memory use `MemoryStore`")]
    EmptyPath,
    /// The deadline is not between a millisecond and a minute.
    #[error("a deadline of {deadline:?} is not between a millisecond and a minute")]
    #[non_exhaustive]
    Deadline {
        /// What was asked for.
        deadline: Duration,
    },
    /// The number of threads that read is not between 1 and 64.
    #[error("{readers} reading threads are not between 1 and 64")]
    #[non_exhaustive]
    Readers {
        /// What was asked for.
        readers: usize,
    },
    /// The number of calls that may wait is not between 1 and a million.
    #[error("{max_waiting} waiting calls are not between 1 and a million")]
    #[non_exhaustive]
    Waiting {
        /// What was asked for.
        max_waiting: usize,
    },
    /// The largest record is not between 1 KiB and 64 MiB.
    #[error("records of up to {max_record_bytes} bytes are not between 1 KiB and 64 MiB")]
    #[non_exhaustive]
    RecordBytes {
        /// What was asked for.
        max_record_bytes: usize,
    },
    /// The largest file is smaller than 64 KiB.
    #[error("a file of up to {max_file_bytes} bytes is too small; 64 KiB is the least")]
    #[non_exhaustive]
    FileBytes {
        /// What was asked for.
        max_file_bytes: u64,
    },
    /// The interval between two sweeps is not between a millisecond and a day.
    #[error("a sweep every {interval:?} is not between a millisecond and a day")]
    #[non_exhaustive]
    SweepInterval {
        /// What was asked for.
        interval: Duration,
    },
    /// The folder in which the file should lie does not exist.
    #[error("the folder of {path} does not exist; create it, or give another path")]
    #[non_exhaustive]
    MissingDirectory {
        /// The file.
        path: PathBuf,
    },
    /// The path is a folder's.
    #[error("{path} is a folder; give the path of a file in it")]
    #[non_exhaustive]
    IsDirectory {
        /// The folder.
        path: PathBuf,
    },
    /// The file or its folder cannot be written.
    #[error(
        "{path} or its folder cannot be written; this process's user needs the right to write both, since \
         SQLite keeps a log beside the file"
    )]
    #[non_exhaustive]
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The file is not an SQLite database, or is encrypted.
    #[error("{path} is not an SQLite database; give another path, or move the file away")]
    #[non_exhaustive]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is an SQLite database, and holds something else than sessions.
    #[error("{path} is the database of another application; sessions need a file of their own")]
    #[non_exhaustive]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by a later version of this crate.
    #[error(
        "{path} was written by a later version of tenure (schema {found}, and this version knows {known}); \
         run that version again, or give another path"
    )]
    #[non_exhaustive]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema's number in the file.
        found: i64,
        /// The latest that this version knows.
        known: i64,
    },
    /// The file is damaged.
    #[error(
        "{path} is damaged; put a backup in its place, or save what can be read with `sqlite3 {path} .recover`"
    )]
    #[non_exhaustive]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// There is no room for the file.
    #[error("there is no room for {path}; free some space")]
    #[non_exhaustive]
    Full {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another process holds the file locked.
    #[error("{path} is locked by another process; end its transaction, or the process")]
    #[non_exhaustive]
    Locked {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// The file system cannot hold a database with a write-ahead log: as a rule, it is a network's.
    #[error("{path} is on a file system without shared memory; SQLite needs a local disk")]
    #[non_exhaustive]
    NoWriteAheadLog {
        /// The file.
        path: PathBuf,
    },
    /// Any other error of SQLite's.
    #[error("SQLite cannot open {path}")]
    #[non_exhaustive]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Any other error of the operating system's.
    #[error("{path} cannot be opened")]
    #[non_exhaustive]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The operating system gave no thread.
    #[error("no thread could be started for the session store")]
    #[non_exhaustive]
    Thread {
        /// What the operating system says.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(crate) fn from_sqlite(path: PathBuf, source: rusqlite::Error) -> Self {
        match source.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseCorrupt) => Self::Damaged { path, source },
            Some(ErrorCode::DiskFull) => Self::Full { path, source },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Locked { path, source }
            }
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::ReadOnly { path },
            _ => Self::Sqlite { path, source },
        }
    }

    pub(crate) fn from_io(path: PathBuf, source: std::io::Error) -> Self {
        use std::io::ErrorKind;

        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Self::MissingDirectory { path },
            ErrorKind::IsADirectory => Self::IsDirectory { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Io { path, source },
        }
    }
}

/// What SQLite said, and what to do about it: the source of a [`StoreError`].
#[derive(Debug)]
struct Fault {
    advice: &'static str,
    source: rusqlite::Error,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { advice, source } = self;
        write!(f, "{source}; {advice}")
    }
}

// Without a source of its own: it is in the text already.
impl std::error::Error for Fault {}

/// A fault of a statement, or of beginning a transaction: nothing was written.
pub(crate) fn fault(source: rusqlite::Error) -> StoreError {
    let (kind, advice) = match source.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            StoreErrorKind::Unavailable,
            "another process holds the session file locked: end its transaction",
        ),
        Some(ErrorCode::DiskFull) => (
            StoreErrorKind::Full,
            "the disk of the session file is full: free some space",
        ),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => (
            StoreErrorKind::Refused,
            "the session file or its folder cannot be written: give this process the right to",
        ),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => (
            StoreErrorKind::Corrupt,
            "the session file is damaged: put a backup in its place",
        ),
        Some(ErrorCode::TooBig) => (
            StoreErrorKind::TooLarge,
            "the record is larger than SQLite accepts",
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => (
            StoreErrorKind::Unavailable,
            "the session file cannot be read or written: look at its disk, and whether it is still there",
        ),
        Some(ErrorCode::OutOfMemory | ErrorCode::OperationInterrupted) => {
            (StoreErrorKind::Unavailable, "it may work the next time")
        }
        _ => (
            StoreErrorKind::Refused,
            "the session file does not do what its schema promises",
        ),
    };
    StoreError::with_source(kind, Fault { advice, source })
}

/// A fault of ending a transaction, whose pages may have been written.
pub(crate) fn fault_of_commit(source: rusqlite::Error) -> StoreError {
    if is_full(&source) {
        // The page that makes a transaction valid is written last, so it was not.
        return fault(source);
    }
    let advice = "whether the transaction will be found after a crash is not known";
    StoreError::with_source(StoreErrorKind::Interrupted, Fault { advice, source })
}

pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Whether a connection that has come upon it may never work again.
pub(crate) fn ends_connection(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

pub(crate) fn corrupt(what: &'static str) -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, what)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use rusqlite::ffi;

    use super::*;

    fn sqlite(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn faults_are_of_the_kind_that_sqlite_tells_of_and_say_what_to_do() {
        let rows = [
            (
                ffi::SQLITE_BUSY,
                StoreErrorKind::Unavailable,
                "end its transaction",
            ),
            (
                ffi::SQLITE_BUSY_SNAPSHOT,
                StoreErrorKind::Unavailable,
                "locked",
            ),
            (ffi::SQLITE_FULL, StoreErrorKind::Full, "free some space"),
            (ffi::SQLITE_READONLY, StoreErrorKind::Refused, "right to"),
            (ffi::SQLITE_CORRUPT, StoreErrorKind::Corrupt, "backup"),
            (ffi::SQLITE_NOTADB, StoreErrorKind::Corrupt, "backup"),
            (ffi::SQLITE_TOOBIG, StoreErrorKind::TooLarge, "larger"),
            (ffi::SQLITE_IOERR_READ, StoreErrorKind::Unavailable, "disk"),
            (
                ffi::SQLITE_CANTOPEN,
                StoreErrorKind::Unavailable,
                "still there",
            ),
            (ffi::SQLITE_NOMEM, StoreErrorKind::Unavailable, "next time"),
            (ffi::SQLITE_CONSTRAINT, StoreErrorKind::Refused, "schema"),
        ];
        for (code, kind, advice) in rows {
            let error = fault(sqlite(code));
            assert_eq!(error.kind(), kind, "{code}");
            assert!(!error.outcome_unknown(), "{code}");
            let shown = error.source().unwrap().to_string();
            assert!(shown.contains(advice), "{code}: {shown}");
        }
    }

    #[test]
    fn a_failed_end_of_a_transaction_leaves_the_outcome_unknown_unless_there_was_no_room_for_it() {
        let failed = fault_of_commit(sqlite(ffi::SQLITE_IOERR_FSYNC));
        assert_eq!(failed.kind(), StoreErrorKind::Interrupted);
        assert!(failed.outcome_unknown());
        let full = fault_of_commit(sqlite(ffi::SQLITE_FULL));
        assert_eq!(full.kind(), StoreErrorKind::Full);
        assert!(!full.outcome_unknown());
    }
}
