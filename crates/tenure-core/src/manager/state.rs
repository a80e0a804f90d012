//! The session as one request sees it, and what a commit has to do about it: decisions only.

use super::{
    line::Settled,
    logins::LoggedIn,
    plan::Held,
    standing::{Holding, Standing},
};
use crate::{
    Record, SessionSecret,
    changes::{Below, Changes, Draft, NewLogin, SessionError},
    model::Edits,
};

/// The session as the request sees it.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) standing: Standing,
    pub(crate) draft: Draft,
    /// What came of loading the session, which is done once.
    pub(super) loaded: Option<Result<(), SessionError>>,
    pub(super) is_destroyed: bool,
    /// Whether what is changed after the session was destroyed belongs to another one, which begins with it.
    pub(super) begins_anew: bool,
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
    /// The request is over and had no response: whatever it had changed is dropped.
    Abandoned,
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

    /// Who is logged in as far as the store knows.
    pub(super) fn logged_in(&self) -> Result<Held, SessionError> {
        self.check_cookie_can_follow()?;
        let record = self.shown().ok_or(SessionError::NobodyLoggedIn)?;
        let made = LoggedIn::of(record).ok_or(SessionError::NobodyLoggedIn)?;
        Ok(Held {
            made,
            retention: record.retention(),
            actor: record.actor(),
            ends_at: record.absolute_end(),
        })
    }

    /// The stored record, as long as the request has not destroyed the session.
    pub(crate) fn shown(&self) -> Option<&Record> {
        self.held().filter(|_| !self.is_destroyed)
    }

    /// Who logs in with this request, as long as it has not destroyed the session.
    pub(crate) const fn logging_in(&self) -> Option<&NewLogin> {
        self.draft.login()
    }

    /// Whether nobody is logged in any more as far as this request is concerned.
    pub(crate) const fn is_logging_out(&self) -> bool {
        self.draft.logs_out()
    }

    /// The draft, for reading values.
    pub(crate) fn readable(&mut self) -> Result<&mut Draft, SessionError> {
        match &self.standing {
            Standing::Unreadable { error, .. }
                if self.draft.login().is_none() && !self.begins_anew =>
            {
                Err(error.clone())
            }
            _ => Ok(&mut self.draft),
        }
    }

    /// The draft, if its values may still be changed.
    pub(crate) fn changeable(&mut self) -> Result<&mut Draft, SessionError> {
        self.check_open()?;
        self.readable()
    }

    /// The draft, if what is changed in it may change the cookie.
    pub(crate) fn rotatable(&mut self) -> Result<&mut Draft, SessionError> {
        self.check_cookie_can_follow()?;
        self.readable()
    }

    /// The draft, if somebody may log in.
    pub(crate) fn bindable(&mut self) -> Result<&mut Draft, SessionError> {
        self.check_cookie_can_follow()?;
        Ok(&mut self.draft)
    }

    fn check_cookie_can_follow(&self) -> Result<(), SessionError> {
        match self.phase {
            Phase::Detached => Err(SessionError::Sealed),
            Phase::Open | Phase::Sealed | Phase::Abandoned => self.check_open(),
        }
    }

    fn check_open(&self) -> Result<(), SessionError> {
        match self.phase {
            Phase::Sealed | Phase::Abandoned => Err(SessionError::Sealed),
            Phase::Open | Phase::Detached if self.is_destroyed && !self.begins_anew => {
                Err(SessionError::Destroyed)
            }
            Phase::Open | Phase::Detached => Ok(()),
        }
    }

    /// Marks the session as destroyed, and returns what else the request had changed: to be dropped where
    /// no lock is held, since it is the application's in part.
    pub(crate) fn destroy(&mut self) -> Result<Draft, SessionError> {
        match self.check_open() {
            Ok(()) | Err(SessionError::Destroyed) => {
                self.is_destroyed = true;
                self.begins_anew = false;
                Ok(std::mem::take(&mut self.draft))
            }
            Err(error) => Err(error),
        }
    }

    /// Marks the session as destroyed, and begins another one without values. Otherwise as
    /// [`destroy`](Self::destroy).
    pub(crate) fn regenerate(&mut self) -> Result<Draft, SessionError> {
        match self.check_cookie_can_follow() {
            Ok(()) | Err(SessionError::Destroyed) => {
                let dropped = self.destroy()?;
                self.begins_anew = true;
                Ok(dropped)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a request that gets no response, and returns what it had changed: to be dropped where no lock is
    /// held.
    pub(super) fn abandon(&mut self) -> Changes {
        let (changes, _) = self.draft.take();
        if self.phase == Phase::Open {
            self.phase = Phase::Abandoned;
        }
        changes
    }

    /// Whether an explicit commit comes too late for whatever it was meant for.
    pub(super) fn is_abandoned(&self) -> bool {
        self.phase == Phase::Abandoned
    }

    /// `is_current` says whether the store has answered with what its primary holds.
    pub(super) fn begin(&mut self, standing: Standing, is_current: bool) {
        self.loaded = Some(Ok(()));
        self.standing = standing;
        let base = self.held().map(|record| record.values().clone());
        self.draft = Draft::new(base.unwrap_or_default(), is_current);
    }

    /// Admits no more changes, and tells whether there are any to be committed. A handler that failed
    /// has those that it made rolled back, as a database would; a logout stands.
    ///
    /// What is rolled back is to be dropped where no lock is held.
    pub(super) fn seal(&mut self, is_failure: bool) -> (bool, Changes) {
        self.phase = Phase::Sealed;
        let rolled_back = if is_failure {
            self.draft.take().0
        } else {
            Changes::default()
        };
        (self.is_destroyed || self.draft.has_changes(), rolled_back)
    }

    /// Admits no more changes if nobody has asked for the session, and tells whether that is so.
    pub(super) fn seal_untouched(&mut self) -> bool {
        let is_untouched = self.loaded.is_none();
        if is_untouched {
            self.phase = Phase::Sealed;
        }
        is_untouched
    }

    /// Whether the request is still on its way to a response.
    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// What work behind the response begins with. `None` if there is no session for it.
    pub(super) fn detached(&self) -> Option<Self> {
        let Standing::Holder(holding) = &self.standing else {
            return None;
        };
        let record = holding.record.clone();
        Some(Self {
            draft: Draft::new(record.values().clone(), false),
            standing: Standing::Holder(Holding {
                record,
                secret: holding.secret.clone(),
                ..*holding
            }),
            loaded: Some(Ok(())),
            is_destroyed: false,
            begins_anew: false,
            phase: Phase::Detached,
        })
    }

    /// Whether something was changed behind the response and never committed.
    pub(super) fn is_forgotten(&self) -> bool {
        let is_logout_due = self.is_destroyed && self.held().is_some();
        self.phase == Phase::Detached && (self.draft.has_changes() || is_logout_due)
    }

    /// Takes in what a commit came to, all but the values, and returns those. `is_to_be_told` says whether the
    /// browser's cookie has to speak of every commit.
    pub(super) fn settle(
        &mut self,
        settled: Settled,
        rotated: Option<SessionSecret>,
        is_to_be_told: bool,
    ) -> Below {
        let Settled { record, own } = settled;
        let below = Below {
            base: record.values().clone(),
            committed: own,
        };
        if let Standing::Holder(holding) = &mut self.standing {
            let is_rotated = rotated.is_some();
            let own = match rotated {
                Some(secret) => {
                    holding.secret = secret;
                    holding.secret.hash()
                }
                None => holding.record.secret_hash(),
            };
            if own == record.secret_hash() {
                holding.is_cookie_due |= is_rotated || is_to_be_told;
                holding.record = record;
            } else {
                // Another request replaced the secret, in this commit or after it. Ours is written all the
                // same, but the cookie is for the other one to send.
                self.standing = self.standing.superseded();
            }
        }
        below
    }

    /// Takes in the outcome of a commit that failed.
    pub(super) fn lose(&mut self, error: SessionError) -> SessionError {
        match &error {
            // A login that is refused after its commit has taken its session with it.
            SessionError::Gone | SessionError::HistoryLost | SessionError::LoginRefused(_) => {
                self.standing = Standing::Ended;
            }
            SessionError::Superseded => self.standing = self.standing.superseded(),
            // Whatever has become of it, others may have replaced the secret since.
            SessionError::Store(fault) if fault.outcome_unknown() => {
                if let Standing::Holder(holding) = &mut self.standing {
                    holding.is_cookie_due = false;
                }
            }
            _ => {}
        }
        error
    }

    /// Takes in that a login was not confirmed after its commit: whatever became of it, the secret that the browser
    /// has is replaced, and it gets no other.
    pub(super) fn lose_login(&mut self, error: SessionError) -> SessionError {
        let error = self.lose(error);
        if matches!(self.standing, Standing::Holder(_)) {
            self.standing = self.standing.superseded();
        }
        error
    }

    pub(super) fn hold_new(&mut self, record: Record, own: Edits, secret: SessionSecret) -> Below {
        let below = Below {
            base: record.values().clone(),
            committed: own,
        };
        (self.is_destroyed, self.begins_anew) = (false, false);
        self.standing = Standing::holder(record, secret, false);
        if let Standing::Holder(holding) = &mut self.standing {
            holding.is_cookie_due = true;
        }
        below
    }

    /// `is_told_enough` says whether a cookie that speaks of the state before need not be told of this one.
    pub(super) fn refresh(
        &mut self,
        record: Record,
        is_told_enough: bool,
    ) -> Result<Option<Below>, SessionError> {
        let Standing::Holder(holding) = &mut self.standing else {
            return Ok(None);
        };
        if record.secret_hash() != holding.record.secret_hash() {
            return Err(self.lose(SessionError::Superseded));
        }
        let below = Below {
            base: record.values().clone(),
            committed: Edits::default(),
        };
        holding.is_told &= is_told_enough;
        holding.record = record;
        Ok(Some(below))
    }

    /// Lets go of a session that was not there any more when this request destroyed it.
    pub(super) fn find_ended(&mut self) {
        self.standing = Standing::Ended;
    }

    /// Lets go of a session that this request has destroyed.
    pub(super) fn forget(&mut self) {
        self.standing = Standing::Destroyed;
    }

    /// Whether the browser's cookie is to go: after a logout that has ended a session, and only then. A cookie without
    /// a session may have been replaced by a login's since the browser sent it, and browsers remove by name.
    pub(super) const fn is_removal_due(&self) -> bool {
        matches!(self.standing, Standing::Destroyed)
    }
}
