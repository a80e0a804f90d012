use std::{
    fmt,
    future::{Ready, ready},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, Transform},
    error::InternalError,
    http::header::{self, HeaderValue},
};
use tenure_core::{ClientInfo, SessionError, SessionHandle, SessionManager};

use crate::{SessionService, error::status, headers};

/// Gives requests their sessions. See the [crate's page](crate).
///
/// Clones share everything.
#[derive(Clone)]
pub struct SessionMiddleware {
    manager: SessionManager,
    refuse: Arc<dyn Fn(&SessionError) -> HttpResponse + Send + Sync>,
    address: Option<Arc<FindAddress>>,
}

/// Finds the address of the browser.
type FindAddress = dyn Fn(&HttpRequest) -> Option<IpAddr> + Send + Sync;

impl SessionMiddleware {
    /// A middleware over the sessions of `manager`.
    #[must_use]
    pub fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            refuse: Arc::new(|refusal| HttpResponse::new(status(refusal))),
            address: None,
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

    /// Where the address of the browser stands in a request, for a manager that
    /// [keeps](tenure_core::SessionManagerBuilder::client_info) addresses. Only the application knows: behind a proxy
    /// it is in a field that the proxy sets, and what visitors put there must not count.
    ///
    /// ```
    /// # use tenure_actix::{SessionManager, SessionMiddleware};
    /// # fn middleware(sessions: SessionManager) {
    /// // Without a proxy.
    /// let middleware = SessionMiddleware::new(sessions)
    ///     .client_address(|request| Some(request.peer_addr()?.ip()));
    /// # let _ = middleware;
    /// # }
    /// ```
    #[must_use]
    pub fn client_address(
        self,
        address: impl Fn(&HttpRequest) -> Option<IpAddr> + Send + Sync + 'static,
    ) -> Self {
        Self {
            address: Some(Arc::new(address)),
            ..self
        }
    }

    /// Tells a session that is about to be handed on what is known of the browser.
    pub(crate) fn note_client(&self, handle: &SessionHandle, request: &HttpRequest) {
        if self.manager.client_info() == ClientInfo::Off {
            return;
        }
        let user_agent = request.headers().get(header::USER_AGENT);
        let address = self.address.as_ref().and_then(|find| find(request));
        handle.note_client(user_agent.map(HeaderValue::as_bytes), address);
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
