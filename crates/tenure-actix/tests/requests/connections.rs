//! What shows only on a real connection: panics, clients that leave, upgrades, HTTP/2.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, rt,
    web::{self, Data, Payload, ServiceConfig, get},
};
use futures_util::StreamExt;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tenure_actix::{Session, SessionError};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{count, middleware, store};

/// Serves these routes and `/count`, on one worker, so that what harms it shows.
async fn serve(routes: fn(&mut ServiceConfig), signals: &Arc<Signals>) -> SocketAddr {
    let sessions = middleware(&store(), "session");
    let signals = Data::from(Arc::clone(signals));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(signals.clone())
            .route("/count", get().to(count))
            .configure(routes)
            .wrap(sessions.clone())
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = server
        .workers(1)
        .disable_signals()
        .listen_auto_h2c(listener);
    rt::spawn(server.unwrap().run());
    address
}

/// Says when a handler runs, lets it go on, and says when it was dropped.
#[derive(Default)]
struct Signals {
    begun: Notify,
    released: Notify,
    dropped: Notify,
}

struct Dropped(Arc<Signals>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

async fn begin(address: SocketAddr, path: &str, cookie: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// All that the server sends, nothing if it hangs up.
async fn fetch(address: SocketAddr, path: &str, cookie: &str) -> String {
    let mut stream = begin(address, path, cookie).await;
    let mut answer = String::new();
    let read = timeout(LIMIT, stream.read_to_string(&mut answer)).await;
    let _ = read.unwrap();
    answer
}

async fn body(address: SocketAddr, path: &str, cookie: &str) -> String {
    let answer = fetch(address, path, cookie).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// The cookie of a visitor who has been there once.
async fn visitor(address: SocketAddr) -> String {
    let answer = fetch(address, "/count", "").await;
    let (_, rest) = answer.split_once("set-cookie: ").unwrap();
    rest.split(';').next().unwrap().to_owned()
}

#[actix_web::test]
async fn a_panicking_handler_loses_its_changes_and_nothing_else() {
    let panicking = |app: &mut ServiceConfig| {
        let panicking = async |session: Session| -> HttpResponse {
            session.insert("n", 100).unwrap();
            panic!("a handler that panics");
        };
        app.route("/panic", get().to(panicking));
    };
    let address = serve(panicking, &Arc::default()).await;
    let cookie = visitor(address).await;
    for n in 2..5 {
        assert_eq!(fetch(address, "/panic", &cookie).await, "");
        assert_eq!(body(address, "/count", &cookie).await, n.to_string());
    }
}

/// Writes two values, and says so, before and after a wait.
async fn write_two(session: Session, signals: Data<Signals>) -> Result<&'static str, SessionError> {
    let _dropped = Dropped(Arc::clone(&signals));
    session.insert("a", 1)?;
    signals.begun.notify_one();
    signals.released.notified().await;
    session.insert("b", 1)?;
    Ok("done")
}

async fn two(session: Session) -> String {
    let is_there = |key| session.contains(key).unwrap();
    format!("{} {}", is_there("a"), is_there("b"))
}

/// actix may or may not notice before the handler is through: both values are there then, or none.
#[actix_web::test]
async fn a_client_that_leaves_leaves_nothing_half_written() {
    let signals = Arc::new(Signals::default());
    let routes = |app: &mut ServiceConfig| {
        app.route("/write", get().to(write_two))
            .route("/two", get().to(two));
    };
    let address = serve(routes, &signals).await;
    let cookie = visitor(address).await;
    for n in 2..12 {
        let stream = begin(address, "/write", &cookie).await;
        timeout(LIMIT, signals.begun.notified()).await.unwrap();
        drop(stream);
        signals.released.notify_one();
        timeout(LIMIT, signals.dropped.notified()).await.unwrap();
        let seen = body(address, "/two", &cookie).await;
        assert!(matches!(&*seen, "true true" | "false false"), "{seen}");
        assert_eq!(body(address, "/count", &cookie).await, n.to_string());
    }
}

/// Changes the session before an upgrade, and tries to behind it.
async fn socket(
    request: HttpRequest,
    payload: Payload,
    session: Session,
) -> Result<HttpResponse, actix_web::Error> {
    session.insert("before", true).map_err(SessionError::from)?;
    let (response, mut socket, _messages) = actix_ws::handle(&request, payload)?;
    rt::spawn(async move {
        let late = session.insert("after", true);
        let text = late.unwrap_err().to_string();
        let detached = session.detach().unwrap();
        detached.insert("after", true).unwrap();
        detached.commit().await.unwrap();
        socket.text(text).await.unwrap();
        socket.close(None).await.unwrap();
    });
    Ok(response)
}

#[actix_web::test]
async fn a_web_socket_begins_after_the_commit_and_needs_its_own() {
    let routes = |app: &mut ServiceConfig| {
        let keys = async |session: Session| session.keys().join(",");
        app.route("/socket", get().to(socket))
            .route("/keys", get().to(keys));
    };
    let address = serve(routes, &Arc::default()).await;
    let request = format!("ws://{address}/socket");
    let (mut socket, head) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(head.status(), 101);
    // The session begins with the socket: its head brings the cookie.
    let set = head.headers()["set-cookie"].to_str().unwrap();
    let cookie = set.split(';').next().unwrap();
    let Message::Text(late) = socket.next().await.unwrap().unwrap() else {
        panic!("text was expected");
    };
    assert!(late.contains("the response has begun"), "{late}");
    socket.close(None).await.unwrap();
    assert_eq!(body(address, "/keys", cookie).await, "after,before");
}

#[actix_web::test]
async fn a_hundred_requests_on_one_http_2_connection_lose_nothing() {
    let address = serve(|_| {}, &Arc::default()).await;
    let cookie = visitor(address).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
    let (sender, connection) = handshake.await.unwrap();
    rt::spawn(connection);
    let requests = (0..100).map(|_| {
        let mut sender = sender.clone();
        let request = hyper::Request::get(format!("http://{address}/count"))
            .header("cookie", "theme=dark")
            .header("cookie", &cookie)
            .body(Empty::<web::Bytes>::new());
        async move {
            let response = sender.send_request(request.unwrap()).await;
            assert_eq!(response.unwrap().status(), 200);
        }
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(body(address, "/count", &cookie).await, "102");
}

const LIMIT: Duration = Duration::from_secs(20);
