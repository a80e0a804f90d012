use http::Response;
use tenure_core::{SessionError, SessionManager};
use tower_layer::Layer;

use crate::{EmptyBody, SessionService};

/// Gives the requests to a service their sessions. See the [crate's page](crate).
#[derive(Clone, Debug)]
pub struct SessionLayer<R = EmptyBody> {
    manager: SessionManager,
    refusal: R,
}

impl SessionLayer {
    /// A layer over the sessions of `manager`.
    #[must_use]
    pub const fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            refusal: EmptyBody,
        }
    }
}

impl<R> SessionLayer<R> {
    /// Answers with another response when a request's changes could not be committed, instead of an
    /// empty one with the error's status.
    ///
    /// ```
    /// use http::Response;
    /// use tenure_core::SessionManager;
    /// use tenure_tower::SessionLayer;
    ///
    /// # fn layer(sessions: SessionManager) {
    /// let layer = SessionLayer::new(sessions).on_refusal(|refusal| {
    ///     let mut response = Response::new(format!("please try again: {refusal}"));
    ///     *response.status_mut() = refusal.status().try_into().unwrap();
    ///     response
    /// });
    /// # let _ = layer;
    /// # }
    /// ```
    #[must_use]
    pub fn on_refusal<F, B>(self, refusal: F) -> SessionLayer<F>
    where
        F: Fn(&SessionError) -> Response<B>,
    {
        SessionLayer {
            manager: self.manager,
            refusal,
        }
    }
}

impl<S, R: Clone> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.manager.clone(), self.refusal.clone())
    }
}
