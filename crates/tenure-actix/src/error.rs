use actix_web::{HttpResponse, ResponseError, http::StatusCode};

/// Why an extractor failed, or what went wrong with a session in a handler.
///
/// Handlers return it, and `?` turns [`tenure_core::SessionError`] into it; where the error is
/// [`actix_web::Error`], `map_err(SessionError::from)` comes first. As a response it has the
/// error's status and an empty body: 409 if the changes lost against another request's, 503 if the
/// store failed, 500 for mistakes in the program.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The route has no session middleware.
    #[error("the route has no session middleware; wrap its app or scope in `SessionMiddleware`")]
    MissingMiddleware,
    /// The session could not be loaded, changed or committed.
    #[error(transparent)]
    Session(#[from] tenure_core::SessionError),
}

impl ResponseError for SessionError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::MissingMiddleware => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Session(error) => status(error),
        }
    }

    fn error_response(&self) -> HttpResponse {
        // The manager reports faults of the store; a mistake in the program shows nowhere else.
        if self.status_code() == StatusCode::INTERNAL_SERVER_ERROR {
            tenure_core::report_misuse(self);
        }
        HttpResponse::new(self.status_code())
    }
}

pub(crate) fn status(error: &tenure_core::SessionError) -> StatusCode {
    StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
