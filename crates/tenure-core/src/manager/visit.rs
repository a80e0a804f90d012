//! One request's way through the manager: open → load → changes → plan → commit → headers.

use std::{fmt, sync::OnceLock};

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{
    Core, OnHistoryLoss, SessionManager, events,
    state::{Plan, Standing, State},
};
use crate::{
    Create, Freshness, Lineage, Load, Record, SessionId, SessionSecret, Version,
    cookie::{RawToken, Sought, find},
    entropy::random,
    session::{Changes, SessionError},
};

/// A request and what it has to do with its session.
#[derive(Debug)]
pub(crate) struct Visit {
    manager: SessionManager,
    presented: Presented,
    loaded: OnceCell<Result<(), SessionError>>,
    failure: OnceLock<SessionError>,
    pub(crate) state: Mutex<State>,
    /// Held while changes are on their way to the store.
    committing: tokio::sync::Mutex<()>,
}

/// What the request brought along. Nothing is verified before somebody asks for the session.
enum Presented {
    Nothing,
    Ambiguous,
    Malformed,
    Value(RawToken),
}

/// What a response needs besides what the application put into it.
#[derive(Clone, Default)]
#[non_exhaustive]
#[must_use = "the response must carry the cookie, and a refusal must replace it"]
pub struct Finish {
    /// Why the application's response must not be sent: its changes were not written.
    pub refusal: Option<SessionError>,
    /// The text of the one `Set-Cookie` field to add.
    pub set_cookie: Option<String>,
    /// Whether the response depends on the session, so that no shared cache may keep it; see
    /// [`private_cache_control`](crate::private_cache_control).
    pub is_personal: bool,
}

impl Visit {
    pub(crate) fn open<F: AsRef<[u8]>>(
        manager: SessionManager,
        cookie_fields: impl IntoIterator<Item = F>,
    ) -> Self {
        let presented = match find(cookie_fields, manager.cookie_name()) {
            Sought::Absent => Presented::Nothing,
            Sought::Ambiguous => Presented::Ambiguous,
            Sought::Malformed => Presented::Malformed,
            Sought::Found(token) => Presented::Value(token),
        };
        Self {
            manager,
            presented,
            loaded: OnceCell::new(),
            failure: OnceLock::new(),
            state: Mutex::default(),
            committing: tokio::sync::Mutex::default(),
        }
    }

    /// The same session for work that goes on behind the response. `None` if nothing is stored.
    pub(crate) fn detached(&self) -> Option<Self> {
        Some(Self {
            manager: self.manager.clone(),
            presented: Presented::Nothing,
            loaded: OnceCell::new_with(Some(Ok(()))),
            failure: OnceLock::new(),
            state: Mutex::new(self.state.lock().detached()?),
            committing: tokio::sync::Mutex::default(),
        })
    }

    pub(crate) fn manager(&self) -> &SessionManager {
        &self.manager
    }

    pub(crate) fn is_untouched(&self) -> bool {
        !self.loaded.initialized() && self.failure.get().is_none()
    }

    /// Remembers the first error that no success may hide.
    pub(crate) fn fail(&self, error: SessionError) {
        let _ = self.failure.set(error);
    }

    /// Loads the session, once per request, failures included: a request does not wait twice for a
    /// store that is down.
    pub(crate) async fn load(&self) -> Result<(), SessionError> {
        let load = || async {
            let standing = self.find_standing().await?;
            self.state.lock().begin(standing);
            Ok(())
        };
        self.loaded.get_or_init(load).await.clone()
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
        let record = match core
            .load(token.id, Freshness::AtLeast(token.version))
            .await?
        {
            Load::Found(record) => *record,
            Load::Expired(expiry) => {
                events::expired(core, token.id, expiry);
                return Ok(Standing::Lost);
            }
            Load::Absent => {
                events::unknown(core, token.id);
                return Ok(Standing::Lost);
            }
        };
        if self.ends_for_lost_history(&record, token.version).await? {
            return Ok(Standing::Lost);
        }
        if record.secret_hash() != token.secret.hash() {
            events::superseded(core, token.id);
            return Ok(core.terms.superseded_by(&record));
        }
        let is_told = is_current_key && record.version() == token.version;
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
                core.delete(record.id()).await?;
                events::destroyed(core, record.id(), reason);
                Ok(true)
            }
        }
    }

    /// Reads the session anew from the primary and puts the request's changes on top.
    pub(crate) async fn refresh(&self) -> Result<(), SessionError> {
        let _turn = self.committing.lock().await;
        let (id, seen) = match &*self.state.lock() {
            state if state.has_ended() => return Err(SessionError::Gone),
            state => match state.held() {
                Some(record) => (record.id(), record.version()),
                None => return Ok(()),
            },
        };
        let Load::Found(record) = self.core().load(id, Freshness::Latest).await? else {
            return Err(self.state.lock().lose(SessionError::Gone));
        };
        if self.ends_for_lost_history(&record, seen).await? {
            return Err(self.state.lock().lose(SessionError::HistoryLost));
        }
        self.state.lock().refresh(*record)
    }

    /// Commits what the request has changed so far.
    pub(crate) async fn commit(&self) -> Result<(), SessionError> {
        let _turn = self.committing.lock().await;
        let core = self.core();
        let plan = self.state.lock().plan(core.clock.now(), &*core.entropy)?;
        match plan {
            Plan::Nothing => Ok(()),
            Plan::Refuse(error) => Err(error),
            Plan::Forget => {
                self.state.lock().forget();
                Ok(())
            }
            Plan::Delete(id) => {
                core.delete(id).await?;
                events::destroyed(core, id, "logout");
                self.state.lock().forget();
                Ok(())
            }
            Plan::Create(changes) => self.create(&changes).await,
            Plan::Commit { set, onto, secret } => {
                let (id, changes) = (onto.id(), set.changes.clone());
                match core
                    .bounded("commit", id, core.lines.commit(core, onto, *set))
                    .await
                {
                    Ok(settled) => {
                        events::committed(core, id, &changes);
                        self.state.lock().settle(&core.terms, settled, secret)
                    }
                    // A login that came too late for its own session does not have to wait for a
                    // cookie that may never arrive: it begins a session of its own.
                    Err(SessionError::Superseded) if changes.login.is_some() => {
                        self.create(&changes).await
                    }
                    Err(error) => Err(self.state.lock().lose(error)),
                }
            }
        }
    }

    /// Begins a session with these changes, if they leave anything to store.
    async fn create(&self, changes: &Changes) -> Result<(), SessionError> {
        let core = self.core();
        for _ in 0..MOST_IDS {
            let secret = SessionSecret::random(&*core.entropy)?;
            let fresh = Record::new(
                SessionId::random(&*core.entropy)?,
                Lineage::first(u64::from_be_bytes(random(&*core.entropy)?)),
                secret.hash(),
                core.clock.now(),
                core.terms.lifetimes,
            );
            let Some(record) = core.terms.begin(&fresh, changes)? else {
                return Ok(());
            };
            match core.create(&record).await? {
                Create::Created => {
                    events::created(core, &record);
                    return self.state.lock().hold_new(record, secret);
                }
                Create::Exists => events::id_collision(core, record.id()),
            }
        }
        Err(SessionError::IdCollision)
    }

    /// Commits, and says what the response needs. Changes are refused from here on.
    pub(crate) async fn finish(&self, status: u16) -> Finish {
        if self.is_untouched() {
            return Finish::default();
        }
        let is_failure = is_failure(status);
        let hidden = self.failure.get().filter(|_| !is_failure);
        let is_failure = is_failure || hidden.is_some();
        self.state.lock().seal(is_failure);
        let refusal = self.commit().await.err().or_else(|| hidden.cloned());
        if let Some(error) = refusal.as_ref().filter(|error| error.status() == 500) {
            events::report_misuse(error);
        }
        let may_look = refusal.is_none() && !is_failure;
        Finish {
            refusal,
            set_cookie: self.set_cookie(may_look).await,
            is_personal: true,
        }
    }

    /// The cookie that the response has to carry. Only a response that succeeded may look at the
    /// store again for it.
    async fn set_cookie(&self, may_look: bool) -> Option<String> {
        let core = self.core();
        let (record, secret, is_told) = match &*self.state.lock() {
            state if state.is_removal_due(may_look) => return Some(core.cookie.remove()),
            State {
                standing: Standing::Holder(holding),
                ..
            } => {
                if holding.is_cookie_due {
                    return Some(core.set_cookie(&holding.record, &holding.secret));
                }
                (
                    holding.record.clone(),
                    holding.secret.clone(),
                    holding.is_told,
                )
            }
            State { .. } => return None,
        };
        if !may_look {
            return None;
        }
        let record = core.look_again(record, is_told).await?;
        Some(core.set_cookie(&record, &secret))
    }

    fn core(&self) -> &Core {
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

/// Whether a response of that status takes back what its handler changed. 408 says that the server
/// stopped waiting for the handler, which was then dropped in the middle of its work.
const fn is_failure(status: u16) -> bool {
    status >= 500 || status == 408
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish")
            .field("refusal", &self.refusal)
            .field("set_cookie", &self.set_cookie.as_ref().map(|_| ".."))
            .field("is_personal", &self.is_personal)
            .finish()
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

/// Two live ids being equal by chance does not happen; three times in a row, the generator is broken.
const MOST_IDS: u32 = 3;
