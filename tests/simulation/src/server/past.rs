//! All that the server has ever stored: the truth of a run.

use tenure_core::{Record, SecretHash, SessionId, Timestamp};

/// Every state of every session, in the order in which they came about.
#[derive(Debug, Default)]
pub(crate) struct Past {
    pub(crate) changes: Vec<Change>,
}

/// A session's state from then on.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) id: SessionId,
    pub(crate) cause: Cause,
    /// What is stored from then on; nothing after a deletion.
    pub(crate) record: Option<Record>,
    /// Whether it came about by the loss of the write before it.
    pub(crate) is_loss: bool,
}

/// How a change came about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) step: u32,
    pub(crate) at: Timestamp,
    pub(crate) actor: Option<usize>,
    pub(crate) call: Option<usize>,
}

impl Past {
    pub(crate) fn of(&self, id: SessionId) -> impl DoubleEndedIterator<Item = &Change> {
        self.changes.iter().filter(move |change| change.id == id)
    }

    pub(crate) fn record(&self, id: SessionId) -> Option<&Record> {
        self.of(id).next_back()?.record.as_ref()
    }

    pub(crate) fn live(&self, id: SessionId, now: Timestamp) -> Option<&Record> {
        self.record(id)
            .filter(|record| record.expiry(now).is_none())
    }

    /// What was stored right before that step.
    pub(crate) fn before(&self, id: SessionId, step: u32) -> Option<&Record> {
        let mut earlier = self
            .of(id)
            .rev()
            .skip_while(|change| change.cause.step >= step);
        earlier.next()?.record.as_ref()
    }

    /// When that secret was replaced, if it was.
    pub(crate) fn replaced(&self, id: SessionId, secret: SecretHash) -> Option<&Change> {
        let holds = |change: &Change| {
            change
                .record
                .as_ref()
                .is_some_and(|record| record.secret_hash() == secret)
        };
        let mut from_then_on = self.of(id).skip_while(|change| !holds(change));
        from_then_on.find(|change| change.record.is_some() && !holds(change))
    }

    pub(crate) fn ids(&self) -> Vec<SessionId> {
        let mut ids = Vec::new();
        for change in &self.changes {
            if !ids.contains(&change.id) {
                ids.push(change.id);
            }
        }
        ids
    }

    pub(crate) fn has_losses(&self) -> bool {
        self.last_loss().is_some()
    }

    /// When something was lost for the last time.
    pub(crate) fn last_loss(&self) -> Option<u32> {
        let loss = self.changes.iter().rev().find(|change| change.is_loss);
        loss.map(|change| change.cause.step)
    }

    pub(super) fn write(&mut self, record: Record, cause: Cause) {
        self.changes.push(Change {
            id: record.id(),
            cause,
            record: Some(record),
            is_loss: false,
        });
    }

    pub(super) fn remove(&mut self, id: SessionId, cause: Cause) {
        if self.record(id).is_some() {
            self.changes.push(Change {
                id,
                cause,
                record: None,
                is_loss: false,
            });
        }
    }

    /// Goes back to the version before the last one.
    pub(super) fn forget_last(&mut self, id: SessionId, cause: Cause) {
        let Some(version) = self.record(id).map(Record::version) else {
            return;
        };
        let records = self
            .of(id)
            .rev()
            .filter_map(|change| change.record.as_ref());
        let earlier = { records }
            .find(|record| record.version() != version)
            .cloned();
        if earlier.is_some() {
            self.changes.push(Change {
                id,
                cause,
                record: earlier,
                is_loss: true,
            });
        }
    }
}
