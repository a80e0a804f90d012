use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Response;
use pin_project_lite::pin_project;
use tenure_core::{Finish, SessionHandle};

use crate::{MakeRefusal, headers};

pin_project! {
    /// The response of a [`SessionService`](crate::SessionService).
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F, B, R> {
        #[pin]
        stage: Stage<F, B>,
        handle: SessionHandle,
        refusal: R,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, B> {
        /// The inner service is at work.
        Responding { #[pin] inner: F },
        /// Its response waits for the store. Boxed, since most requests do not get here.
        Finishing {
            response: Option<Response<B>>,
            finish: Pin<Box<dyn Future<Output = Finish> + Send>>,
        },
    }
}

impl<F, B, R> ResponseFuture<F, B, R> {
    pub(crate) const fn new(inner: F, handle: SessionHandle, refusal: R) -> Self {
        Self {
            stage: Stage::Responding { inner },
            handle,
            refusal,
        }
    }
}

impl<F, B, E, R> Future for ResponseFuture<F, B, R>
where
    F: Future<Output = Result<Response<B>, E>>,
    R: MakeRefusal<B>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Responding { inner } => {
                    let mut response = ready!(inner.poll(context))?;
                    let status = response.status().as_u16();
                    if let Some(finish) = this.handle.finish_at_once(status) {
                        headers::apply(finish, this.handle.cookie_name(), response.headers_mut());
                        return Poll::Ready(Ok(response));
                    }
                    let handle = this.handle.clone();
                    this.stage.set(Stage::Finishing {
                        response: Some(response),
                        finish: Box::pin(async move { handle.finish(status).await }),
                    });
                }
                StageProjection::Finishing { response, finish } => {
                    let finish = ready!(finish.as_mut().poll(context));
                    let response = response.take();
                    let mut response = match (&finish.refusal, response) {
                        (None, Some(response)) => response,
                        (Some(refusal), _) => this.refusal.refusal(refusal),
                        (None, None) => unreachable!("polled after completion"),
                    };
                    headers::apply(finish, this.handle.cookie_name(), response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

impl<F, B, R> fmt::Debug for ResponseFuture<F, B, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
