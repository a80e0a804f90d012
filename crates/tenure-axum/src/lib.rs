//! Versioned HTTP sessions for [axum](https://docs.rs/axum).
//!
//! Add a [`SessionLayer`] to the router and extract [`Session`] in handlers:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tenure_axum::{
//!     KeyRing, MemoryStore, Session, SessionError, SessionLayer, SessionManager,
//! };
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?).build()?;
//!
//!     let app = Router::new()
//!         .route("/", get(visit))
//!         .layer(SessionLayer::new(sessions));
//!
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//!
//! async fn visit(session: Session) -> Result<String, SessionError> {
//!     let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
//!     Ok(format!("visit number {visits}"))
//! }
//! ```
//!
//! # Which extractor
//!
//! | extractor | is for | store calls |
//! |---|---|---|
//! | [`Session`] | handlers that use the session | one load |
//! | `Option<Session>` | handlers that only care for visitors who have a session | one load |
//! | [`SessionHandle`] | handlers that decide for themselves whether they need it | none, until `load` |
//! | [`Stored<T>`](Stored) | one struct under one key | one load |
//!
//! A request loads its session once, however many extractors and middlewares ask for it. A route
//! without any of them costs no store call.
//!
//! Everything that an application needs is exported here; besides this crate it depends on a store's
//! only, such as `tenure-redis`. [`MemoryStore`] is built in.

mod error;
mod extract;
mod stored;

pub use self::{
    error::SessionError,
    extract::{Session, SessionHandle},
    stored::Stored,
};
/// Why a request's changes were not committed, as [`SessionLayer::on_refusal`] is told.
#[doc(no_inline)]
pub use tenure_core::SessionError as Refusal;
#[doc(no_inline)]
pub use tenure_core::{
    Actor, AuditAction, AuditEntry, AuditError, AuditFile, AuditOutcome, AuditSink, AuditTrace,
    Client, ClientInfo, Clock, CookieConfig, CookieConfigBuilder, CookieConfigError, EndReason,
    EndedLogins, Epoch, InvalidLoginName, InvalidPrincipal, Key, KeyError, KeyRing, Lifetimes,
    LifetimesError, LoginCursor, LoginIndex, LoginName, LoginOptions, LoginRefusal, MemoryStore,
    MemoryStoreBuilder, Observer, OnConflict, OnHistoryLoss, OnLimit, Operator, Principal,
    SameSite, SessionData, SessionEvent, SessionEventKind, SessionId, SessionIndex, SessionInfo,
    SessionManager, SessionManagerBuilder, SessionManagerError, SessionStore, StoreError,
    StoreErrorKind, Timestamp, UserCursor, UserLogins, UserPage, Version, verify_audit,
};
#[doc(no_inline)]
pub use tenure_tower::{RequestHead, SessionLayer};
