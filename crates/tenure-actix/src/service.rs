use std::{pin::Pin, rc::Rc};

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse, forward_ready},
    http::header::COOKIE,
};
use tenure_core::SessionHandle;

use crate::SessionMiddleware;

/// A service whose requests carry a [`SessionHandle`](tenure_core::SessionHandle). Made by
/// [`SessionMiddleware`].
#[derive(Debug)]
pub struct SessionService<S> {
    inner: S,
    middleware: Rc<SessionMiddleware>,
}

impl<S> SessionService<S> {
    pub(crate) const fn new(inner: S, middleware: Rc<SessionMiddleware>) -> Self {
        Self { inner, middleware }
    }
}

impl<S, B> Service<ServiceRequest> for SessionService<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, request: ServiceRequest) -> Self::Future {
        // The request's head is only read. Somebody outside may hold a clone of it, and actix panics when
        // such a one is changed; extensions are shared by all clones and can be.
        let cookies = request.headers().get_all(COOKIE);
        let manager = self.middleware.manager();
        let handle = manager.open_inside(request.extensions().get::<SessionHandle>(), cookies);
        self.middleware.note_client(&handle, request.request());
        request.extensions_mut().insert(handle.clone());
        let inner = self.inner.call(request);
        let middleware = Rc::clone(&self.middleware);
        Box::pin(async move {
            let outcome = inner.await;
            middleware.finish(&handle, outcome).await
        })
    }
}
