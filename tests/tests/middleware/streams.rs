//! Responses that go on after their head has left, and connections that carry more than one request.

use std::{convert::Infallible, net::SocketAddr};

use axum::{
    Router,
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tenure_axum::{Session, SessionError, SessionLayer};
use tenure_tests::Browser;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::app::{Visitor, count, counter, in_memory, text};

/// What becomes of a change, as text.
fn outcome(result: Result<(), tenure_axum::Refusal>) -> String {
    result.map_or_else(|error| error.to_string(), |()| "changed".to_owned())
}

const TOO_LATE: &str =
    "the response has begun; change the session before the handler returns, or detach it";

/// Changes the session before the head and tries to in the stream.
async fn events(
    session: Session,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, SessionError> {
    session.insert("before", true)?;
    let changes = stream::iter(0..2).map(move |n| {
        let late = outcome(session.insert("after", n));
        let before = session.get::<bool>("before").unwrap();
        Ok(Event::default().data(format!("{late} {before:?}")))
    });
    Ok(Sse::new(changes))
}

/// The same on a WebSocket, with a commit of its own before the upgrade.
async fn socket(upgrade: WebSocketUpgrade, session: Session) -> Result<Response, SessionError> {
    session.insert("before", true)?;
    session.commit().await?;
    let version = session.version().map(|version| version.counter());
    Ok(upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let late = outcome(session.insert("after", true));
        let commit = outcome(session.commit().await);
        let message = format!("{version:?} {late} {commit}");
        socket.send(Message::text(message)).await.unwrap();
        let detached = session.detach().unwrap();
        while let Some(Ok(message)) = socket.recv().await {
            if let Message::Text(key) = message {
                detached.insert("heard", &*key).unwrap();
                detached.commit().await.unwrap();
                let known = session.contains(&*key).unwrap();
                socket.send(Message::text(known.to_string())).await.unwrap();
            }
        }
    }))
}

/// The names of what is stored.
async fn keys(session: Session) -> String {
    session.keys().join(",")
}

fn app() -> Router {
    Router::new()
        .route("/", get(count))
        .route("/events", get(events))
        .route("/socket", get(socket))
        .route("/keys", get(keys))
        .layer(SessionLayer::new(in_memory()))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

#[tokio::test]
async fn server_sent_events_begin_after_the_commit_and_cannot_change_the_session() {
    let mut visitor = Visitor::new(app());
    let response = visitor.send(visitor.request("/events")).await;
    // The head is here, and nobody has asked for the body yet.
    assert!(visitor.cookie("session").is_some());
    assert_eq!(visitor.get("/keys").await.1, "before");
    let body = text(response).await;
    let expected = format!("data: {TOO_LATE} Some(true)\n\n");
    assert_eq!(body, expected.repeat(2));
    assert_eq!(visitor.get("/keys").await.1, "before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_socket_begins_after_the_commit_and_needs_its_own() {
    let address = serve(app()).await;
    let mut browser = Browser::new();
    let request = format!("ws://{address}/socket");
    let (mut socket, head) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(head.status(), 101);
    // The session begins with the socket: its head brings the cookie.
    let set = head.headers()[header::SET_COOKIE].to_str().unwrap();
    let (pair, _) = set.split_once(';').unwrap();
    let (_, value) = pair.split_once('=').unwrap();
    browser.set_cookie(Some(value));
    assert_eq!(browser.get(address, "/keys").await.ok(), "before");

    let first = socket.next().await.unwrap().unwrap();
    assert_eq!(
        first.into_text().unwrap().as_str(),
        format!("Some(1) {TOO_LATE} changed")
    );
    // What was loaded can be read for as long as the socket is open.
    for (key, known) in [("before", "true"), ("after", "false")] {
        socket.send(key.into()).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer.into_text().unwrap().as_str(), known);
        // What it changes with a commit of its own, the next request sees.
        let keys = browser.get(address, "/keys").await;
        assert_eq!(keys.ok(), "before,heard");
    }
    socket.close(None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_requests_on_one_http_2_connection_lose_nothing() {
    let address = serve(counter().layer(SessionLayer::new(in_memory()))).await;
    let mut browser = Browser::new();
    browser.get(address, "/").await.ok();
    let cookie = format!("session={}", browser.cookie().unwrap());

    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut requests = JoinSet::new();
    for _ in 0..100 {
        let mut sender = sender.clone();
        let request = Request::get(format!("http://{address}/"))
            .header(header::COOKIE, "theme=dark")
            .header(header::COOKIE, &cookie)
            .body(Empty::<bytes::Bytes>::new());
        requests.spawn(async move {
            let response = sender.send_request(request.unwrap()).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
        });
    }
    requests.join_all().await;
    assert!(browser.get(address, "/").await.ok().starts_with("102 "));
}
