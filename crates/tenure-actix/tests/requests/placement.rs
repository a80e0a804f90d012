//! Where middlewares stand: around scopes, nested, twice.

use actix_web::{
    App, Error, HttpRequest,
    body::MessageBody,
    dev::{Service, ServiceRequest, ServiceResponse},
    guard::fn_guard,
    middleware::{Next, from_fn},
    test::init_service,
    web::{self, get},
};
use tenure_actix::{Session, SessionError, SessionExt};
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
    for (n, cookies) in [("1", 1), ("2", 0), ("3", 0)] {
        let answer = visit!(app, jar, "/count");
        assert_eq!((&*answer.body, answer.cookies().len()), (n, cookies));
        assert!(answer.is_personal());
    }
    let calls = [Verb::Create, Verb::Load, Verb::Commit].map(|verb| store.log().count(verb));
    assert_eq!(calls, [1, 2, 2]);
}

/// Counts on the way in and on the way out, between two middlewares.
async fn count_twice(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.session_handle()?.load().await;
    let session = session.map_err(SessionError::from)?;
    let count = || {
        let counted = session.update("between", |n: Option<u64>| n.unwrap_or(0) + 1);
        counted.map_err(SessionError::from)
    };
    count()?;
    let response = next.call(request).await?;
    count()?;
    Ok(response)
}

#[actix_web::test]
async fn between_two_middlewares_of_one_manager_nothing_is_lost() {
    let login = async |session: Session| {
        session.login("ada")?;
        Ok::<_, SessionError>("logged in")
    };
    let between = async |session: Session| {
        let between = session.get::<u64>("between")?.unwrap_or(0);
        let user = session.principal();
        let user = user.map_or("-".to_owned(), |user| user.as_str().to_owned());
        Ok::<_, SessionError>(format!("{between} {user}"))
    };
    macro_rules! check {
        ($store:ident, $app:expr) => {{
            let app = init_service($app).await;
            let mut jar = Jar::default();
            for (n, cookies) in [("1", 1), ("2", 0), ("3", 0)] {
                let answer = visit!(app, jar, "/count");
                assert_eq!((&*answer.body, answer.cookies().len()), (n, cookies));
            }
            let calls = [Verb::Create, Verb::Load, Verb::Commit];
            assert_eq!(calls.map(|verb| $store.log().count(verb)), [1, 2, 2]);
            assert_eq!(visit!(app, jar, "/login").cookies().len(), 1);
            assert_eq!(visit!(app, jar, "/between").body, "9 ada");
        }};
    }
    let routes = move |config: &mut web::ServiceConfig| {
        let config = config.route("/count", get().to(count));
        let config = config.route("/login", get().to(login));
        config.route("/between", get().to(between));
    };
    let visitors = store();
    let sessions = middleware(&visitors, "session");
    let app = App::new().configure(routes).wrap(sessions.clone());
    check!(visitors, app.wrap(from_fn(count_twice)).wrap(sessions));

    // However far out the other one is, and whose middlewares stand between.
    let visitors = store();
    let sessions = middleware(&visitors, "session");
    let app = App::new().configure(routes).wrap(sessions.clone());
    let app = app.wrap(middleware(&store(), "other"));
    check!(visitors, app.wrap(from_fn(count_twice)).wrap(sessions));
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
