//! A login's way into the index: a place before its commit, an entry after it.

use std::{pin::pin, sync::Arc};

use futures_util::future::try_join_all;

use super::{Core, LoggedIn, persistently};
use crate::{
    Confirm, Confirmation, Freshness, Load, LoginLimit, LoginName, Record, Reservation, Reserve,
    SessionId, StoreErrorKind, Whose,
    changes::{LoginRefusal, NewLogin, SessionError},
};

/// A login that has a place in the index, and none yet among those that count.
#[derive(Clone, Debug)]
#[must_use = "a login that is not confirmed must not be used"]
pub(in super::super) struct Admission {
    pub(in super::super) made: LoggedIn,
    replaces: Option<LoginName>,
}

impl Core {
    /// Takes a place in the index for a login that is about to be made in that session, and writes into it what the
    /// record has to tell. `before` is the login that the session holds, or one with a place that was given up.
    /// `None` without an index.
    ///
    /// Ends the logins that have to make room, and those whose ending others have left undone.
    pub(in super::super) async fn admit(
        &self,
        new: &mut NewLogin,
        session: SessionId,
        before: Option<&LoggedIn>,
    ) -> Result<Option<Admission>, SessionError> {
        let Some(index) = &self.index else {
            return Ok(None);
        };
        let (user, login) = (new.principal.clone(), LoginName::new(session, new.stamp));
        let replaces = before
            .filter(|before| before.user == user)
            .map(|before| before.login);
        let mut limit = index.limit.map(|limit| LoginLimit {
            evicts: false,
            ..limit
        });
        let mut dead = Vec::new();
        let condemned = loop {
            let reservation = Reservation {
                login,
                replaces,
                limit,
                fence: new.fence,
                dead,
                kept_until: self.index_kept_until(),
            };
            match persistently(|| index.store.reserve(&user, reservation.clone())).await? {
                Reserve::Admitted { epoch, condemned } => {
                    (new.epoch, new.gate) = (epoch, self.gate());
                    break condemned;
                }
                Reserve::Full(logins) => {
                    // First those go whose sessions have ended anyway.
                    dead = self.dead_of(logins).await?;
                    if dead.is_empty() {
                        match (limit, index.limit) {
                            (Some(asked), Some(limit)) if limit.evicts && !asked.evicts => {}
                            _ => return Err(LoginRefusal::TooMany.into()),
                        }
                        limit = index.limit;
                    }
                }
                Reserve::Revoked => return Err(LoginRefusal::Revoked.into()),
                Reserve::Displaced => return Err(LoginRefusal::Displaced.into()),
                Reserve::Blocked => return Err(LoginRefusal::Blocked.into()),
            }
        };
        if !condemned.is_empty() {
            self.finish_ending(&user, condemned, "displaced").await?;
        }
        Ok(Some(Admission {
            made: LoggedIn { user, login },
            replaces,
        }))
    }

    /// Enters a login whose session is stored. If it does not count any more, its session is deleted: nobody
    /// has its cookie yet.
    pub(in super::super) async fn confirm(
        &self,
        admission: Admission,
        stored: &Record,
    ) -> Result<(), SessionError> {
        let index = self.index()?;
        let Admission { made, replaces } = admission;
        if LoginName::of(stored) != Some(made.login) {
            // Somebody has logged in to the very session since, so there is nothing of this one to enter.
            return Ok(());
        }
        let confirmation = Confirmation {
            login: made.login,
            replaces,
            epoch: stored.login().epoch,
            ends_at: stored.absolute_end(),
        };
        let confirming = async {
            let confirm = || index.store.confirm(&made.user, confirmation);
            let refusal = match persistently(confirm).await? {
                Confirm::Confirmed => return Ok(()),
                Confirm::Revoked => LoginRefusal::Revoked,
                Confirm::Displaced => LoginRefusal::Displaced,
            };
            self.finish_ending(&made.user, vec![made.login], "login_refused")
                .await?;
            Err(refusal.into())
        };
        self.bounded_index("confirm", pin!(confirming)).await
    }

    /// Those of some logins whose sessions have ended, or are not theirs any more.
    pub(super) async fn dead_of(
        &self,
        logins: Vec<LoginName>,
    ) -> Result<Vec<LoginName>, SessionError> {
        let looks = logins
            .into_iter()
            .map(|login| async move { Ok::<_, SessionError>((login, self.look_at(login).await?)) });
        let looks = try_join_all(looks).await?;
        let dead = looks
            .into_iter()
            .filter(|(_, seen)| matches!(seen, Sight::Dead));
        Ok(dead.map(|(login, _)| login).collect())
    }

    /// What is stored of a login, past any cache.
    pub(super) async fn look_at(&self, login: LoginName) -> Result<Sight, SessionError> {
        match self.store.load(login.session(), Freshness::Latest).await {
            Ok(Load::Found(record))
                if LoginName::of(&record) == Some(login) && !self.is_past_the_gate(&record) =>
            {
                Ok(Sight::Live(record))
            }
            Ok(Load::Found(_) | Load::Expired(_) | Load::Absent) => Ok(Sight::Dead),
            // It may be a live one that a later version of tenure has written.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(Sight::Unreadable),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops the entry of a login that its own session has let go of. Not awaited by the response: until then
    /// it is an entry without a session, which does no harm.
    pub(in super::super) fn settle_behind(self: &Arc<Self>, left: Option<LoggedIn>) {
        let (Some(LoggedIn { user, login }), Some(_)) = (left, &self.index) else {
            return;
        };
        let core = Arc::clone(self);
        self.behind(async move {
            let Some(index) = &core.index else { return };
            let settle = async { Ok(index.store.settle(&user, vec![login]).await?) };
            // A fault leaves an entry without a session.
            let _ = core.bounded_index("settle", pin!(settle)).await;
        });
    }
}

/// What was found of a login.
#[derive(Debug)]
pub(super) enum Sight {
    Live(Record),
    Unreadable,
    Dead,
}

/// The session is ended only if it still is that login's.
pub(super) const fn whose(login: LoginName) -> Whose {
    Whose::Login(login.stamp())
}
