//! What a commit has to do about a session as its request sees it: decisions only.

use super::{
    combine::{Base, ChangeSet},
    logins::LoggedIn,
    standing::Standing,
    state::State,
};
use crate::{
    Actor, Entropy, Operator, Principal, Record, Retention, SessionId, SessionSecret, Timestamp,
    Whose,
    changes::{Changes, SessionError},
};

/// What there is to do at a commit.
pub(super) enum Plan {
    Nothing,
    /// The changes are those that are stored already.
    NothingNew {
        /// To be dropped where no lock is held.
        dropped: Changes,
    },
    Refuse {
        error: SessionError,
        /// To be dropped where no lock is held.
        dropped: Changes,
    },
    /// Remove the stored session, if it is theirs, and the cookie.
    Delete(Ending),
    Create {
        changes: Changes,
        /// The session before, which has to end.
        instead_of: Option<Ending>,
    },
    Commit {
        /// The record that the changes are based on.
        onto: Record,
        set: ChangeSet,
        /// The secret that replaces the present one.
        secret: Option<SessionSecret>,
    },
}

/// A session that a request ends.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) id: SessionId,
    pub(super) whose: Whose,
    /// Who was logged in, for the index to forget.
    pub(super) left: Option<LoggedIn>,
    /// Whether it does not matter if somebody has logged in since: who can do so can read it.
    pub(super) may_live_on: bool,
}

/// A login that the request holds.
pub(super) struct Held {
    pub(super) made: LoggedIn,
    pub(super) retention: Retention,
    pub(super) actor: Option<Actor>,
    pub(super) ends_at: Timestamp,
}

impl Ending {
    fn of(record: &Record) -> Self {
        Self {
            left: LoggedIn::of(record),
            ..Self::new(record.id(), Whose::Login(record.login().stamp))
        }
    }

    const fn new(id: SessionId, whose: Whose) -> Self {
        Self {
            id,
            whose,
            left: None,
            may_live_on: false,
        }
    }
}

impl Plan {
    /// Who is about to act in whose name, if somebody is.
    pub(super) fn acting(&self) -> Option<(Principal, Operator)> {
        let (Self::Create { changes, .. }
        | Self::Commit {
            set: ChangeSet { changes, .. },
            ..
        }) = self
        else {
            return None;
        };
        let login = changes.login.as_ref().filter(|login| login.is_fresh)?;
        Some((login.principal.clone(), login.operator.clone()?))
    }
}

impl State {
    /// Decides what a commit has to do, and takes the changes out of the draft.
    pub(super) fn plan(&mut self, entropy: &dyn Entropy) -> Result<Plan, SessionError> {
        if self.is_destroyed {
            return Ok(self.plan_ending());
        }
        if !self.draft.has_changes() {
            return Ok(Plan::Nothing);
        }
        if self.held().is_some() && self.draft.changes_nothing() {
            return Ok(Plan::NothingNew {
                dropped: self.draft.take_unchanged(),
            });
        }
        // Before anything is taken out that would be dropped here, under the lock, if this fails.
        let secret = self
            .draft
            .rotates()
            .then(|| SessionSecret::random(entropy))
            .transpose()?;
        let is_exact = self.draft.is_exact();
        let (changes, edits) = self.draft.take();
        let refuse = |error, dropped| Ok(Plan::Refuse { error, dropped });
        let holding = match &self.standing {
            Standing::Holder(holding) => holding,
            Standing::Ended => return refuse(SessionError::Gone, changes),
            Standing::Superseded {
                may_begin: false, ..
            } if changes.login.is_none() => {
                return refuse(SessionError::Superseded, changes);
            }
            Standing::Unreadable { error, .. } if changes.login.is_none() => {
                return refuse(error.clone(), changes);
            }
            Standing::Stranger
            | Standing::Lost
            | Standing::Superseded { .. }
            | Standing::Destroyed => {
                return Ok(Plan::Create {
                    changes,
                    instead_of: None,
                });
            }
            Standing::Unreadable { id, secret, .. } => {
                let unreadable = Ending::new(*id, Whose::Secret(*secret));
                return Ok(Plan::Create {
                    changes,
                    instead_of: Some(Ending {
                        may_live_on: true,
                        ..unreadable
                    }),
                });
            }
        };
        let onto = holding.record.clone();
        let set = ChangeSet {
            rotation: secret.as_ref().map(SessionSecret::hash),
            changes,
            edits,
            base: Base {
                version: onto.version(),
                is_exact,
            },
            secret_hash: onto.secret_hash(),
        };
        Ok(Plan::Commit { onto, set, secret })
    }

    /// What is to be done about a session that the request has destroyed, and about the one that begins in its place.
    fn plan_ending(&mut self) -> Plan {
        let plan = self.plan_destruction();
        if !self.begins_anew || !self.draft.has_changes() {
            return plan;
        }
        let (changes, _) = self.draft.take();
        match plan {
            Plan::Refuse { error, .. } => Plan::Refuse {
                error,
                dropped: changes,
            },
            Plan::Delete(ending) => Plan::Create {
                changes,
                instead_of: Some(ending),
            },
            _ => Plan::Create {
                changes,
                instead_of: None,
            },
        }
    }

    fn plan_destruction(&self) -> Plan {
        match &self.standing {
            Standing::Holder(holding) => Plan::Delete(Ending::of(&holding.record)),
            Standing::Unreadable { id, secret, .. } => {
                Plan::Delete(Ending::new(*id, Whose::Secret(*secret)))
            }
            Standing::Superseded {
                held: Some((id, whose)),
                ..
            } => Plan::Delete(Ending::new(*id, *whose)),
            Standing::Superseded {
                may_begin: false, ..
            } => Plan::Refuse {
                error: SessionError::Superseded,
                dropped: Changes::default(),
            },
            Standing::Superseded { .. }
            | Standing::Lost
            | Standing::Stranger
            | Standing::Ended
            | Standing::Destroyed => Plan::Nothing,
        }
    }
}
