//! One request's way through the manager: open → load → changes → plan → commit → headers (`finish.rs`).

use std::{
    fmt,
    pin::pin,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};

use parking_lot::Mutex;

use super::{
    Core, OnHistoryLoss, SessionManager,
    core::{Created, within},
    events,
    line::{Place, Settled},
    logins::{Admission, LoggedIn},
    standing::Standing,
    state::{Ending, Plan, State},
};
use crate::{
    Delete, Freshness, Load, Record, SessionId, SessionSecret, StoreError, StoreErrorKind, Version,
    VersionUse, Whose,
    changes::{Below, Changes, NewLogin, SessionError},
    cookie::{RawToken, Sought},
};

/// A request and what it has to do with its session.
#[derive(Debug)]
pub(crate) struct Visit {
    manager: SessionManager,
    presented: Presented,
    pub(super) failure: OnceLock<SessionError>,
    pub(crate) state: Mutex<State>,
    /// How many handles the request's adapter and handlers hold.
    pub(crate) handles: AtomicUsize,
    /// Held while the session is on its way from the store, or changes on their way to it.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// What the request brought along. Nothing is verified before somebody asks for the session.
enum Presented {
    Nothing,
    Ambiguous,
    Malformed,
    Value(RawToken),
}

impl Visit {
    pub(crate) fn open<F: AsRef<[u8]>>(
        manager: SessionManager,
        cookie_fields: impl IntoIterator<Item = F>,
    ) -> Self {
        let presented = match manager.core.cookie_finder.find(cookie_fields) {
            Sought::Absent => Presented::Nothing,
            Sought::Ambiguous => Presented::Ambiguous,
            Sought::Malformed => Presented::Malformed,
            Sought::Found(token) => Presented::Value(token),
        };
        Self {
            manager,
            presented,
            failure: OnceLock::new(),
            state: Mutex::default(),
            handles: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The same session for work that goes on behind the response. `None` if nothing is stored.
    pub(crate) fn detached(&self) -> Option<Self> {
        Some(Self {
            manager: self.manager.clone(),
            presented: Presented::Nothing,
            failure: OnceLock::new(),
            state: Mutex::new(self.state.lock().detached()?),
            handles: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    pub(crate) fn is_untouched(&self) -> bool {
        self.state.lock().loaded.is_none() && self.failure.get().is_none()
    }

    /// Remembers the first error that no success may hide.
    pub(crate) fn fail(&self, error: SessionError) {
        let _ = self.failure.set(error);
    }

    /// Loads the session, once per request, failures included: a request does not wait twice for a
    /// store that is down.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        let loaded = || self.state.lock().loaded.clone();
        if let Some(outcome) = loaded() {
            return outcome;
        }
        let _turn = self.turn().await?;
        // Whoever had the turn before may have done it.
        if let Some(outcome) = loaded() {
            return outcome;
        }
        let standing = self.find_standing().await;
        let mut state = self.state.lock();
        match standing {
            Ok(standing) => {
                state.begin(standing, self.core().version_use < VersionUse::Floor);
                Ok(())
            }
            Err(error) => {
                state.loaded = Some(Err(error.clone()));
                Err(error)
            }
        }
    }

    /// Waits for whatever this request has under way with its session, as long as the store may take: that
    /// may be a future which somebody keeps and does not poll.
    async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, SessionError> {
        if let Ok(turn) = self.turn.try_lock() {
            return Ok(turn);
        }
        let turn = pin!(self.turn.lock());
        let turn = within(self.core().deadline, turn).await;
        turn.ok_or_else(|| {
            let busy = "another call of the same request is under way";
            StoreError::with_source(StoreErrorKind::TimedOut, busy).into()
        })
    }

    /// Finds out what the presented cookie is worth.
    async fn find_standing(&self) -> Result<Standing, SessionError> {
        let core = self.core();
        let verified = match &self.presented {
            Presented::Nothing => return Ok(Standing::Stranger),
            Presented::Ambiguous => {
                events::cookie_ambiguous();
                return Ok(Standing::Stranger);
            }
            Presented::Malformed => Err("malformed"),
            Presented::Value(raw) => raw
                .verify(&core.token_keys)
                .map_err(|refused| refused.as_str()),
        };
        let (token, is_current_key) = match verified {
            Ok(verified) => verified,
            Err(reason) => {
                events::cookie_refused(reason);
                return Ok(Standing::Stranger);
            }
        };
        if core.is_known_absent(token.id) {
            events::unknown(core, token.id);
            return Ok(Standing::Lost);
        }
        core.mind_the_gate().await;
        let freshness = Freshness::AtLeast(token.version);
        let record = match core.load(token.id, freshness).await {
            Ok(Load::Found(record)) => record,
            Ok(Load::Expired(expiry)) => {
                events::expired(core, token.id, expiry);
                return Ok(Standing::Lost);
            }
            Ok(Load::Absent) => {
                events::unknown(core, token.id);
                core.note_absent(token.id);
                return Ok(Standing::Lost);
            }
            Err(SessionError::Store(error)) if error.kind() == StoreErrorKind::Corrupt => {
                return Ok(Standing::Unreadable {
                    id: token.id,
                    secret: token.secret.hash(),
                    error: error.into(),
                });
            }
            Err(error) => return Err(error),
        };
        if core.is_past_the_gate(&record) {
            events::ended_with_everyone(core, token.id);
            core.note_absent(token.id);
            return Ok(Standing::Lost);
        }
        if self.ends_for_lost_history(&record, token.version).await? {
            return Ok(Standing::Lost);
        }
        if record.secret_hash() != token.secret.hash() {
            events::superseded(core, token.id);
            return Ok(core.terms.superseded_by(&record, core.clock.now()));
        }
        let is_told = is_current_key && core.is_told_enough(&record, token.version);
        Ok(Standing::holder(record, token.secret, is_told))
    }

    /// Whether the store lost commits that the cookie proves, and the session was ended for it.
    async fn ends_for_lost_history(
        &self,
        record: &Record,
        seen: Version,
    ) -> Result<bool, SessionError> {
        let core = self.core();
        let relation = record.lineage().relation(seen);
        let Some(reason) = events::history_lost(core, record.id(), relation) else {
            return Ok(false);
        };
        match core.terms.on_history_loss {
            OnHistoryLoss::Continue => Ok(false),
            OnHistoryLoss::EndSession => {
                // Boxed, since it is rare and each load would have room for it. Who has logged in since
                // stays so.
                let ending = Box::pin(core.delete(record.id(), Whose::Login(record.login().stamp)));
                if ending.await? == Delete::Deleted {
                    events::destroyed(core, record.id(), reason);
                }
                Ok(true)
            }
        }
    }

    /// Reads the session anew from the primary and puts the request's changes on top.
    pub(crate) async fn refresh(&self) -> Result<(), SessionError> {
        let _turn = self.turn().await?;
        let (id, seen) = match &*self.state.lock() {
            state if state.has_ended() => return Err(SessionError::Gone),
            State {
                standing: Standing::Unreadable { error, .. },
                ..
            } => return Err(error.clone()),
            state => match state.held() {
                Some(record) => (record.id(), record.version()),
                None => return Ok(()),
            },
        };
        let Load::Found(record) = self.core().load(id, Freshness::Latest).await? else {
            return Err(self.state.lock().lose(SessionError::Gone));
        };
        if self.core().is_past_the_gate(&record) {
            return Err(self.state.lock().lose(SessionError::Gone));
        }
        if self.ends_for_lost_history(&record, seen).await? {
            return Err(self.state.lock().lose(SessionError::HistoryLost));
        }
        let is_told_enough = self.core().is_told_enough(&record, seen);
        let below = self.state.lock().refresh(record, is_told_enough)?;
        below.map_or(Ok(()), |below| self.put_onto(&below))
    }

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
        let core = self.core();
        let plan = self.state.lock().plan(&*core.entropy)?;
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
                if let Some(ending) = instead_of {
                    Box::pin(self.end(ending)).await?;
                }
                Box::pin(self.create(&changes, None)).await
            }
            Plan::Commit {
                onto,
                mut set,
                secret,
            } => {
                let id = onto.id();
                if core.is_past_the_gate(&onto) {
                    return Err(self.state.lock().lose(SessionError::Gone));
                }
                let mut admission = None;
                if let Some(login) = &mut set.changes.login {
                    let before = LoggedIn::of(&onto);
                    admission = Box::pin(self.admit(login, id, before.as_ref())).await?;
                }
                // For the index only, so that without one nobody else holds the record.
                let before = core.has_index().then(|| onto.clone());
                let place = Arc::new(Place::new(onto, set));
                let changes = &place.set.changes;
                let committing = pin!(core.lines.commit(core, &place));
                match core.bounded("commit", id, committing).await {
                    Ok(settled) => {
                        events::committed(core, id, changes);
                        if let Some(before) = before {
                            let noting = self.note_in_index(&before, changes, admission, &settled);
                            Box::pin(noting).await?;
                        }
                        let is_to_be_told = core.tells_each_commit(&settled.record);
                        let below = self.state.lock().settle(settled, secret, is_to_be_told);
                        // Changes that were made meanwhile may fail on the new values, which their own
                        // commit will say: these are committed.
                        let _ = self.put_onto(&below);
                        Ok(())
                    }
                    // A login that came too late for its own session does not have to wait for a
                    // cookie that may never arrive: it begins a session of its own.
                    Err(error @ SessionError::Superseded) if changes.login.is_some() => {
                        // Also if the new one cannot be stored: the old secret's cookie is worth nothing, and
                        // would replace another login's.
                        self.state.lock().lose(error);
                        let given_up = admission.map(|place| place.made);
                        Box::pin(self.create(changes, given_up)).await
                    }
                    Err(error) => Err(self.state.lock().lose(error)),
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
        core.settle_behind(ending.left);
        events::destroyed(core, id, "logout");
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
                return Err(self.state.lock().lose(error));
            }
            // An entry of the same user has been replaced by the new one.
            core.settle_behind(left.filter(|left| left.user != user));
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
        let no_index = core.index().err();
        if let Some(error) = no_index {
            return Err(error);
        }
        self.commit_now().await?;
        let held = self.state.lock().logged_in()?;
        let (count, fence) = core
            .end_logins(
                &held.made.user,
                Some(held.made.login),
                false,
                "ended_by_user",
            )
            .await?;
        let login = NewLogin {
            principal: held.made.user,
            retention: held.retention,
            stamp: self.manager.draw_stamp()?,
            is_fresh: false,
            fence: Some(fence),
            epoch: fence,
            gate: core.gate(),
        };
        self.state.lock().bindable()?.log_in(login);
        self.commit_now().await?;
        Ok(count)
    }

    /// Puts newer values below what the request has changed and not committed. Closures are replayed
    /// without the session's lock: they are the application's, and may use the session.
    fn put_onto(&self, below: &Below) -> Result<(), SessionError> {
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
    async fn create(
        &self,
        changes: &Changes,
        given_up: Option<LoggedIn>,
    ) -> Result<(), SessionError> {
        let core = self.core();
        let secret = SessionSecret::random(&*core.entropy)?;
        let (id, lineage) = core.draw_identity()?;
        let (now, lifetimes) = (core.clock.now(), core.terms.lifetimes);
        let fresh = Record::new(id, lineage, secret.hash(), now, lifetimes).with_gate(core.gate());
        let Some((record, own)) = core.terms.begin(fresh, changes)? else {
            return Ok(());
        };
        let creating = pin!(core.create(record, secret, changes.login.clone(), given_up));
        let Created {
            record,
            secret,
            admission,
        } = core.bounded("create", id, creating).await?;
        if let Some(admission) = admission
            && let Err(error) = core.confirm(admission, &record).await
        {
            return Err(self.state.lock().lose(error));
        }
        events::created(core, &record);
        let below = self.state.lock().hold_new(record, own, secret);
        // As after any commit.
        let _ = self.put_onto(&below);
        Ok(())
    }

    /// Ends a request that gets no response.
    pub(crate) fn abandon(&self) {
        // Outside of the lock: what closures hold may use the session, or be it.
        let dropped = self.state.lock().abandon();
        drop(dropped);
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.manager.core
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if self.state.get_mut().is_forgotten() {
            events::report_misuse(&"changes of a detached session were dropped without a commit");
        }
    }
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Ambiguous => "Ambiguous",
            Self::Malformed => "Malformed",
            Self::Value(_) => "Value(..)",
        })
    }
}

/// Each time, the request would have to change its session just then.
const MOST_REPLAYS: u32 = 16;
