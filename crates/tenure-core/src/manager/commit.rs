//! How a request's changes reach the store: its plan carried out.

use std::{pin::pin, sync::Arc};

use super::{
    Visit,
    core::Created,
    events,
    line::{Place, Settled},
    logins::{Admission, LoggedIn},
    plan::{Ending, Plan},
};
use crate::{
    Actor, AuditAction, Delete, EndReason, Epoch, LoginStamp, Operator, Principal, Record,
    SessionId, SessionSecret,
    changes::{Below, Changes, NewLogin, SessionError},
};

impl Visit {
    /// Commits what the request has changed so far, if it is not too late for that.
    pub(crate) async fn commit_now(&self) -> Result<(), SessionError> {
        if self.state.lock().is_abandoned() {
            return Err(SessionError::Sealed);
        }
        self.commit().await
    }

    /// Commits what the request has changed so far.
    pub(super) async fn commit(&self) -> Result<(), SessionError> {
        let _turn = self.turn().await?;
        let plan = self.state.lock().plan(&*self.core().entropy)?;
        match plan.acting() {
            None => self.carry_out(plan).await,
            Some((user, by)) => Box::pin(self.act(plan, user, by)).await,
        }
    }

    /// Lets an operator act in a user's name, and has it written down.
    async fn act(&self, plan: Plan, user: Principal, by: Operator) -> Result<(), SessionError> {
        let work = self.carry_out(plan);
        let (action, core) = (AuditAction::ActAs, self.core());
        core.audited(action, Some(&user), Some(&by), work, |()| 1)
            .await
    }

    async fn carry_out(&self, plan: Plan) -> Result<(), SessionError> {
        let core = self.core();
        match plan {
            Plan::Nothing => Ok(()),
            Plan::NothingNew { dropped } => {
                drop(dropped);
                Ok(())
            }
            Plan::Refuse { error, dropped } => {
                drop(dropped);
                Err(error)
            }
            Plan::Delete(ending) => Box::pin(self.end(ending)).await,
            // Boxed, so that the most frequent plan's future has no room for the others.
            Plan::Create {
                changes,
                instead_of,
            } => {
                let before = instead_of.as_ref().and_then(|it| it.left.clone());
                Box::pin(self.create(&changes, before, instead_of)).await
            }
            Plan::Commit {
                onto,
                mut set,
                secret,
            } => {
                let id = onto.id();
                core.mind_the_gate().await;
                if core.is_past_the_gate(&onto) {
                    return Err(self.state.lock().lose(SessionError::Gone));
                }
                let mut admission = None;
                if let Some(login) = &mut set.changes.login {
                    let before = LoggedIn::of(&onto);
                    admission = Box::pin(self.admit(login, id, before.as_ref())).await?;
                }
                let leaving = onto.principal().filter(|_| set.changes.logs_out).cloned();
                // For the index only, so that without one nobody else holds the record.
                let before = core.has_index().then(|| onto.clone());
                let place = Arc::new(Place::new(onto, set));
                let changes = &place.set.changes;
                let committing = pin!(core.lines.commit(core, &place));
                match core.bounded("commit", id, committing).await {
                    Ok(settled) => {
                        if let Some(before) = before {
                            let noting = self.note_in_index(&before, changes, admission, &settled);
                            Box::pin(noting).await?;
                        }
                        events::committed(core, id, changes);
                        if let Some(user) = leaving {
                            events::logged_out(core, id, &user);
                        }
                        let is_to_be_told = core.tells_each_commit(&settled.record);
                        let below = self.state.lock().settle(settled, secret, is_to_be_told);
                        // Changes that were made meanwhile may fail on the new values, which their own
                        // commit will say: these are committed.
                        let _ = self.put_onto(&below);
                        Ok(())
                    }
                    Err(error) => {
                        if let Some(place) = admission {
                            Box::pin(place.give_up_after(&error)).await;
                        }
                        // A login that came too late for its own session does not have to wait for a
                        // cookie that may never arrive: it begins a session of its own.
                        let begins_its_own =
                            matches!(error, SessionError::Superseded) && changes.login.is_some();
                        // Also if that one cannot be stored: the old secret's cookie is worth nothing, and
                        // would replace another login's.
                        let error = self.state.lock().lose(error);
                        if begins_its_own {
                            return Box::pin(self.create(changes, None, None)).await;
                        }
                        Err(error)
                    }
                }
            }
        }
    }

    /// Ends the session that the cookie names.
    async fn end(&self, ending: Ending) -> Result<(), SessionError> {
        let (core, id) = (self.core(), ending.id);
        match core.delete(id, ending.whose).await? {
            Delete::Superseded if ending.may_live_on => return Ok(()),
            Delete::Superseded => return Err(self.state.lock().lose(SessionError::Superseded)),
            Delete::Deleted => self.state.lock().forget(),
            // Ended by another request, whose visitor may have logged in again since; or by this one, if
            // it was sent again after it had happened, and then a dead cookie does no harm.
            Delete::Absent => self.state.lock().find_ended(),
        }
        let user = ending.left.as_ref().map(|left| &left.user);
        events::destroyed(core, id, user, EndReason::Logout);
        core.settle_behind(ending.left);
        core.note_absent(id);
        Ok(())
    }

    /// Takes a place in the index, as long as the store may take.
    async fn admit(
        &self,
        login: &mut NewLogin,
        id: SessionId,
        before: Option<&LoggedIn>,
    ) -> Result<Option<Admission>, SessionError> {
        let core = self.core();
        let admitting = pin!(core.admit(login, id, before));
        core.bounded_index("reserve", admitting).await
    }

    /// Tells the index what a commit has changed about who is logged in. Only a login waits for it.
    async fn note_in_index(
        &self,
        before: &Record,
        changes: &Changes,
        admission: Option<Admission>,
        settled: &Settled,
    ) -> Result<(), SessionError> {
        let core = self.core();
        let left = LoggedIn::of(before);
        if let Some(admission) = admission {
            let user = admission.made.user.clone();
            if let Err(error) = core.confirm(admission, &settled.record).await {
                return Err(self.state.lock().lose_login(error));
            }
            // An entry of the same user has been replaced by the new one.
            core.settle_behind(left.filter(|left| left.user != user || left.actor.is_some()));
        } else if changes.logs_out {
            core.settle_behind(left);
        } else if core.is_touch_due(before, &settled.record) {
            core.touch_behind(&settled.record);
        }
        Ok(())
    }

    /// Ends the other logins of whoever is logged in.
    pub(crate) async fn end_others(&self) -> Result<usize, SessionError> {
        let core = self.core();
        core.index()?;
        self.commit_now().await?;
        let held = self.state.lock().logged_in()?;
        // Whoever has been ended in the meantime has no others to end.
        core.check_in(&held.made, held.ends_at)
            .await
            .map_err(|error| self.state.lock().lose(error))?;
        let (user, spared) = (&held.made.user, Some(held.made.login));
        let work = core.end_logins(user, spared, false, EndReason::EndedByUser);
        let acting = |actor: &Actor| Operator::new(actor.user.as_str(), "acting for the user");
        let by = held.actor.as_ref().map(acting);
        let ended = core.audited(
            AuditAction::EndOthers,
            Some(user),
            by.as_ref(),
            work,
            |ended| ended.0 as u64,
        );
        let (count, fence) = ended.await?;
        let stamp = self.manager().draw_stamp(held.actor.is_some())?;
        let login = NewLogin {
            retention: held.retention,
            actor: held.actor,
            fence: Some(fence),
            ..self.same_again(held.made.user, fence, stamp)
        };
        self.state.lock().bindable()?.log_in(login);
        self.commit_now().await?;
        Ok(count)
    }

    /// Ends acting in somebody's name: whoever did is logged in themselves again, in the same session.
    pub(crate) fn stop_acting(&self) -> Result<(), SessionError> {
        let held = self.state.lock().logged_in()?;
        let actor = held.actor.ok_or(SessionError::NobodyLoggedIn)?;
        let stamp = self.manager().draw_stamp(false)?;
        let login = NewLogin {
            fence: self.core().has_index().then_some(actor.epoch),
            ..self.same_again(actor.user, actor.epoch, stamp)
        };
        self.state.lock().bindable()?.log_in(login);
        Ok(())
    }

    /// The login of somebody who is logged in in this session already, in that epoch of their logins.
    fn same_again(&self, user: Principal, epoch: Epoch, stamp: LoginStamp) -> NewLogin {
        NewLogin {
            client: self.client(),
            is_fresh: false,
            epoch,
            gate: self.core().gate(),
            ..NewLogin::new(user, stamp)
        }
    }

    /// Puts newer values below what the request has changed and not committed. Closures are replayed
    /// without the session's lock: they are the application's, and may use the session.
    pub(super) fn put_onto(&self, below: &Below) -> Result<(), SessionError> {
        for _ in 0..MOST_REPLAYS {
            let changes = self.state.lock().draft.changes().clone();
            let (edits, outcome) = match below.replay(&changes) {
                Ok(edits) => (Some(edits), Ok(())),
                Err(error) => (None, Err(error)),
            };
            if self.state.lock().draft.put_onto(below, &changes, edits) {
                return outcome;
            }
        }
        // The request, or a closure of it, goes on changing the session. The commit will replay it all.
        self.state.lock().draft.put_unseen(below);
        Ok(())
    }

    /// Begins a session with these changes, if they leave anything to store.
    ///
    /// A session that has to end for it ends when nothing but the store can refuse the new one any more. `before` is a
    /// login that a new one replaces.
    async fn create(
        &self,
        changes: &Changes,
        before: Option<LoggedIn>,
        ending: Option<Ending>,
    ) -> Result<(), SessionError> {
        let core = self.core();
        core.mind_the_gate().await;
        let secret = SessionSecret::random(&*core.entropy)?;
        let (id, lineage) = core.draw_identity()?;
        let (now, lifetimes) = (core.clock.now(), core.terms.lifetimes);
        let mut fresh = Record::new(id, lineage, secret.hash(), now, lifetimes);
        fresh = fresh.with_gate(core.gate());
        if let Some(client) = self.client() {
            fresh = fresh.with_client(&client);
        }
        let Some((record, own)) = core.terms.begin(fresh, changes)? else {
            return match ending {
                Some(ending) => self.end(ending).await,
                None => Ok(()),
            };
        };
        let (mut login, mut admission) = (changes.login.clone(), None);
        if let Some(login) = &mut login {
            admission = self.admit(login, id, before.as_ref()).await?;
        }
        if let Some(ending) = ending {
            let may_live_on = ending.may_live_on;
            self.end(ending).await?;
            if self.state.lock().has_ended() && !may_live_on {
                // Somebody else was faster, and whoever that was may have logged in again: this cookie would take
                // the place of theirs.
                return Err(SessionError::Gone);
            }
        }
        let creating = pin!(core.create(record, secret, login, admission));
        let Created {
            record,
            secret,
            admission,
        } = core.bounded("create", id, creating).await?;
        if let Some(admission) = admission
            && let Err(error) = core.confirm(admission, &record).await
        {
            return Err(self.state.lock().lose_login(error));
        }
        events::created(core, &record);
        let below = self.state.lock().hold_new(record, own, secret);
        // As after any commit.
        let _ = self.put_onto(&below);
        Ok(())
    }
}

/// Each time, the request would have to change its session just then.
const MOST_REPLAYS: u32 = 16;
