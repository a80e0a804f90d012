//! Where session layers stand: several, nested, repeated, missing.

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use tenure_axum::{MemoryStore, Session, SessionError, SessionLayer};
use tenure_testing::{SpyStore, Verb};

use crate::app::{Visitor, count, counter, in_memory, manager, named};

#[tokio::test]
async fn two_layers_with_different_cookies_serve_two_parts_of_an_app() {
    let shop = counter().layer(SessionLayer::new(named(MemoryStore::new(), "shop")));
    let admin = counter().layer(SessionLayer::new(named(MemoryStore::new(), "admin")));
    let app = Router::new().nest("/shop", shop).nest("/admin", admin);
    let mut visitor = Visitor::new(app);
    for visits in 1..=3 {
        assert_eq!(visitor.number("/shop").await, visits);
        assert_eq!(visitor.number("/admin").await, visits);
    }
    assert_ne!(visitor.cookie("shop"), visitor.cookie("admin"));
}

/// Both see the request; the handler gets the session of the inner one, the outer one sets no cookie.
#[tokio::test]
async fn of_two_layers_around_a_route_the_inner_one_counts() {
    let (inner, outer) = (
        named(MemoryStore::new(), "inner"),
        named(MemoryStore::new(), "outer"),
    );
    let app = counter()
        .layer(SessionLayer::new(inner))
        .layer(SessionLayer::new(outer));
    let mut visitor = Visitor::new(app);
    for visits in 1..=3 {
        assert_eq!(visitor.number("/").await, visits);
    }
    assert!(visitor.cookie("inner").is_some());
    assert!(visitor.cookie("outer").is_none());
}

#[tokio::test]
async fn a_layer_that_was_added_twice_does_everything_once() {
    let store = SpyStore::new(MemoryStore::new());
    let log = store.log();
    let sessions = SessionLayer::new(manager(store));
    let mut visitor = Visitor::new(counter().layer(sessions.clone()).layer(sessions));
    for visits in 1..=3 {
        let response = visitor.send(visitor.request("/")).await;
        let cookies = response.headers().get_all(header::SET_COOKIE);
        assert_eq!(cookies.iter().count(), usize::from(visits == 1));
        let cache_control = response.headers().get_all(header::CACHE_CONTROL);
        assert_eq!(cache_control.iter().count(), 1);
        let body = crate::app::text(response).await;
        assert!(body.starts_with(&visits.to_string()));
    }
    let calls = [Verb::Create, Verb::Load, Verb::Commit].map(|verb| log.count(verb));
    assert_eq!(calls, [1, 2, 2]);
}

/// Counts on the way in and on the way out, between two layers.
async fn count_twice(
    session: Session,
    request: Request,
    next: Next,
) -> Result<Response, SessionError> {
    let count = || session.update("between", |n: Option<u64>| n.unwrap_or(0) + 1);
    count()?;
    let response = next.run(request).await;
    count()?;
    Ok(response)
}

#[tokio::test]
async fn between_two_layers_of_one_manager_nothing_is_lost() {
    let store = SpyStore::new(MemoryStore::new());
    let log = store.log();
    let sessions = SessionLayer::new(manager(store));
    let other = SessionLayer::new(named(MemoryStore::new(), "other"));
    let login = async |session: Session| Ok::<_, SessionError>(session.login("ada")?);
    let between = async |session: Session| {
        let between = session.get::<u64>("between").unwrap().unwrap_or(0);
        let user = session.principal();
        format!(
            "{between} {}",
            user.map_or("-".to_owned(), |it| it.as_str().to_owned())
        )
    };
    let routes = counter()
        .route("/login", get(login))
        .route("/between", get(between));
    let adjacent = routes.clone().layer(sessions.clone());
    // However far out the other one is, and whose layers stand between.
    let apart = adjacent.clone().layer(other);
    for app in [adjacent, apart] {
        let app = app.layer(from_fn(count_twice));
        // Another manager's layer has the last word in between, so that one writes to its own session.
        let app = app.layer(sessions.clone());
        let mut visitor = Visitor::new(app);
        log.clear();
        for visits in 1..=3 {
            let response = visitor.send(visitor.request("/")).await;
            let cookies = response.headers().get_all(header::SET_COOKIE);
            assert_eq!(cookies.iter().count(), usize::from(visits == 1));
            assert!(
                crate::app::text(response)
                    .await
                    .starts_with(&visits.to_string())
            );
        }
        let calls = [Verb::Create, Verb::Load, Verb::Commit].map(|verb| log.count(verb));
        assert_eq!(calls, [1, 2, 2]);
        let login = visitor.send(visitor.request("/login")).await;
        let cookies = login.headers().get_all(header::SET_COOKIE);
        assert_eq!(cookies.iter().count(), 1);
        assert_eq!(visitor.get("/between").await.1, "9 ada");
    }
}

#[tokio::test]
async fn a_layer_around_the_whole_app_reaches_nested_and_merged_routers() {
    let app = Router::new()
        .nest("/a", Router::new().nest("/b", counter()))
        .merge(Router::new().route("/c", get(count)))
        .fallback(count)
        .layer(SessionLayer::new(in_memory()));
    let mut visitor = Visitor::new(app);
    for (visits, path) in (1..).zip(["/a/b", "/c", "/no/such/page", "/a/b"]) {
        assert_eq!(visitor.number(path).await, visits, "{path}");
    }
}

#[tokio::test]
async fn a_route_that_the_layer_does_not_reach_answers_500_and_says_why_in_the_log() {
    let log = tenure_tests::capture();
    let app = counter()
        .route("/with", get(count))
        .layer(SessionLayer::new(in_memory()))
        .route("/without", get(count))
        .route("/plain", get(async |_: Option<Session>| "0"));
    let mut visitor = Visitor::new(app);
    assert_eq!(visitor.number("/with").await, 1);
    for path in ["/without", "/plain"] {
        assert_eq!(visitor.get(path).await, (500, String::new()), "{path}");
    }
    assert_eq!(log.events("session_misused").len(), 2);
}
