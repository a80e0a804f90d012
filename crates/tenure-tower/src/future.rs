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
    pub struct ResponseFuture<F: Future, R> {
        #[pin]
        stage: Stage<F>,
        handle: SessionHandle,
        refusal: R,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F: Future> {
        /// The inner service is at work.
        Responding { #[pin] inner: F },
        /// Its outcome waits for the store. Boxed, since most requests do not get here.
        Finishing {
            outcome: Option<F::Output>,
            finish: Pin<Box<dyn Future<Output = Finish> + Send>>,
        },
    }
}

impl<F: Future, R> ResponseFuture<F, R> {
    pub(crate) const fn new(inner: F, handle: SessionHandle, refusal: R) -> Self {
        Self {
            stage: Stage::Responding { inner },
            handle,
            refusal,
        }
    }
}

impl<F, B, E, R> Future for ResponseFuture<F, R>
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
                    let mut outcome = ready!(inner.poll(context));
                    let status = outcome.as_ref().map_or(FAILURE, headers::status);
                    if let Some(finish) = this.handle.finish_at_once(status) {
                        if let Ok(response) = &mut outcome {
                            let name = this.handle.cookie_name();
                            headers::apply(finish, name, response.headers_mut());
                        }
                        return Poll::Ready(outcome);
                    }
                    let handle = this.handle.clone();
                    this.stage.set(Stage::Finishing {
                        outcome: Some(outcome),
                        finish: Box::pin(async move { handle.finish(status).await }),
                    });
                }
                StageProjection::Finishing { outcome, finish } => {
                    let finish = ready!(finish.as_mut().poll(context));
                    let mut response = match (outcome.take(), &finish.refusal) {
                        // There is no response to put anything into.
                        (Some(Err(error)), _) => return Poll::Ready(Err(error)),
                        (Some(Ok(response)), None) => response,
                        (_, Some(refusal)) => this.refusal.refusal(refusal),
                        (None, None) => unreachable!("polled after completion"),
                    };
                    headers::apply(finish, this.handle.cookie_name(), response.headers_mut());
                    return Poll::Ready(Ok(response));
                }
            }
        }
    }
}

impl<F: Future, R> fmt::Debug for ResponseFuture<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What an error of the inner service counts as.
const FAILURE: u16 = 500;
