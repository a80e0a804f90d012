//! Those whom a manager tells of what it does, and who can be asked about it.

use std::{mem::take, sync::Arc};

use parking_lot::Mutex;
use tenure_core::{AuditEntry, AuditError, AuditSink, Observer, SessionEvent, SessionEventKind};

/// What happened, and to whom.
pub type Told = (SessionEventKind, Option<String>);

/// An observer that writes down what it is told.
#[derive(Clone, Debug, Default)]
pub struct Notes(Arc<Mutex<Vec<Told>>>);

impl Notes {
    /// Forgets what was told so far.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// What was told since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Told> {
        take(&mut self.0.lock())
    }
}

impl Observer for Notes {
    fn observe(&self, event: &SessionEvent<'_>) {
        let user = event.user.map(|user| user.as_str().to_owned());
        self.0.lock().push((event.kind, user));
    }
}

/// An audit trail in memory, which keeps entries until it is told to fail.
#[derive(Clone, Debug, Default)]
pub struct Trail(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    entries: Vec<AuditEntry>,
    is_full: bool,
}

impl Trail {
    /// What was written down.
    #[must_use]
    pub fn entries(&self) -> Vec<AuditEntry> {
        self.0.lock().entries.clone()
    }

    /// Takes no more entries.
    pub fn fill(&self) {
        self.0.lock().is_full = true;
    }
}

impl AuditSink for Trail {
    async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        let mut pages = self.0.lock();
        if pages.is_full {
            return Err(AuditError::new("no room"));
        }
        pages.entries.push(entry.clone());
        Ok(())
    }
}
