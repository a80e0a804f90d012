//! Where middlewares stand: around scopes, nested, twice.

use actix_web::{
    App, Error, HttpRequest,
    dev::{Service, ServiceRequest, ServiceResponse},
    guard::fn_guard,
    middleware::{Next, from_fn},
    test::init_service,
    web::{self, get},
};
use tenure_actix::SessionExt;
use tenure_testing::Verb;

use crate::support::{Jar, count, middleware, store, visit};

#[actix_web::test]
async fn a_scope_has_sessions_and_what_lies_beside_it_has_none() {
    let store = store();
    let has_session = fn_guard(|context| {
        let extensions = context.req_data();
        extensions.get::<tenure_core::SessionHandle>().is_some()
    });
    let inside = web::scope("/inside")
        .route("/count", get().guard(has_session).to(count))
        .route("/untouched", get().to(async || "untouched"))
        .wrap(middleware(&store, "session"));
    let app = App::new().service(inside).route("/count", get().to(count));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    assert_eq!(visit!(app, jar, "/inside/count").body, "1");
    assert_eq!(visit!(app, jar, "/inside/count").body, "2");
    let answer = visit!(app, jar, "/count");
    assert_eq!((answer.status, &*answer.body), (500, ""));

    let calls = store.log().len();
    let answer = visit!(app, jar, "/inside/untouched");
    assert_eq!((answer.status, &*answer.body), (200, "untouched"));
    assert!(answer.cookies().is_empty() && !answer.is_personal());
    assert_eq!(store.log().len(), calls);
}

#[actix_web::test]
async fn a_scope_inside_another_can_have_sessions_of_its_own() {
    let (visitors, staff) = (store(), store());
    let scope = web::scope("/staff")
        .route("/count", get().to(count))
        .wrap(middleware(&staff, "staff"));
    let app = App::new()
        .service(scope)
        .route("/count", get().to(count))
        .wrap(middleware(&visitors, "visitor"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    for n in ["1", "2"] {
        let answer = visit!(app, jar, "/staff/count");
        assert_eq!(answer.body, n);
        assert!(answer.cookies().iter().all(|it| it.starts_with("staff=")));
    }
    assert_eq!(visit!(app, jar, "/count").body, "1");
    assert_eq!(visitors.log().verbs(), [Verb::Create]);
}

#[actix_web::test]
async fn a_middleware_that_was_added_twice_does_everything_once() {
    let store = store();
    let sessions = middleware(&store, "session");
    let app = App::new()
        .route("/count", get().to(count))
        .wrap(sessions.clone())
        .wrap(sessions);
    let app = init_service(app).await;
    let mut jar = Jar::default();
    for n in ["1", "2", "3"] {
        let answer = visit!(app, jar, "/count");
        assert_eq!((&*answer.body, answer.cookies().len()), (n, 1));
        assert!(answer.is_personal());
    }
    let calls = [Verb::Create, Verb::Load, Verb::Commit].map(|verb| store.log().count(verb));
    assert_eq!(calls, [1, 2, 2]);
}

/// actix panics when a request is changed of which somebody holds a clone.
#[actix_web::test]
async fn a_clone_of_the_request_that_is_held_outside_does_no_harm() {
    let hold = async |request: ServiceRequest, next: Next<_>| {
        let held: HttpRequest = request.request().clone();
        let response: Result<ServiceResponse<_>, Error> = next.call(request).await;
        assert!(held.session_handle().is_ok());
        response
    };
    let store = store();
    let page = web::resource("/count")
        .route(get().to(count))
        .wrap(middleware(&store, "session"))
        .wrap(from_fn(hold));
    let app = init_service(App::new().service(page)).await;
    let mut jar = Jar::default();
    for n in ["1", "2", "3"] {
        assert_eq!(visit!(app, jar, "/count").body, n);
    }
}
