//! A login's way into the index: a place before its commit, an entry after it.

use std::{pin::pin, sync::Arc};

use futures_util::future::try_join_all;

use super::{Core, LoggedIn, events, persistently};
use crate::{
    Actor, Confirm, Confirmation, EndReason, Epoch, Freshness, Load, LoginLimit, LoginName,
    LoginRefusal, Principal, Record, Reservation, Reserve, SessionId, StoreError, StoreErrorKind,
    Whose,
    changes::{NewLogin, SessionError},
};

/// A login that has a place in the index, and none yet among those that count. If it is dropped without having been
/// confirmed, because of a fault or because its client has left, the place is given up behind the response, and with it
/// whatever is stored of the session: nobody has its cookie.
#[derive(Debug)]
#[must_use = "a login that is not confirmed must not be used"]
pub(in super::super) struct Admission {
    core: Arc<Core>,
    is_settled: bool,
    pub(in super::super) made: LoggedIn,
    /// Who acts, with the epoch of their own logins.
    actor: Option<Actor>,
    replaces: Option<LoginName>,
}

impl Core {
    /// Takes a place in the index for a login that is about to be made in that session, and writes into it what the
    /// record has to tell. `before` is the login that the session holds, or one with a place that was given up.
    /// `None` without an index.
    ///
    /// Ends the logins that have to make room, and those whose ending others have left undone.
    pub(in super::super) async fn admit(
        self: &Arc<Self>,
        new: &mut NewLogin,
        session: SessionId,
        before: Option<&LoggedIn>,
    ) -> Result<Option<Admission>, SessionError> {
        let admitted = self.try_to_admit(new, session, before).await;
        self.observe_refusal(&new.principal, admitted)
    }

    async fn try_to_admit(
        self: &Arc<Self>,
        new: &mut NewLogin,
        session: SessionId,
        before: Option<&LoggedIn>,
    ) -> Result<Option<Admission>, SessionError> {
        let Some(index) = &self.index else {
            return Ok(None);
        };
        // Whoever has not been here for a while has not heard of everyone's end.
        self.mind_the_gate().await;
        let mut made = LoggedIn {
            user: new.principal.clone(),
            epoch: Epoch::default(),
            actor: new.actor.as_ref().map(|actor| actor.user.clone()),
            login: LoginName::new(session, new.stamp),
        };
        let login = made.login;
        let reservation = |user: &Principal| Reservation {
            login,
            replaces: before
                .filter(|before| before.user == *user)
                .map(|it| it.login),
            limit: None,
            fence: None,
            dead: Vec::new(),
            kept_until: self.index_kept_until(),
        };
        new.gate = self.gate();
        if let Some(actor) = &mut new.actor {
            // Who is logged in may act for as long as that login counts.
            let own = before.filter(|before| before.user == actor.user && before.actor.is_none());
            let reservation = Reservation {
                fence: new.actor_fence.or(own.map(|own| own.epoch)),
                ..reservation(&actor.user)
            };
            actor.epoch = self.reserve(&actor.user, reservation, None).await?;
        }
        let limit = index.limit.filter(|_| made.actor.is_none());
        let reservation = Reservation {
            fence: new.fence,
            ..reservation(&made.user)
        };
        let replaces = reservation.replaces;
        new.epoch = self.reserve(&made.user, reservation, limit).await?;
        // If it needs another place, as another session has to be begun, nothing must have been ended meanwhile.
        new.fence = Some(new.epoch);
        new.actor_fence = new.actor.as_ref().map(|actor| actor.epoch);
        made.epoch = new.epoch;
        Ok(Some(Admission {
            core: Arc::clone(self),
            is_settled: false,
            made,
            actor: new.actor.clone(),
            replaces,
        }))
    }

    /// Tells of a login that the index has refused.
    fn observe_refusal<T>(
        &self,
        user: &Principal,
        outcome: Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        if let Err(SessionError::LoginRefused(refusal)) = &outcome {
            events::login_refused(self, user, *refusal);
        }
        outcome
    }

    /// Takes a place in one principal's index.
    async fn reserve(
        &self,
        user: &Principal,
        mut reservation: Reservation,
        limit: Option<LoginLimit>,
    ) -> Result<Epoch, SessionError> {
        let index = self.index()?;
        reservation.limit = limit.map(|limit| LoginLimit {
            evicts: false,
            ..limit
        });
        loop {
            match persistently(|| index.store.reserve(user, reservation.clone())).await? {
                Reserve::Admitted { epoch, condemned } => {
                    self.finish_ending(user, condemned, EndReason::Displaced)
                        .await?;
                    return Ok(epoch);
                }
                Reserve::Full(logins) => {
                    // First those go whose sessions have ended anyway.
                    reservation.dead = self.dead_of(logins).await?;
                    if reservation.dead.is_empty() {
                        if reservation.limit == limit {
                            return Err(LoginRefusal::TooMany.into());
                        }
                        reservation.limit = limit;
                    }
                }
                Reserve::Revoked => return Err(LoginRefusal::Revoked.into()),
                Reserve::Displaced => return Err(LoginRefusal::Displaced.into()),
                Reserve::Blocked => return Err(LoginRefusal::Blocked.into()),
            }
        }
    }

    /// Enters a login whose session is stored. If it does not count any more, its session is deleted: nobody
    /// has its cookie yet.
    pub(in super::super) async fn confirm(
        &self,
        mut admission: Admission,
        stored: &Record,
    ) -> Result<(), SessionError> {
        let index = self.index()?;
        let (made, replaces) = (&admission.made, admission.replaces);
        if LoginName::of(stored) != Some(made.login) {
            // Somebody has logged in to the very session since, so there is nothing of this one to enter.
            return Ok(());
        }
        let actor = admission.actor.as_ref();
        let places = [
            Some((&made.user, made.epoch)),
            actor.map(|actor| (&actor.user, actor.epoch)),
        ];
        let confirming = async {
            for (user, epoch) in places.into_iter().flatten() {
                let confirmation = Confirmation {
                    login: made.login,
                    replaces,
                    epoch,
                    ends_at: stored.absolute_end(),
                };
                let confirm = || index.store.confirm(user, confirmation);
                let refusal = match persistently(confirm).await? {
                    Confirm::Confirmed => continue,
                    Confirm::Revoked => LoginRefusal::Revoked,
                    Confirm::Displaced => LoginRefusal::Displaced,
                };
                for user in made.users() {
                    self.finish_ending(user, vec![made.login], EndReason::LoginRefused)
                        .await?;
                }
                return Err(refusal.into());
            }
            Ok(())
        };
        let confirmed = self.bounded_index("confirm", pin!(confirming)).await;
        let confirmed = self.observe_refusal(&made.user, confirmed);
        match confirmed {
            Err(SessionError::Store(fault)) => {
                let error = SessionError::Store(fault);
                admission.give_up_after(&error).await;
                Err(unknown(error))
            }
            confirmed => {
                admission.is_settled = true;
                confirmed
            }
        }
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
        let (Some(left), Some(_)) = (left, &self.index) else {
            return;
        };
        let core = Arc::clone(self);
        self.behind(async move {
            let Some(index) = &core.index else { return };
            for user in left.users() {
                let settle = async { Ok(index.store.settle(user, vec![left.login]).await?) };
                // A fault leaves an entry without a session.
                let _ = core.bounded_index("settle", pin!(settle)).await;
            }
        });
    }
}

impl Admission {
    /// Gives the place up because the login has failed: at once, so that the user can try again; behind the
    /// response if that has waited long enough for the store.
    pub(in super::super) async fn give_up_after(mut self, error: &SessionError) {
        if matches!(error, SessionError::Store(fault) if fault.kind() == StoreErrorKind::TimedOut) {
            return;
        }
        let giving_up = pin!(self.core.give_up(&self.made));
        let given_up = self.core.bounded_index("give_up", giving_up).await;
        self.is_settled = given_up.is_ok();
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.is_settled {
            return;
        }
        let (core, made) = (Arc::clone(&self.core), self.made.clone());
        self.core.behind(async move {
            // Should this fail too, the reservation lapses.
            let giving_up = pin!(core.give_up(&made));
            let _ = core.bounded_index("give_up", giving_up).await;
        });
    }
}

impl Core {
    /// Takes a login out of the index that nobody has been given the cookie of.
    async fn give_up(&self, made: &LoggedIn) -> Result<(), SessionError> {
        let index = self.index()?;
        for user in made.users() {
            index.store.condemn(user, made.login).await?;
            self.finish_ending(user, vec![made.login], EndReason::LoginRefused)
                .await?;
        }
        Ok(())
    }
}

/// A fault between a login's commit and its confirmation: what is stored has another secret than before, and may or
/// may not be in the index.
fn unknown(error: SessionError) -> SessionError {
    match error {
        SessionError::Store(fault) if !fault.outcome_unknown() => {
            StoreError::with_source(StoreErrorKind::Interrupted, fault).into()
        }
        error => error,
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
