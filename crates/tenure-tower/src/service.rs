use std::task::{Context, Poll};

use http::{
    HeaderMap, Request, Response,
    header::{self, Entry},
};
use tenure_core::{ClientInfo, SessionHandle, SessionManager};
use tower_service::Service;

use crate::{MakeRefusal, ResponseFuture, layer::ClientAddress};

/// A service whose requests carry a [`SessionHandle`](tenure_core::SessionHandle). Made by
/// [`SessionLayer`](crate::SessionLayer).
#[derive(Clone, Debug)]
pub struct SessionService<S, R> {
    inner: S,
    manager: SessionManager,
    refusal: R,
    address: ClientAddress,
}

impl<S, R> SessionService<S, R> {
    pub(crate) const fn new(
        inner: S,
        manager: SessionManager,
        refusal: R,
        address: ClientAddress,
    ) -> Self {
        Self {
            inner,
            manager,
            refusal,
            address,
        }
    }
}

impl<S, R, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S, R>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    R: MakeRefusal<ResBody> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, R>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        // Opening a session needs no waiting, so the inner service that was polled ready is called
        // right here: no clone of it, which might not be ready.
        let outer = request.extensions().get::<SessionHandle>();
        let cookies = request.headers().get_all(header::COOKIE);
        let handle = self.manager.open_inside(outer, cookies);
        if self.manager.client_info() != ClientInfo::Off {
            self.address
                .note(&handle, request.headers(), request.extensions());
        }
        hide_cookies(request.headers_mut());
        request.extensions_mut().insert(handle.clone());
        ResponseFuture::new(self.inner.call(request), handle, self.refusal.clone())
    }
}

/// Keeps cookies out of what the application logs of its requests, and of HTTP/2's compression tables.
fn hide_cookies(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut cookies) = headers.entry(header::COOKIE) {
        for value in cookies.iter_mut() {
            value.set_sensitive(true);
        }
    }
}
