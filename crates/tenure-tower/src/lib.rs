//! Versioned HTTP sessions for [tower](https://docs.rs/tower).
//!
//! [`SessionLayer`] puts a [`SessionHandle`] into each request's extensions. A service that wants the
//! session asks the handle for it; when the response comes back, the layer commits what was changed
//! before the response's head leaves, and adds the cookie.
//!
//! It works with every service of `http` requests and responses: hyper, tonic, axum (for which
//! `tenure-axum` has extractors besides). A failed call of gRPC drops its changes as a response of 500
//! does, if it says so in the response's head: tonic does for all errors that a method returns.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use tenure_core::{KeyRing, MemoryStore, SessionHandle, SessionManager};
//! use tenure_tower::SessionLayer;
//! use tower::{ServiceBuilder, ServiceExt};
//!
//! async fn visit(request: Request<String>) -> Result<Response<String>, Infallible> {
//!     let handle: &SessionHandle = request.extensions().get().expect("the layer is there");
//!     let Ok(session) = handle.load().await else {
//!         return Ok(Response::builder().status(503).body(String::new()).unwrap());
//!     };
//!     let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
//!     Ok(Response::new(format!("visit number {visits}")))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(SessionLayer::new(sessions))
//!     .service_fn(visit);
//!
//! let response = service.oneshot(Request::new(String::new())).await?;
//! assert_eq!(response.body(), "visit number 1");
//! assert!(response.headers().contains_key("set-cookie"));
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
//! ```
//!
//! # Where to put it
//!
//! Inside of layers that rewrite bodies, such as compression, and outside of everything that uses
//! sessions. A layer outside of it that answers by itself, such as a timeout, drops the request's
//! future: its changes are then written entirely or not at all.
//!
//! Layers of several managers, with cookies of different names, go together; a service sees the session of the
//! innermost. A layer of a manager that has one further out already uses the session that is there: it is
//! committed once, by the outer layer, which also makes the refusals.
//!
//! # When the response is another one
//!
//! Errors of the inner service pass through untouched, and nothing is committed but a
//! [logout](tenure_core::Session::destroy), before they do. If the changes cannot be committed, the inner
//! response is replaced: 503 if the store failed, 409 on a true conflict or if the session has ended, with
//! an empty body; [`SessionLayer::on_refusal`] makes another response.
//!
//! An empty body is `B::default()`. Layers further in may give the body a type that has none, as tower-http's
//! `TraceLayer` does: put such a layer outside, or make it a type that has one, as `Body::new` of axum and
//! `tonic` do, with tower-http's `MapResponseBodyLayer` between the two.
//!
//! # Caches
//!
//! A response that read the session or sets its cookie gets `Vary: Cookie` and, unless it has
//! `private` or `no-store` already, a `Cache-Control` that keeps it out of shared caches; see
//! [`private_cache_control`](tenure_core::private_cache_control). What would let a cache of one kind keep it all
//! the same, such as `CDN-Cache-Control`, is [taken out](tenure_core::invites_caches).

mod future;
mod headers;
mod layer;
mod refusal;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{RequestHead, SessionLayer},
    refusal::{EmptyBody, MakeRefusal},
    service::SessionService,
};
#[doc(no_inline)]
pub use tenure_core::{SessionHandle, SessionManager};
