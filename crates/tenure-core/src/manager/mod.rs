//! The session manager: the only part that adapters talk to.

mod attempt;
mod builder;
mod combine;
mod commit;
mod core;
mod events;
mod finish;
mod line;
mod logins;
mod plan;
mod recent;
mod standing;
mod state;
mod visit;

use std::{fmt, sync::Arc};

pub use self::{
    builder::{OnHistoryLoss, SessionManagerBuilder, SessionManagerError},
    events::report_misuse,
    finish::{Finish, outcome_status},
    logins::{EndedLogins, LoginIndex, OnLimit, SessionInfo, UserLogins},
};
pub(crate) use self::{core::Core, visit::Visit};
use crate::{ClientInfo, KeyRing, LoginStamp, SessionStore, changes::SessionError};

/// Opens, loads and commits sessions. One per application; clones share everything.
///
/// An adapter needs two calls per request: [`open`](Self::open) before the application's code runs and
/// [`SessionHandle::finish`](crate::SessionHandle::finish) when the response's head is about to leave.
///
/// ```
/// use tenure_core::{KeyRing, MemoryStore, SessionManager};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?).build()?;
///
/// let visit = sessions.open(["theme=dark"]);
/// let session = visit.load().await?;
/// session.insert("name", "Ada")?;
///
/// let finish = visit.finish(200).await;
/// assert!(finish.set_cookie.unwrap().starts_with("__Host-session="));
/// # Ok(())
/// # }
/// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct SessionManager {
    core: Arc<Core>,
}

impl SessionManager {
    /// Begins a manager of the sessions in `store`, whose cookies are signed with `keys`.
    pub fn builder(store: impl SessionStore, keys: KeyRing) -> SessionManagerBuilder {
        SessionManagerBuilder::new(Box::new(store), keys)
    }

    /// Whether both are clones of one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.core, &other.core)
    }

    /// Refuses a value that would not fit into a session by itself, when it is written rather than
    /// when it is committed.
    pub(crate) fn check_value(&self, bytes: usize) -> Result<(), SessionError> {
        let limit = self.core.terms.max_record_bytes;
        if bytes > limit {
            return Err(SessionError::TooLarge { bytes, limit });
        }
        Ok(())
    }

    /// Names a login that is about to be made, in another one's name or one's own.
    pub(crate) fn draw_stamp(&self, is_acting: bool) -> Result<LoginStamp, SessionError> {
        let entropy = &*self.core.entropy;
        Ok(if is_acting {
            LoginStamp::random_acting(entropy)?
        } else {
            LoginStamp::random(entropy)?
        })
    }

    /// What sessions keep of browsers. Adapters need not look at what is not kept.
    #[must_use]
    pub fn client_info(&self) -> ClientInfo {
        self.core.client_info
    }

    /// The name of the session cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.core.cookie.name()
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("store", &self.core.store)
            .field("cookie", &self.core.cookie)
            .finish_non_exhaustive()
    }
}
