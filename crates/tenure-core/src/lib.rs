//! Versioned HTTP sessions: the session model, the storage contract and the session manager.
//!
//! This crate knows no web framework and no database driver. Applications use it through an adapter
//! (`tenure-axum`, `tenure-tower`, `tenure-actix`), stores implement [`SessionStore`].
//!
//! # How it fits together
//!
//! A session is a [`Record`] in a [`SessionStore`], under a [`SessionId`]. Each of its states has a
//! [`Version`], and a commit succeeds only on the version it was based on. The visitor's cookie
//! carries the id, the [`SessionSecret`] that proves the right to it, and the version last seen, all
//! signed with a [`KeyRing`].
//!
//! The [`SessionManager`] takes a request in ([`open`](SessionManager::open)), loads the [`Session`] when
//! a handler asks for it, and commits what the handler changed when the response is about to leave
//! ([`finish`](SessionHandle::finish)). If another request was faster, the changes are replayed on what
//! that one stored.
//!
//! # Events
//!
//! What happens to sessions is reported through `tracing`, with the target `tenure`, a field `event`
//! and, where a session is concerned, a field `session`: a keyed hash of its id. `session_created`,
//! `session_rotated`, `principal_bound`, `session_destroyed`, `session_expired` at the level info;
//! `unknown_session`, `cookie_refused`, `cookie_ambiguous`, `secret_superseded`, `login_refused`,
//! `login_entered_again`, `everyone_ended` as warnings;
//! `version_fork`, `store_rollback`, `id_collision`, `commit_contended`, `store_failed`, `index_failed`,
//! `gate_unproven`, `audit_failed`,
//! `session_misused` (a mistake in the program, answered with 500) as errors;
//! `commit_conflict` for debugging. No event holds an id, a secret, a user's name or a value.

mod changes;
mod clock;
mod cookie;
mod entropy;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
mod manager;
mod model;
mod observe;
mod session;
mod store;

pub use self::{
    changes::{OnConflict, SessionError},
    clock::{Clock, SystemClock, Timestamp},
    cookie::{
        CookieConfig, CookieConfigBuilder, CookieConfigError, KeyError, KeyRing, SameSite,
        invites_caches, needs_vary_cookie, private_cache_control, sets_cookie,
    },
    entropy::{Entropy, EntropyError, OsEntropy},
    manager::{
        EndedLogins, Finish, LoginIndex, OnHistoryLoss, OnLimit, SessionInfo, SessionManager,
        SessionManagerBuilder, SessionManagerError, UserLogins, outcome_status, report_misuse,
    },
    model::{
        Actor, AnyKey, Client, ClientInfo, DecodeError, Epoch, Expiry, InvalidKey,
        InvalidLoginName, InvalidPrincipal, Key, Lifetimes, LifetimesError, Lineage, Login,
        LoginName, LoginRefusal, LoginStamp, Principal, RECORD_HEADER_BYTES, Record, Relation,
        Retention, SecretHash, SessionId, SessionKey, SessionSecret, Values, Version, Whose,
    },
    observe::{
        AuditAction, AuditEntry, AuditError, AuditFile, AuditOutcome, AuditSink, AuditTrace,
        EndReason, Observer, Operator, SessionEvent, SessionEventKind, verify_audit,
    },
    session::{LoginOptions, Session, SessionData, SessionHandle, Stored},
    store::{
        Absence, CONDEMNED_PER_CALL, Commit, Confirm, Confirmation, Create, Delete, Ended, Ending,
        Fed, Feed, FeedListener, Freshness, Load, LoginCursor, LoginEntry, LoginLimit, LoginPage,
        LoginRoll, LoginSeen, LoginState, MemoryStore, MemoryStoreBuilder, Part, RESERVED_FOR,
        Renewal, Reservation, Reserve, SessionIndex, SessionStore, Standing, StoreError,
        StoreErrorKind, Touch, UserCursor, UserPage, UserStanding, VersionUse,
    },
};
