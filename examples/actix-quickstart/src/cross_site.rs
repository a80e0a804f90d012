//! Keeps other sites from acting in a visitor's name (cross-site request forgery).
//!
//! The rules are those of Go's `net/http.CrossOriginProtection`, which on tower are `CsrfLayer` of
//! `tower-http`.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{RequestHead, ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
};

/// Answers with 403 to requests by which another site's page would change something here. For
/// [`from_fn`](actix_web::middleware::from_fn).
pub(crate) async fn refuse_cross_site(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if is_cross_site(request.head()) {
        let refusal = HttpResponse::Forbidden().body("another site sent this; nothing was done\n");
        return Ok(request.into_response(refusal).map_into_right_body());
    }
    Ok(next.call(request).await?.map_into_left_body())
}

fn is_cross_site(request: &RequestHead) -> bool {
    // Links from elsewhere are meant to work, so these must not change anything that matters.
    if matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let field = |name| {
        let value = request.headers.get(name)?.as_bytes();
        (!value.is_empty()).then_some(value)
    };
    match (field("sec-fetch-site"), field("origin")) {
        (Some(site), _) => !matches!(site, b"same-origin" | b"none"),
        // A browser from before 2023, or plain HTTP.
        (None, Some(origin)) => {
            let scheme = [&b"https://"[..], b"http://"];
            let host = scheme.into_iter().find_map(|it| origin.strip_prefix(it));
            let authority = request.uri.authority().map(|it| it.as_str().as_bytes());
            host.is_none() || host != authority.or(field(header::HOST.as_str()))
        }
        // No browser: curl, a script or a server, and so no victim whose cookie it would add.
        (None, None) => false,
    }
}
