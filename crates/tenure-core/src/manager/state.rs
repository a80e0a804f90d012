//! The session as one request sees it, and what a commit has to do about it: decisions only.

use std::sync::Arc;

use super::{
    combine::{Base, ChangeSet, Terms},
    line::{Place, Settled},
};
use crate::{
    Clock, Entropy, Record, SessionId, SessionSecret, Timestamp,
    changes::{Changes, Draft, SessionError},
};

/// The session as the request sees it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    pub(crate) draft: Draft,
    /// What came of loading the session, which is done once.
    pub(super) loaded: Option<Result<(), SessionError>>,
    is_destroyed: bool,
    phase: Phase,
}

/// Where the request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Its handler is at work.
    #[default]
    Open,
    /// The response's head leaves: no more changes.
    Sealed,
    /// Behind the response, where no cookie can reach the browser.
    Detached,
}

/// How the request stands to a stored session.
#[derive(Debug, Default)]
pub(crate) enum Standing {
    /// There is none: no cookie, or one that is worth nothing.
    #[default]
    Stranger,
    /// The cookie is genuine, but its session is not there.
    Lost,
    /// The cookie's secret has been replaced. Until the grace is over, the cookie that replaces it
    /// is probably on its way to the browser.
    Superseded { until: Timestamp },
    /// The cookie opened this session.
    Holder(Holding),
    /// The session ended while this request was under way, by another one.
    Ended,
    /// This request destroyed the session.
    Destroyed,
}

#[derive(Debug)]
pub(crate) struct Holding {
    /// The stored record, with the values as this request sees them without its own changes.
    pub(crate) record: Record,
    pub(super) secret: SessionSecret,
    /// Whether those are exactly the stored values; see [`Base::is_exact`].
    is_exact: bool,
    /// Whether the browser's cookie says all that: this version, under the signing key.
    pub(super) is_told: bool,
    /// Whether this request made the version, so that its response brings the cookie.
    pub(super) is_cookie_due: bool,
}

/// What there is to do at a commit.
pub(super) enum Plan {
    Nothing,
    Refuse(SessionError),
    /// Remove the stored session and the cookie.
    Delete(SessionId),
    /// Remove the cookie; there is no session that it could open.
    Forget,
    Create(Changes),
    Commit {
        place: Arc<Place>,
        /// The secret that replaces the present one.
        secret: Option<SessionSecret>,
    },
}

impl Standing {
    pub(super) fn holder(record: Record, secret: SessionSecret, is_told: bool) -> Self {
        Self::Holder(Holding {
            record,
            secret,
            is_exact: true,
            is_told,
            is_cookie_due: false,
        })
    }
}

impl Terms {
    pub(super) fn superseded_by(&self, record: &Record) -> Standing {
        Standing::Superseded {
            until: record.rotated_at().after(self.rotation_grace),
        }
    }
}

impl State {
    /// The stored record, if the request holds one.
    pub(crate) fn held(&self) -> Option<&Record> {
        match &self.standing {
            Standing::Holder(holding) => Some(&holding.record),
            _ => None,
        }
    }

    /// Whether another request has ended the session meanwhile.
    pub(super) const fn has_ended(&self) -> bool {
        matches!(self.standing, Standing::Ended)
    }

    /// The draft, if it may still be changed.
    pub(crate) fn draft_mut(&mut self) -> Result<&mut Draft, SessionError> {
        if self.phase == Phase::Sealed {
            Err(SessionError::Sealed)
        } else if self.is_destroyed {
            Err(SessionError::Destroyed)
        } else {
            Ok(&mut self.draft)
        }
    }

    /// The draft, if what is changed in it may change the cookie.
    pub(crate) fn rotatable_draft_mut(&mut self) -> Result<&mut Draft, SessionError> {
        match self.phase {
            Phase::Detached => Err(SessionError::Sealed),
            Phase::Open | Phase::Sealed => self.draft_mut(),
        }
    }

    pub(crate) fn destroy(&mut self) -> Result<(), SessionError> {
        *self.draft_mut()? = Draft::default();
        self.is_destroyed = true;
        Ok(())
    }

    pub(super) fn begin(&mut self, standing: Standing) {
        self.loaded = Some(Ok(()));
        self.standing = standing;
        let base = self.held().map(|record| record.values().clone());
        self.draft = Draft::new(base.unwrap_or_default());
    }

    /// Admits no more changes, and tells whether there are any to be committed. A handler that failed
    /// has those that it made rolled back, as a database would; a logout stands.
    pub(super) fn seal(&mut self, is_failure: bool) -> bool {
        self.phase = Phase::Sealed;
        if is_failure {
            self.draft.take();
        }
        self.is_destroyed || self.draft.has_changes()
    }

    /// What work behind the response begins with. `None` if there is no session for it.
    pub(super) fn detached(&self) -> Option<Self> {
        let Standing::Holder(holding) = &self.standing else {
            return None;
        };
        let record = holding.record.clone();
        Some(Self {
            draft: Draft::new(record.values().clone()),
            standing: Standing::Holder(Holding {
                record,
                secret: holding.secret.clone(),
                ..*holding
            }),
            loaded: Some(Ok(())),
            is_destroyed: false,
            phase: Phase::Detached,
        })
    }

    /// Whether something was changed behind the response and never committed.
    pub(super) fn is_forgotten(&self) -> bool {
        let is_logout_due = self.is_destroyed && self.held().is_some();
        self.phase == Phase::Detached && (self.draft.has_changes() || is_logout_due)
    }

    /// Decides what a commit has to do, and takes the changes out of the draft.
    pub(super) fn plan(
        &mut self,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Result<Plan, SessionError> {
        if self.is_destroyed {
            return Ok(self.plan_destruction(clock));
        }
        if !self.draft.has_changes() {
            return Ok(Plan::Nothing);
        }
        let (changes, edits) = self.draft.take();
        let holding = match &self.standing {
            Standing::Holder(holding) => holding,
            Standing::Ended => return Ok(Plan::Refuse(SessionError::Gone)),
            Standing::Superseded { until } if clock.now() < *until && changes.login.is_none() => {
                return Ok(Plan::Refuse(SessionError::Superseded));
            }
            Standing::Stranger
            | Standing::Lost
            | Standing::Superseded { .. }
            | Standing::Destroyed => {
                return Ok(Plan::Create(changes));
            }
        };
        let secret = changes
            .rotates
            .then(|| SessionSecret::random(entropy))
            .transpose()?;
        let onto = holding.record.clone();
        let set = ChangeSet {
            rotation: secret.as_ref().map(SessionSecret::hash),
            changes,
            edits,
            base: Base {
                version: onto.version(),
                is_exact: holding.is_exact,
            },
            secret_hash: onto.secret_hash(),
        };
        Ok(Plan::Commit {
            place: Arc::new(Place::new(onto, set)),
            secret,
        })
    }

    fn plan_destruction(&self, clock: &dyn Clock) -> Plan {
        match &self.standing {
            Standing::Holder(holding) => Plan::Delete(holding.record.id()),
            Standing::Superseded { until } if clock.now() < *until => {
                Plan::Refuse(SessionError::Superseded)
            }
            Standing::Superseded { .. } | Standing::Lost => Plan::Forget,
            Standing::Stranger | Standing::Ended | Standing::Destroyed => Plan::Nothing,
        }
    }

    /// Takes in what a commit came to.
    pub(super) fn settle(
        &mut self,
        terms: &Terms,
        settled: Settled,
        rotated: Option<SessionSecret>,
    ) -> Result<(), SessionError> {
        let Settled { record, view } = settled;
        if let Standing::Holder(holding) = &mut self.standing {
            let own = match rotated {
                Some(secret) => {
                    holding.secret = secret;
                    holding.secret.hash()
                }
                None => holding.record.secret_hash(),
            };
            if own == record.secret_hash() {
                holding.is_exact = view == *record.values();
                holding.record = if holding.is_exact {
                    record
                } else {
                    record.with_values(view.clone())
                };
                holding.is_cookie_due = true;
            } else {
                // Another request of the same commit replaced the secret. Ours is written all the
                // same, but the cookie is for the other one to send.
                self.standing = terms.superseded_by(&record);
            }
        }
        // Last, since later changes of the request may fail on the new values: what was committed
        // is committed, and the cookie has to say so.
        self.draft.settle(view)
    }

    /// Takes in the outcome of a commit that failed.
    pub(super) fn lose(&mut self, error: SessionError) -> SessionError {
        match error {
            SessionError::Gone | SessionError::HistoryLost => self.standing = Standing::Ended,
            // When the grace began is not known here; within one request it is not over.
            SessionError::Superseded => {
                self.standing = Standing::Superseded {
                    until: Timestamp::from_millis(u64::MAX),
                };
            }
            _ => {}
        }
        error
    }

    pub(super) fn hold_new(
        &mut self,
        record: Record,
        secret: SessionSecret,
    ) -> Result<(), SessionError> {
        let values = record.values().clone();
        self.standing = Standing::holder(record, secret, false);
        if let Standing::Holder(holding) = &mut self.standing {
            holding.is_cookie_due = true;
        }
        self.draft.settle(values)
    }

    pub(super) fn refresh(&mut self, record: Record) -> Result<(), SessionError> {
        let Standing::Holder(holding) = &mut self.standing else {
            return Ok(());
        };
        if record.secret_hash() != holding.record.secret_hash() {
            return Err(self.lose(SessionError::Superseded));
        }
        self.draft.rebase(record.values().clone())?;
        holding.is_told &= record.version() == holding.record.version();
        holding.is_exact = true;
        holding.record = record;
        Ok(())
    }

    /// Lets go of a session that this request has destroyed.
    pub(super) fn forget(&mut self) {
        self.standing = Standing::Destroyed;
    }

    /// Whether the browser's cookie is to go: after a logout, and when a response that succeeded
    /// found no session behind it.
    pub(super) const fn is_removal_due(&self, is_success: bool) -> bool {
        match self.standing {
            Standing::Destroyed => true,
            Standing::Lost => is_success,
            _ => false,
        }
    }
}
