//! Layers of tower-http, outside and inside of the session layer.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderValue, Response, StatusCode, header},
    routing::get,
};
use tenure_axum::{MemoryStore, Session, SessionLayer};
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    map_response_body::MapResponseBodyLayer, timeout::TimeoutLayer, trace::TraceLayer,
};

use crate::app::{Visitor, counter, in_memory, manager};

/// Three visits of an app, each asking for compression from another origin.
async fn visit(app: Router) -> Vec<Response<Body>> {
    let mut visitor = Visitor::new(app);
    let mut responses = Vec::new();
    for _ in 0..3 {
        let mut request = visitor.request("/");
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(
            header::ORIGIN,
            HeaderValue::from_static("https://example.org"),
        );
        responses.push(visitor.send(request).await);
    }
    let has_cookie = |response: &Response<_>| response.headers().contains_key(header::SET_COOKIE);
    let cookies: Vec<_> = responses.iter().map(has_cookie).collect();
    assert_eq!(cookies, [true, false, false]);
    let (_, body) = visitor.get("/").await;
    assert!(body.starts_with("4 "), "{body}");
    responses
}

#[tokio::test]
async fn compression_leaves_the_session_alone() {
    let sessions = SessionLayer::new(in_memory());
    let outside = counter()
        .layer(sessions.clone())
        .layer(CompressionLayer::new());
    let inside = counter().layer(CompressionLayer::new()).layer(sessions);
    for app in [outside, inside] {
        for response in visit(app).await {
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
            // Both vary: on the encoding, and on the cookie.
            let vary = response.headers().get_all(header::VARY).iter();
            let vary: Vec<_> = vary.map(|field| field.to_str().unwrap()).collect();
            assert!(vary.contains(&"cookie"), "{vary:?}");
            assert!(vary.contains(&"accept-encoding"), "{vary:?}");
            let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
            assert_eq!(body[..2], [0x1f, 0x8b]);
        }
    }
}

#[tokio::test]
async fn cross_origin_headers_are_kept() {
    let sessions = SessionLayer::new(in_memory());
    let outside = counter()
        .layer(sessions.clone())
        .layer(CorsLayer::permissive());
    let inside = counter().layer(CorsLayer::permissive()).layer(sessions);
    for app in [outside, inside] {
        for response in visit(app).await {
            let headers = response.headers();
            assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
    }
}

#[tokio::test]
async fn tracing_and_time_limits_change_nothing_while_they_do_not_strike() {
    let sessions = SessionLayer::new(in_memory());
    let limit =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(60));
    let outside = counter()
        .layer(sessions.clone())
        .layer(limit)
        .layer(TraceLayer::new_for_http());
    let inside = counter()
        .layer(limit)
        .layer(TraceLayer::new_for_http())
        .layer(sessions);
    for app in [outside, inside] {
        for response in visit(app).await {
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}

/// In one `ServiceBuilder`, where no router makes axum's own body of what a layer has made.
#[tokio::test]
async fn a_layer_inside_whose_body_has_no_default_needs_one_word_more() {
    let layers = ServiceBuilder::new()
        .layer(SessionLayer::new(in_memory()))
        .layer(MapResponseBodyLayer::new(Body::new))
        .layer(TraceLayer::new_for_http());
    for response in visit(counter().layer(layers)).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
}

/// Routes that change the session, and then fail in one way or another.
fn failing() -> Router {
    let insert = |session: &Session| session.insert("lost", 1).unwrap();
    counter()
        .route(
            "/panic",
            get(async move |session: Session| -> String {
                insert(&session);
                panic!("a handler that panics")
            }),
        )
        .route(
            "/logout-panic",
            get(async |session: Session| -> String {
                session.destroy().unwrap();
                panic!("a handler that panics after a logout")
            }),
        )
        .route(
            "/slow",
            get(async move |session: Session| {
                insert(&session);
                tokio::time::sleep(Duration::from_secs(10)).await;
                "done"
            }),
        )
        .route(
            "/lost",
            get(async |session: Session| {
                let lost = session.get::<u8>("lost").unwrap();
                lost.map_or("0", |_| "1")
            }),
        )
}

#[tokio::test]
async fn a_panicking_handler_loses_its_changes_and_nothing_else() {
    let sessions = SessionLayer::new(in_memory());
    let outside = failing()
        .layer(sessions.clone())
        .layer(CatchPanicLayer::new());
    let inside = failing().layer(CatchPanicLayer::new()).layer(sessions);
    for app in [outside, inside] {
        let mut visitor = Visitor::new(app);
        assert_eq!(visitor.number("/").await, 1);
        assert_eq!(visitor.get("/panic").await.0, 500);
        assert_eq!(visitor.number("/lost").await, 0);
        assert_eq!(visitor.number("/").await, 2);
    }
}

/// A panic that the session layer sees as a response leaves a logout standing. One that passes through
/// it takes the request with it, logout and all: the layer that catches belongs inside.
#[tokio::test]
async fn a_logout_before_a_panic_stands_if_the_panic_is_caught_inside() {
    for (is_inside, visits) in [(true, 1), (false, 2)] {
        let sessions = SessionLayer::new(in_memory());
        let app = if is_inside {
            failing().layer(CatchPanicLayer::new()).layer(sessions)
        } else {
            failing().layer(sessions).layer(CatchPanicLayer::new())
        };
        let mut visitor = Visitor::new(app);
        assert_eq!(visitor.number("/").await, 1);
        let before = visitor.clone();
        assert_eq!(visitor.get("/logout-panic").await.0, 500);
        assert_eq!(visitor.cookie("session").is_none(), is_inside);
        assert_eq!(before.clone().number("/").await, visits);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_runs_out_of_time_writes_nothing() {
    let store = MemoryStore::new();
    let sessions = SessionLayer::new(manager(store.clone()));
    let limit = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    // Outside, the whole request is dropped; inside, the handler in the middle of its work.
    for app in [
        failing().layer(sessions.clone()).layer(limit),
        failing().layer(limit).layer(sessions),
    ] {
        let mut visitor = Visitor::new(app);
        assert_eq!(visitor.number("/").await, 1);
        assert_eq!(visitor.get("/slow").await.0, 408);
        assert_eq!(visitor.number("/lost").await, 0);
        assert_eq!(visitor.number("/").await, 2);
    }
}
