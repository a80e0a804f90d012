use std::{
    future::{Ready, ready},
    ops::Deref,
    pin::Pin,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::{Payload, ServiceRequest},
};

use crate::SessionError;

/// The visitor's session, loaded. Everything that it can do is at [`tenure_core::Session`].
///
/// # Errors
///
/// Fails with 503 if the store fails, which is never taken for an empty session, and with 500 if
/// the route has no [`SessionMiddleware`](crate::SessionMiddleware). The request then fails too, also
/// as an `Option<Session>`; see the [crate's page](crate#optionsession).
#[derive(Clone, Debug)]
pub struct Session(tenure_core::Session);

impl Deref for Session {
    type Target = tenure_core::Session;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for Session {
    type Error = SessionError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, |session| Ok(Self(session)))
    }
}

/// A [`Session`] or [`Stored`](crate::Stored) value of visitors who have one; `None` for all others.
///
/// In the place of `Option`, which actix defines itself; see the [crate's page](crate#optionsession).
///
/// # Errors
///
/// As [`Session`].
#[derive(Clone, Debug)]
pub struct Maybe<T>(pub Option<T>);

impl FromRequest for Maybe<Session> {
    type Error = SessionError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, |session| {
            Ok(Self(session.id().is_some().then_some(Session(session))))
        })
    }
}

/// The visitor's session, not loaded: costs no store call until
/// [`load`](tenure_core::SessionHandle::load) is called.
///
/// # Errors
///
/// Fails with 500 if the route has no [`SessionMiddleware`](crate::SessionMiddleware).
#[derive(Clone, Debug)]
pub struct SessionHandle(tenure_core::SessionHandle);

impl Deref for SessionHandle {
    type Target = tenure_core::SessionHandle;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl FromRequest for SessionHandle {
    type Error = SessionError;
    type Future = Ready<Result<Self, SessionError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.session_handle())
    }
}

/// The session of a request, for middlewares and others who have no extractors.
pub trait SessionExt {
    /// The visitor's session, not loaded.
    ///
    /// # Errors
    ///
    /// [`SessionError::MissingMiddleware`].
    fn session_handle(&self) -> Result<SessionHandle, SessionError>;
}

impl SessionExt for HttpRequest {
    fn session_handle(&self) -> Result<SessionHandle, SessionError> {
        let extensions = self.extensions();
        let handle = extensions.get::<tenure_core::SessionHandle>();
        let handle = handle.ok_or(SessionError::MissingMiddleware)?;
        Ok(SessionHandle(handle.clone()))
    }
}

impl SessionExt for ServiceRequest {
    fn session_handle(&self) -> Result<SessionHandle, SessionError> {
        self.request().session_handle()
    }
}

pub(crate) type Extraction<T> = Pin<Box<dyn Future<Output = Result<T, SessionError>>>>;

/// Loads the session and makes an extractor of it. A failure becomes the request's: actix may hide it
/// from the handler.
pub(crate) fn extract<T>(
    request: &HttpRequest,
    read: impl FnOnce(tenure_core::Session) -> Result<T, tenure_core::SessionError> + 'static,
) -> Extraction<T> {
    let handle = request.session_handle();
    Box::pin(async move {
        let handle = handle?;
        let extracted = handle.load().await.and_then(read);
        Ok(extracted.inspect_err(|error| handle.fail(error.clone()))?)
    })
}
