use std::{fmt, net::IpAddr, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, Response, header};
use tenure_core::{SessionError, SessionHandle, SessionManager};
use tower_layer::Layer;

use crate::{EmptyBody, SessionService};

/// Gives the requests to a service their sessions. See the [crate's page](crate).
#[derive(Clone, Debug)]
pub struct SessionLayer<R = EmptyBody> {
    manager: SessionManager,
    refusal: R,
    address: ClientAddress,
}

impl SessionLayer {
    /// A layer over the sessions of `manager`.
    #[must_use]
    pub const fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            refusal: EmptyBody,
            address: ClientAddress(None),
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
            address: self.address,
        }
    }

    /// Where the address of the browser stands in a request, for a manager that
    /// [keeps](tenure_core::SessionManagerBuilder::client_info) addresses. Only the application knows: behind a proxy
    /// it is in a field that the proxy sets, and what visitors put there must not count.
    ///
    /// ```
    /// # use std::net::{IpAddr, SocketAddr};
    /// # use tenure_core::SessionManager;
    /// # use tenure_tower::SessionLayer;
    /// # fn layer(sessions: SessionManager) {
    /// // Behind a proxy that sets this field itself.
    /// let layer = SessionLayer::new(sessions)
    ///     .client_address(|head| head.headers.get("x-real-ip")?.to_str().ok()?.parse().ok());
    /// # let _ = layer;
    /// # }
    /// ```
    #[must_use]
    pub fn client_address<F>(self, address: F) -> Self
    where
        F: Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync + 'static,
    {
        Self {
            address: ClientAddress(Some(Arc::new(address))),
            ..self
        }
    }
}

/// What a [`client_address`](SessionLayer::client_address) is found in.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// What servers and layers further out have added, such as the peer's address.
    pub extensions: &'a Extensions,
}

/// Finds the address of the browser.
#[derive(Clone)]
pub(crate) struct ClientAddress(Option<Arc<FindAddress>>);

type FindAddress = dyn Fn(&RequestHead<'_>) -> Option<IpAddr> + Send + Sync;

impl ClientAddress {
    /// Tells a session that is about to be handed on what is known of the browser.
    pub(crate) fn note(
        &self,
        handle: &SessionHandle,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) {
        let user_agent = headers.get(header::USER_AGENT).map(HeaderValue::as_bytes);
        let head = RequestHead {
            headers,
            extensions,
        };
        let address = self.0.as_ref().and_then(|find| find(&head));
        handle.note_client(user_agent, address);
    }
}

impl fmt::Debug for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(..)" } else { "None" })
    }
}

impl<S, R: Clone> Layer<S> for SessionLayer<R> {
    type Service = SessionService<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(
            inner,
            self.manager.clone(),
            self.refusal.clone(),
            self.address.clone(),
        )
    }
}
