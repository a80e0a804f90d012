use std::{
    fmt,
    future::{Ready, ready},
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
};
use tenure_core::{SessionError, SessionHandle, SessionManager};

use crate::{SessionService, error::status, headers};

/// Gives requests their sessions. See the [crate's page](crate).
///
/// Clones share everything.
#[derive(Clone)]
pub struct SessionMiddleware {
    manager: SessionManager,
    refuse: Arc<dyn Fn(&SessionError) -> HttpResponse + Send + Sync>,
}

impl SessionMiddleware {
    /// A middleware over the sessions of `manager`.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            refuse: Arc::new(|refusal| HttpResponse::new(status(refusal))),
        }
    }

    /// Answers with another response when a request's changes could not be committed, instead of an
    /// empty one with the error's status.
    ///
    /// ```
    /// use actix_web::HttpResponse;
    /// use tenure_actix::{SessionManager, SessionMiddleware};
    ///
    /// # fn middleware(sessions: SessionManager) {
    /// let middleware = SessionMiddleware::new(sessions).on_refusal(|refusal| {
    ///     let status = refusal.status().try_into().unwrap();
    ///     HttpResponse::build(status).body(format!("please try again: {refusal}"))
    /// });
    /// # let _ = middleware;
    /// # }
    /// ```
    #[must_use]
    pub fn on_refusal(
        self,
        refuse: impl Fn(&SessionError) -> HttpResponse + Send + Sync + 'static,
    ) -> Self {
        Self {
            refuse: Arc::new(refuse),
            ..self
        }
    }

    pub(crate) const fn manager(&self) -> &SessionManager {
        &self.manager
    }

    /// Commits what the request has changed, and makes the outcome of the inner service one that
    /// says so.
    pub(crate) async fn finish<B>(
        &self,
        handle: &SessionHandle,
        outcome: Result<ServiceResponse<B>, Error>,
    ) -> Result<ServiceResponse<EitherBody<B>>, Error> {
        let status = match &outcome {
            Ok(response) => headers::status(response.response()),
            // Its response is made later, and can be made only once.
            Err(error) => error.as_response_error().status_code().as_u16(),
        };
        let finish = match handle.finish_at_once(status) {
            Some(finish) => finish,
            None => handle.finish(status).await,
        };
        let manager = self.manager.clone();
        let refusal = finish.refusal.as_ref().map(|refusal| {
            // As an error, so that actix's logger has it too.
            Error::from(InternalError::from_response(
                refusal.clone(),
                (self.refuse)(refusal),
            ))
        });
        match (outcome, refusal) {
            (Ok(response), refusal) => {
                let mut response = match refusal {
                    None => response.map_into_left_body(),
                    Some(refusal) => response.error_response(refusal).map_into_right_body(),
                };
                headers::apply(&finish, manager.cookie_name(), response.headers_mut());
                Ok(response)
            }
            (Err(error), refusal) => {
                let mut error = refusal.unwrap_or(error);
                error.add_response_mapper(move |mut response| {
                    headers::apply(&finish, manager.cookie_name(), response.headers_mut());
                    response
                });
                Err(error)
            }
        }
    }
}

impl<S, B> Transform<S, ServiceRequest> for SessionMiddleware
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = SessionService<S>;
    type InitError = ();
    type Future = Ready<Result<Self::Transform, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(SessionService::new(inner, Rc::new(self.clone()))))
    }
}

impl fmt::Debug for SessionMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMiddleware")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
