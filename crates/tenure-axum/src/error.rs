use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

/// Why an extractor rejected a request, or what went wrong with a session in a handler.
///
/// Handlers return it, and `?` turns [`tenure_core::SessionError`] into it. As a response it has the
/// error's status and an empty body: 409 if the changes lost against another request's, 503 if the
/// store failed, 500 for mistakes in the program.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The route has no session layer.
    #[error("the route has no session layer; add a `SessionLayer` to its router after the route")]
    MissingLayer,
    /// The session could not be loaded, changed or committed.
    #[error(transparent)]
    Session(#[from] tenure_core::SessionError),
}

impl SessionError {
    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        let status = match self {
            Self::MissingLayer => return StatusCode::INTERNAL_SERVER_ERROR,
            Self::Session(error) => error.status(),
        };
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        // The manager reports faults of the store; a mistake in the program shows nowhere else.
        if self.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tenure_core::report_misuse(&self);
        }
        self.status().into_response()
    }
}
