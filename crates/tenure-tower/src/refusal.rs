use http::{Response, StatusCode};
use tenure_core::SessionError;

/// Makes the response to a request whose changes could not be committed.
///
/// Implemented by closures `Fn(&SessionError) -> Response<B>`.
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

impl<B: Default> MakeRefusal<B> for EmptyBody {
    fn refusal(&self, refusal: &SessionError) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() =
            StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }
}
