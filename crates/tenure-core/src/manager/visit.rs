//! One request's way through the manager: open → load → changes → plan → commit → headers (`finish.rs`).

use std::{
    fmt,
    pin::pin,
    sync::{Arc, OnceLock, atomic::AtomicUsize},
};

use parking_lot::Mutex;

use super::{
    Core, OnHistoryLoss, SessionManager, core::within, events, standing::Standing, state::State,
};
use crate::{
    Client, Delete, EndReason, Freshness, Load, Record, StoreError, StoreErrorKind, Version,
    VersionUse, Whose,
    changes::SessionError,
    cookie::{RawToken, Sought},
};

/// A request and what it has to do with its session.
#[derive(Debug)]
pub(crate) struct Visit {
    manager: SessionManager,
    presented: Presented,
    /// What is known of the browser, if that is kept.
    client: OnceLock<Arc<Client>>,
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
            client: OnceLock::new(),
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
            client: self.client.clone(),
            failure: OnceLock::new(),
            state: Mutex::new(self.state.lock().detached()?),
            handles: AtomicUsize::new(0),
            turn: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// Keeps what is known of the browser. The first time counts.
    pub(crate) fn note_client(&self, client: Client) {
        let _ = self.client.set(Arc::new(client));
    }

    pub(crate) fn client(&self) -> Option<Arc<Client>> {
        self.client.get().cloned()
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
    pub(super) async fn turn(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, SessionError> {
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
        core.mind_the_gate().await;
        if core.is_known_absent(token.id) {
            events::unknown(core, token.id);
            return Ok(Standing::Lost);
        }
        let freshness = Freshness::AtLeast(token.version);
        let record = match core.load(token.id, freshness).await {
            Ok(Load::Found(record)) => record,
            Ok(Load::Expired(expiry)) => {
                events::expired(core, token.id, expiry.into());
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
            events::expired(core, token.id, EndReason::EveryoneEnded);
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
        core.touch_what_is_only_read(&record);
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
                    events::destroyed(core, record.id(), record.principal(), reason);
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
        self.core().mind_the_gate().await;
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
