use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use crate::SessionError;

/// The visitor's session, loaded. Everything that it can do is at [`tenure_core::Session`].
///
/// `Option<Session>` is `None` for visitors for whom nothing is stored.
///
/// # Errors
///
/// Rejects with 503 if the store fails, which is never taken for an empty session, and with 500 if
/// the route has no [`SessionLayer`](crate::SessionLayer).
#[derive(Clone, Debug)]
pub struct Session(tenure_core::Session);

impl Deref for Session {
    type Target = tenure_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        Ok(Self(handle(parts)?.load().await?))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        let session = handle(parts)?.load().await?;
        Ok(session.id().is_some().then_some(Self(session)))
    }
}

/// The visitor's session, not loaded: costs no store call until
/// [`load`](tenure_core::SessionHandle::load) is called.
///
/// # Errors
///
/// Rejects with 500 if the route has no [`SessionLayer`](crate::SessionLayer).
#[derive(Clone, Debug)]
pub struct SessionHandle(tenure_core::SessionHandle);

impl Deref for SessionHandle {
    type Target = tenure_core::SessionHandle;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for SessionHandle {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        handle(parts).map(Self)
    }
}

/// Cloned, so that the request's parts are not borrowed while the store is asked.
pub(crate) fn handle(parts: &Parts) -> Result<tenure_core::SessionHandle, SessionError> {
    let handle = parts.extensions.get::<tenure_core::SessionHandle>();
    handle.cloned().ok_or(SessionError::MissingLayer)
}
