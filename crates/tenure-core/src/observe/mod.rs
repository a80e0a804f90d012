//! What others are told of sessions: observers after the fact, audits before and after it.

mod audit;

use std::fmt;

pub use self::audit::{
    AuditAction, AuditEntry, AuditError, AuditFile, AuditOutcome, AuditSink, AuditTrace, Operator,
    verify_audit,
};
pub(crate) use self::audit::{Audited, Auditor, ErasedSink};
use crate::{Expiry, LoginRefusal, Principal, SessionId, Timestamp};

/// Told of what happens to sessions, besides the events in the log: for metrics, mails ("a new device has logged in"),
/// and what else an application wants to do about it.
///
/// What is told has happened. It is told on the node on which it happened or was seen, mostly in the middle of a
/// request: an observer must neither wait nor take long, and passes work on, as through a channel. One that panics is
/// taken for one that has returned.
///
/// A session that nobody uses any more ends without anybody to see it: [`Expiry`] is told of if somebody comes with its
/// cookie, so late, at most once a minute and node, and maybe never.
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Something has happened.
    fn observe(&self, event: &SessionEvent<'_>);
}

/// What has happened to a session.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SessionEvent<'a> {
    /// What.
    pub kind: SessionEventKind,
    /// When, by the manager's clock.
    pub at: Timestamp,
    /// Whose session: its id, which is no secret, and no name for logs either. `None` where it is about no session, or
    /// about all.
    pub session: Option<SessionId>,
    /// Who is or was logged in, as far as that is known here.
    pub user: Option<&'a Principal>,
}

/// What can happen to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// It began.
    Created,
    /// Somebody has logged in.
    Authenticated,
    /// Whoever was logged in has logged out, and the session goes on without them.
    LoggedOut,
    /// Its secret was replaced.
    Rotated,
    /// It is in use and lives on.
    Renewed,
    /// A login was refused by the index.
    LoginRefused(LoginRefusal),
    /// It has ended.
    Ended(EndReason),
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// Its visitor logged out.
    Logout,
    /// Nobody has used it for its idle timeout.
    Idle,
    /// Its absolute timeout was over.
    Absolute,
    /// Its user ended it from another one.
    EndedByUser,
    /// An operator ended it.
    EndedByOperator,
    /// All logins of its user were ended.
    AllEnded,
    /// All sessions there are were ended.
    EveryoneEnded,
    /// Other logins of its user took its place.
    Displaced,
    /// Its user may not log in any more.
    Blocked,
    /// It had been ended before, and somebody has completed that.
    Revoked,
    /// Its login was refused after it was stored.
    LoginRefused,
    /// The store has lost its history, which has gone on elsewhere.
    VersionFork,
    /// The store has lost its latest commits.
    StoreRollback,
}

impl EndReason {
    /// The word for it in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Idle => "idle",
            Self::Absolute => "absolute",
            Self::EndedByUser => "ended_by_user",
            Self::EndedByOperator => "ended_by_operator",
            Self::AllEnded => "all_ended",
            Self::EveryoneEnded => "everyone_ended",
            Self::Displaced => "displaced",
            Self::Blocked => "blocked",
            Self::Revoked => "revoked",
            Self::LoginRefused => "login_refused",
            Self::VersionFork => "version_fork",
            Self::StoreRollback => "store_rollback",
        }
    }
}

impl From<Expiry> for EndReason {
    fn from(expiry: Expiry) -> Self {
        match expiry {
            Expiry::Idle => Self::Idle,
            Expiry::Absolute => Self::Absolute,
        }
    }
}
