//! Errors, which are responses to be.

use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    error::{ErrorForbidden, ErrorInternalServerError},
    middleware::{Next, from_fn},
    test::init_service,
    web::get,
};
use tenure_actix::{SessionError, SessionExt, StoreErrorKind};
use tenure_testing::{Moment, Verb};

use crate::support::{Jar, count, middleware, read, store, visit};

/// A middleware between sessions and routes, as applications write them.
async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.session_handle()?.load().await;
    let session = session.map_err(SessionError::from)?;
    let count = || session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    match request.path() {
        "/forbidden" => {
            let n = count().map_err(SessionError::from)?;
            Err(ErrorForbidden(format!("refusal number {n}")))
        }
        "/broken" => {
            count().map_err(SessionError::from)?;
            Err(ErrorInternalServerError("broken"))
        }
        "/thrown-out" => {
            session.destroy().map_err(SessionError::from)?;
            Err(ErrorInternalServerError("thrown out"))
        }
        _ => next.call(request).await,
    }
}

#[actix_web::test]
async fn an_error_that_a_middleware_returns_is_committed_like_the_response_that_it_becomes() {
    let store = store();
    let app = App::new()
        .route("/read", get().to(read))
        .wrap(from_fn(gate))
        .wrap(middleware(&store, "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    for n in 1..3 {
        let answer = visit!(app, jar, "/forbidden");
        assert_eq!(answer.body, format!("refusal number {n}"));
        // The cookie comes with the session.
        assert_eq!(answer.cookies().len(), usize::from(n == 1));
        assert_eq!(answer.status, 403);
        assert!(answer.is_personal());
    }
    let answer = visit!(app, jar, "/broken");
    assert_eq!((answer.status, &*answer.body), (500, "broken"));
    assert!(answer.is_personal() && answer.cookies().is_empty());
    assert_eq!(visit!(app, jar, "/read").body, "2");

    let down = StoreErrorKind::Unavailable;
    store
        .inner()
        .fail_next(1, Verb::Commit, Moment::BeforeCall, down);
    let answer = visit!(app, jar, "/forbidden");
    assert_eq!((answer.status, &*answer.body), (503, ""));
    assert!(answer.is_personal() && answer.cookies().is_empty());
    assert_eq!(visit!(app, jar, "/read").body, "2");

    let before = jar.clone();
    let answer = visit!(app, jar, "/thrown-out");
    assert_eq!((answer.status, &*answer.body), (500, "thrown out"));
    assert_eq!(answer.cookies(), ["session="]);
    jar = before;
    assert_eq!(visit!(app, jar, "/read").body, "0");
}

#[actix_web::test]
async fn a_refusal_can_be_a_page_of_the_application_s_own() {
    let store = store();
    let sessions = middleware(&store, "session").on_refusal(|refusal| {
        let mut response = HttpResponse::build(refusal.status().try_into().unwrap());
        response.body(format!("sorry: {refusal}"))
    });
    let app = App::new()
        .route("/count", get().to(count))
        .wrap(sessions.clone());
    let app = init_service(app).await;
    let gated = App::new().wrap(from_fn(gate)).wrap(sessions);
    let gated = init_service(gated).await;
    let full = StoreErrorKind::Full;
    store
        .inner()
        .fail_next(2, Verb::Create, Moment::BeforeCall, full);
    let sorry = "sorry: the session could not be read or written";
    let answer = visit!(app, Jar::default(), "/count");
    assert_eq!((answer.status, &*answer.body), (503, sorry));
    let answer = visit!(gated, Jar::default(), "/forbidden");
    assert_eq!((answer.status, &*answer.body), (503, sorry));
}
