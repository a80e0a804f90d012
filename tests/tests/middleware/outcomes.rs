//! How requests end, as the session layer sees it: services that fail instead of answering, and heads
//! that say more than their status.

use std::{convert::Infallible, time::Duration};

use axum::{
    BoxError, Router,
    body::Body,
    error_handling::HandleErrorLayer,
    http::{Request, Response, StatusCode, header},
    routing::get,
};
use tenure_axum::{MemoryStore, Session, SessionLayer, SessionManager, StoreErrorKind};
use tenure_core::SessionHandle;
use tenure_testing::{FaultyStore, Moment, SpyStore, Verb};
use tenure_tests::{Browser, Combination, for_every_combination};
use tower::{ServiceBuilder, ServiceExt, timeout::TimeoutLayer};

use crate::app::{Visitor, counter, in_memory, manager};

/// gRPC answers every call with 200.
async fn a_failed_call_of_grpc_is_rolled_back(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    for kept in 1..=3_u64 {
        assert_eq!(browser.get(node, "/grpc/0").await.number(), kept);
        for code in ["2", "10", "16"] {
            let answer = browser.get(node, &format!("/grpc/{code}")).await;
            assert_eq!(answer.texts("grpc-status").collect::<Vec<_>>(), [code]);
            assert_eq!(answer.session_cookie(), None);
            assert_eq!(answer.number(), kept + 1);
            assert_eq!(browser.get(node, "/read").await.number(), kept);
        }
    }
}

for_every_combination!(a_failed_call_of_grpc_is_rolled_back);

/// What tonic makes of an error that a method returns.
#[tokio::test]
async fn the_errors_of_tonic_say_in_the_head_that_they_are_errors() {
    let sessions = in_memory();
    let call = async |request: Request<Body>| {
        let session = handle(&request).load().await.unwrap();
        session.insert("lost", true).unwrap();
        let status = tonic::Status::failed_precondition("no such basket");
        Ok::<Response<Body>, Infallible>(status.into_http())
    };
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(sessions))
        .service_fn(call);
    let response = service.oneshot(Request::default()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key(header::SET_COOKIE));
}

fn handle(request: &Request<Body>) -> SessionHandle {
    request.extensions().get().cloned().unwrap()
}

/// The cookie of a visitor who has logged in.
async fn logged_in(sessions: &SessionManager) -> String {
    let visit = sessions.open([""; 0]);
    visit.load().await.unwrap().login("ada").unwrap();
    let cookie = visit.finish(200).await.set_cookie.unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Sends a request with that cookie to a service that destroys its session or changes it, and then fails.
async fn fail(sessions: &SessionManager, cookie: &str, path: &str) -> &'static str {
    let service = async |request: Request<Body>| {
        let session = handle(&request).load().await.unwrap();
        match request.uri().path() {
            "/logout" => session.destroy().unwrap(),
            "/untouched" => {}
            _ => session.insert("lost", true).unwrap(),
        }
        Err::<Response<Body>, _>("the service has failed")
    };
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(sessions.clone()))
        .service_fn(service);
    let request = Request::get(path).header(header::COOKIE, cookie);
    let request = request.body(Body::empty()).unwrap();
    service.oneshot(request).await.unwrap_err()
}

#[tokio::test]
async fn a_logout_stands_although_the_service_fails_afterwards() {
    let store = SpyStore::new(FaultyStore::new(MemoryStore::new()));
    let (log, sessions) = (store.log(), manager(store.clone()));
    let cookie = logged_in(&sessions).await;
    let user = async || {
        let session = sessions.open([&cookie]).load().await.unwrap();
        assert!(!session.contains("lost").unwrap());
        session.principal().is_some()
    };
    // Whatever else it has changed is dropped, without a word to the store.
    log.clear();
    for path in ["/untouched", "/insert"] {
        assert_eq!(
            fail(&sessions, &cookie, path).await,
            "the service has failed"
        );
    }
    assert_eq!(log.verbs(), [Verb::Load; 2]);
    assert!(user().await);

    // The error passes also if the store has failed at the logout, which is an event of its own.
    let down = StoreErrorKind::Unavailable;
    let faults = store.inner();
    faults.fail_next(1, Verb::Delete, Moment::BeforeCall, down);
    assert_eq!(
        fail(&sessions, &cookie, "/logout").await,
        "the service has failed"
    );
    assert!(user().await);

    log.clear();
    assert_eq!(
        fail(&sessions, &cookie, "/logout").await,
        "the service has failed"
    );
    assert_eq!(log.verbs(), [Verb::Load, Verb::Delete]);
    assert!(!user().await);
}

/// tower's time limit is an error, which axum makes a response of further out.
#[tokio::test(start_paused = true)]
async fn a_logout_stands_although_the_handler_runs_out_of_time() {
    let hang = async |session: Session| {
        session.destroy().unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    let too_late = async |_: BoxError| StatusCode::REQUEST_TIMEOUT;
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(too_late))
        .layer(SessionLayer::new(in_memory()))
        .layer(TimeoutLayer::new(Duration::from_secs(1)));
    let app = counter().merge(Router::new().route("/logout", get(hang)));
    let mut visitor = Visitor::new(app.layer(layers));
    assert_eq!(visitor.number("/").await, 1);
    assert_eq!(visitor.number("/").await, 2);
    assert_eq!(visitor.get("/logout").await.0, 408);
    assert_eq!(visitor.number("/").await, 1);
}
