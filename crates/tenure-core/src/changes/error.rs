use std::{error::Error, sync::Arc};

use crate::{AuditError, EntropyError, InvalidKey, InvalidPrincipal, LoginRefusal, StoreError};

/// Why a session could not be loaded, changed or committed.
///
/// [`status`](Self::status) is the HTTP status that answers it; adapters turn it into a response
/// with an empty body. Cheap to clone.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed or did not answer in time. 503.
    ///
    /// [`StoreError::outcome_unknown`] tells whether a write may have happened.
    #[error("the session could not be read or written")]
    Store(#[from] StoreError),
    /// A value that this request had read and then replaced was changed by another request in
    /// between. Nothing of this request was written. 409.
    #[error("the session value {key:?} was changed by another request")]
    #[non_exhaustive]
    Conflict {
        /// The value's name.
        key: String,
    },
    /// The session ended (logout, expiry) while the request was under way. Nothing was written. 409.
    #[error("the session has ended")]
    Gone,
    /// The request came with a secret that a login or a rotation has replaced. Nothing was written. 409.
    #[error("the session's secret has been replaced")]
    Superseded,
    /// The login index has refused the login. Nobody is logged in. 409.
    ///
    /// Not to be mixed up with a wrong password: that was right, or was not looked at yet.
    #[error("the login was refused: {0}")]
    LoginRefused(LoginRefusal),
    /// What was asked for needs a [login index](crate::SessionManagerBuilder::login_index), and the session
    /// manager was built without one. 500.
    #[error(
        "the session manager has no login index; give it one with `SessionManagerBuilder::login_index`"
    )]
    NoIndex,
    /// The session is nobody's, so there is no user whose other logins could be ended. 500.
    #[error("nobody is logged in to the session")]
    NobodyLoggedIn,
    /// The store lost acknowledged commits that this request was based on. Nothing was written. 409.
    #[error("the session's history was lost by its store")]
    HistoryLost,
    /// So many others committed to the session that this request did not get its turn. Nothing was
    /// written. 503.
    #[error("the session was changed by others {attempts} times in a row")]
    #[non_exhaustive]
    Contended {
        /// How often this request tried.
        attempts: u32,
    },
    /// A value could not be encoded. 500.
    #[error("the session value {key:?} cannot be encoded")]
    #[non_exhaustive]
    Encode {
        /// The value's name.
        key: String,
        /// What the encoder said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// A stored value is not of the type that was asked for. 500.
    #[error("the session value {key:?} is not a {expected}: {reason}")]
    #[non_exhaustive]
    Decode {
        /// The value's name.
        key: String,
        /// The type that was asked for.
        expected: &'static str,
        /// What does not fit, without anything of the value.
        reason: String,
    },
    /// An update's closure or a merge panicked when it was run on a newer value. Nothing was written. 500.
    #[error("the update or merge of the session value {key:?} panicked on a newer value")]
    #[non_exhaustive]
    ReplayPanicked {
        /// The value's name.
        key: String,
    },
    /// An update's closure changes the very session that it computes a value for, so that it would never
    /// come to an end. 500.
    #[error("the update of the session value {key:?} changes its own session")]
    #[non_exhaustive]
    UpdateRecursed {
        /// The value's name.
        key: String,
    },
    /// A name that cannot be a key. 500.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// A principal's name that cannot be stored. 500.
    #[error(transparent)]
    Principal(#[from] InvalidPrincipal),
    /// The session would grow over its limit. Nothing was written. 500.
    #[error("the session would take {bytes} bytes; {limit} are allowed")]
    #[non_exhaustive]
    TooLarge {
        /// What it would take, as stored.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The session was destroyed earlier in this request. 500.
    #[error("the session was destroyed earlier in this request")]
    Destroyed,
    /// The response's head has been sent, so no cookie could tell the browser of a change. 500.
    ///
    /// Change the session before the handler returns, or what [`Session::detach`](crate::Session::detach)
    /// gives, which can do all but log in and rotate.
    #[error("the response has begun; change the session before the handler returns, or detach it")]
    Sealed,
    /// The [audit trail](crate::AuditSink) could not be written, so what was asked for was not done. 503.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Every id that was drawn for a new session was in use: the random generator is broken. 503.
    #[error("every id that was drawn for a new session was in use")]
    IdCollision,
    /// The random generator failed. 503.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

impl SessionError {
    /// The HTTP status that answers this error: 409, 500 or 503.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Conflict { .. }
            | Self::Gone
            | Self::Superseded
            | Self::LoginRefused(_)
            | Self::HistoryLost => 409,
            Self::Store(_)
            | Self::Audit(_)
            | Self::Contended { .. }
            | Self::IdCollision
            | Self::Entropy(_) => 503,
            Self::Encode { .. }
            | Self::Decode { .. }
            | Self::ReplayPanicked { .. }
            | Self::UpdateRecursed { .. }
            | Self::Key(_)
            | Self::Principal(_)
            | Self::TooLarge { .. }
            | Self::NoIndex
            | Self::NobodyLoggedIn
            | Self::Destroyed
            | Self::Sealed => 500,
        }
    }
}

impl From<LoginRefusal> for SessionError {
    fn from(refusal: LoginRefusal) -> Self {
        Self::LoginRefused(refusal)
    }
}
