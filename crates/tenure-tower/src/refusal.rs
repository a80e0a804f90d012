use http::{Response, StatusCode};
use tenure_core::SessionError;

/// Makes the response to a request whose changes could not be committed.
///
/// Implemented by closures `Fn(&SessionError) -> Response<B>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot make a response whose body is a `{B}`",
    label = "the session layer needs a response to send when changes could not be committed",
    note = "an empty body is made by `Default`, which the bodies of some layers lack, such as tower-http's `TraceLayer`",
    note = "put that layer outside of `SessionLayer`, or tower-http's `MapResponseBodyLayer::new(Body::new)` between the two",
    note = "or give `SessionLayer::on_refusal` a closure that returns such a response"
)]
pub trait MakeRefusal<B> {
    /// The response that answers `refusal`.
    fn refusal(&self, refusal: &SessionError) -> Response<B>;
}

impl<F, B> MakeRefusal<B> for F
where
    F: Fn(&SessionError) -> Response<B>,
{
    fn refusal(&self, refusal: &SessionError) -> Response<B> {
        self(refusal)
    }
}

/// Answers with [`SessionError::status`] and an empty body: the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyBody;

// So that the compiler speaks of this trait, with its advice, and not of `Default`.
#[diagnostic::do_not_recommend]
impl<B: Default> MakeRefusal<B> for EmptyBody {
    fn refusal(&self, refusal: &SessionError) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() =
            StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}
