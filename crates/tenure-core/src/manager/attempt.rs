//! A commit on its way to the store, and what its outcome means: decisions only.

use std::sync::Arc;

use super::line::{Place, Settled, settle_all};
use crate::{
    Commit, Record, StoreError, StoreErrorKind, Version, changes::SessionError, model::Edits,
};

/// A commit for several requests. It may be sent more than once, always the same.
#[derive(Debug)]
pub(super) struct Attempt {
    expected: Version,
    record: Record,
    places: Vec<(Arc<Place>, Edits)>,
    sent: Sent,
}

/// How often a commit was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Never,
    Once,
    /// And so an earlier one, whose reply was lost, may have happened.
    Repeatedly,
}

/// What came of an attempt.
pub(super) enum Judged {
    /// All places have their outcome. Holds what is stored, if that is known.
    Settled(Option<Record>),
    /// Somebody else was faster, and nothing of this was or will be written.
    Conflict {
        current: Record,
        places: Vec<Arc<Place>>,
    },
}

impl Attempt {
    pub(super) const fn new(
        expected: Version,
        record: Record,
        places: Vec<(Arc<Place>, Edits)>,
    ) -> Self {
        Self {
            expected,
            record,
            places,
            sent: Sent::Never,
        }
    }

    /// Counts it as sent, and says what to send.
    pub(super) fn begin(&mut self) -> (Version, Record) {
        self.sent = match self.sent {
            Sent::Never => Sent::Once,
            Sent::Once | Sent::Repeatedly => Sent::Repeatedly,
        };
        (self.expected, self.record.clone())
    }

    /// Decides what the store's answer to the last sending means.
    ///
    /// What may have happened is never done again on a newer state: only the lineage can tell that it has
    /// not, and it reaches back no further than its tags. Beyond them the outcome is unknown, and is said
    /// to be.
    pub(super) fn judge(self, outcome: Result<Commit, StoreError>) -> Judged {
        match outcome {
            Ok(Commit::Stored) => {
                let record = self.record.clone();
                self.settle(record)
            }
            Ok(Commit::Overtaken(current)) => self.settle(current),
            Ok(Commit::Conflict(current)) if self.is_told_by(&current) => Judged::Conflict {
                current,
                places: self.places.into_iter().map(|(place, _)| place).collect(),
            },
            Ok(Commit::Conflict(current)) => {
                self.fail(&unknown("too many others have followed").into());
                Judged::Settled(Some(current))
            }
            // Others may have seen it before the session ended.
            Ok(Commit::Gone) if self.sent == Sent::Repeatedly => {
                self.fail(&unknown("the session has ended since").into());
                Judged::Settled(None)
            }
            Ok(Commit::Gone) => {
                self.fail(&SessionError::Gone);
                Judged::Settled(None)
            }
            Err(error) if self.sent == Sent::Repeatedly && !error.outcome_unknown() => {
                self.fail(&StoreError::with_source(StoreErrorKind::Interrupted, error).into());
                Judged::Settled(None)
            }
            Err(error) => {
                self.fail(&error.into());
                Judged::Settled(None)
            }
        }
    }

    /// Whether a conflict with that record shows that this commit has not happened.
    fn is_told_by(&self, current: &Record) -> bool {
        self.sent != Sent::Repeatedly || current.lineage().is_certain_of(self.record.version())
    }

    fn settle(self, record: Record) -> Judged {
        for (place, own) in self.places {
            let record = record.clone();
            place.settle(Ok(Settled { record, own }));
        }
        Judged::Settled(Some(record))
    }

    fn fail(self, error: &SessionError) {
        settle_all(self.places.into_iter().map(|(place, _)| place), error);
    }
}

/// The fault of a commit whose first reply was lost, and that can no longer be told from one that has not
/// happened.
fn unknown(reason: &str) -> StoreError {
    let lost = format!("the reply to a commit was lost, and {reason}");
    StoreError::with_source(StoreErrorKind::Interrupted, lost)
}
