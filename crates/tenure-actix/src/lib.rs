//! Versioned HTTP sessions for [actix-web](https://docs.rs/actix-web).
//!
//! Wrap the app in a [`SessionMiddleware`] and extract [`Session`] in handlers:
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use tenure_actix::{
//!     KeyRing, MemoryStore, Session, SessionError, SessionManager, SessionMiddleware,
//! };
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // One manager, made outside of the closure: all workers share it.
//!     let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?).build()?;
//!
//!     let server = HttpServer::new(move || {
//!         App::new()
//!             .route("/", web::get().to(visit))
//!             .wrap(SessionMiddleware::new(sessions.clone()))
//!     });
//!     server.bind("127.0.0.1:3000")?.run().await?;
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
//! | [`Maybe<Session>`](Maybe) | handlers that only care for visitors who have a session | one load |
//! | [`SessionHandle`] | handlers that decide for themselves whether they need it | none, until `load` |
//! | [`Stored<T>`](Stored) | one struct under one key | one load |
//!
//! A request loads its session once, however many extractors and middlewares ask for it. A route
//! without any of them costs no store call. Middlewares without extractors get the handle by
//! [`SessionExt`].
//!
//! # `Option<Session>`
//!
//! actix makes an `Option<T>` and a `Result<T, E>` of every extractor, and an `Option` hides its
//! error: a store that is down would look like a visitor without a session. So an extractor of this
//! crate that fails makes the request fail, however it was wrapped: the handler runs, but the
//! middleware answers with the error's status instead (unless the response is a 5xx already), and
//! drops the changes. No response is ever made of an `Option<Session>` that is `None`. Say
//! [`Maybe<Session>`](Maybe) for the visitors without a session, and [`SessionHandle`] for a page that
//! is worth showing without the store.
//!
//! # Where to put it
//!
//! actix runs first what was wrapped last. Wrap sessions after everything that uses them, and before
//! what rewrites bodies, such as `Compress`. An app, a scope, a resource or a route can be wrapped.
//!
//! Middlewares of several managers, with cookies of different names, go together; a handler gets the session of
//! the innermost. A middleware of a manager that has one further out already uses the session that is there: it
//! is committed once, by the outer one, which also makes the refusals.
//!
//! A dropped request, as by a timeout outside, has its changes written entirely or not at all.
//!
//! # When the response is another one
//!
//! If the changes cannot be committed, the response is replaced: 503 if the store failed, 409 on a
//! true conflict or if the session has ended, with an empty body; [`SessionMiddleware::on_refusal`]
//! makes another response. An [`actix_web::Error`] that a middleware returns is a response to be: it
//! passes with the status, the commit and the header fields of one that a handler returns.
//!
//! # Caches
//!
//! A response that read the session or sets its cookie gets `Vary: Cookie` and, unless it has
//! `private` or `no-store` already, a `Cache-Control` that keeps it out of shared caches; see
//! [`private_cache_control`](tenure_core::private_cache_control). What would let a cache of one kind keep it all
//! the same, such as `CDN-Cache-Control`, is [taken out](tenure_core::invites_caches).
//!
//! # Logs
//!
//! actix leaves the `Cookie` field out of what it prints of an `HttpRequest`. Do not print its `headers()`
//! or give `Logger` a format with `%{cookie}i`: both show the session's credential.
//!
//! Everything that an application needs is exported here; besides this crate it depends on a store's
//! only, such as `tenure-redis`. [`MemoryStore`] is built in.

mod error;
mod extract;
mod headers;
mod middleware;
mod service;
mod stored;

pub use self::{
    error::SessionError,
    extract::{Maybe, Session, SessionExt, SessionHandle},
    middleware::SessionMiddleware,
    service::SessionService,
    stored::Stored,
};
/// Why a request's changes were not committed, as [`SessionMiddleware::on_refusal`] is told.
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
