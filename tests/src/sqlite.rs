//! A session file of a test's own.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use rusqlite::Connection;
use tempfile::TempDir;

/// A path in a folder of its own, which is removed with it.
#[derive(Debug)]
pub struct SqliteFile {
    path: PathBuf,
    _folder: TempDir,
}

impl SqliteFile {
    /// A path at which there is no file yet.
    #[must_use]
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            path: folder.path().join("sessions.db"),
            _folder: folder,
        }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many sessions the file holds.
    #[must_use]
    pub fn sessions(&self) -> usize {
        let count = "SELECT count(*) FROM sessions";
        let count: i64 = self.ask(count);
        usize::try_from(count).expect("a number of rows")
    }

    /// Whether SQLite finds the file sound from end to end.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let verdict: String = self.ask("PRAGMA integrity_check");
        verdict == "ok"
    }

    fn ask<T: rusqlite::types::FromSql>(&self, question: &str) -> T {
        let connection = Connection::open(&self.path).expect("a database");
        let answer = connection.query_row(question, (), |row| row.get(0));
        answer.expect("an answer")
    }
}

impl Default for SqliteFile {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for SqliteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}
