use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{AuditEntry, AuditError, AuditSink};

/// Writes the audit trail to the log: events of the target `tenure::audit` at the level info, one field `entry` with
/// the entry as JSON. As durable as the log is; where no subscriber takes them, nothing is done that has to be written down.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AuditTrace;

impl AuditTrace {
    /// The log.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl AuditSink for AuditTrace {
    async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        if !tracing::enabled!(target: "tenure::audit", tracing::Level::INFO) {
            return Err(AuditError::new(
                "no subscriber takes events of `tenure::audit`",
            ));
        }
        let entry = entry.to_json()?;
        tracing::info!(target: "tenure::audit", entry);
        Ok(())
    }
}

/// Appends the audit trail to a file: one entry a line, as JSON. An entry is on the disk before the action that it is
/// about. The file is made with mode 0600 where there are modes, and never shortened.
#[derive(Clone, Debug)]
pub struct AuditFile {
    file: Arc<Mutex<Lines>>,
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Whether the last line may not be whole.
    is_torn: bool,
}

impl AuditFile {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] if it cannot be opened for writing.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        Ok(Self {
            // One that a crash has torn must not take the next with it; an empty line harms nobody.
            file: Arc::new(Mutex::new(Lines {
                is_torn: file.metadata()?.len() > 0,
                file,
            })),
        })
    }
}

impl AuditSink for AuditFile {
    async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        let mut line = entry.to_json()?;
        line.push('\n');
        let file = Arc::clone(&self.file);
        let write = move || {
            let mut lines = file.lock();
            if std::mem::replace(&mut lines.is_torn, true) {
                line.insert(0, '\n');
            }
            lines.file.write_all(line.as_bytes())?;
            lines.file.sync_data()?;
            lines.is_torn = false;
            Ok::<_, io::Error>(())
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(AuditError::new)?.map_err(AuditError::new)
    }
}
