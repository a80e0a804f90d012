//! Through real sockets.

use std::net::SocketAddr;

use axum::http::{Method, Request, Response, header};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::*;

/// A visitor with a cookie jar for one cookie.
struct Visitor {
    server: SocketAddr,
    cookie: Option<String>,
}

impl Visitor {
    /// The first visitor of a server of its own, which ends with the test.
    async fn new() -> Self {
        let sessions = sessions().unwrap();
        let inspection = Router::new()
            .route("/stored", get(stored))
            .layer(SessionLayer::new(sessions.clone()));
        let app = app(sessions, Duration::from_millis(5)).merge(inspection);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let cookie = None;
        Self { server, cookie }
    }

    /// A response whose head is here, and its body on the way.
    async fn begin(&mut self, method: Method, path: &str) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.to_string());
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let stream = TcpStream::connect(self.server).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let is_removal = cookie.contains("Max-Age=0");
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!is_removal).then_some(pair);
        }
        response
    }

    async fn get(&mut self, path: &str) -> String {
        let response = self.begin(Method::GET, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    async fn post(&mut self, path: &str) {
        let response = self.begin(Method::POST, path).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "{path}");
    }

    async fn watch(&mut self) -> Stream {
        let response = self.begin(Method::GET, "/events").await;
        assert_eq!(response.status(), StatusCode::OK);
        let content_type = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(content_type, "text/event-stream");
        let (body, text) = (response.into_body(), String::new());
        Stream { body, text }
    }
}

/// What an `EventSource` would be.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    /// The next event's name and data; none if the stream is over.
    async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name| event.lines().find_map(|line| line.strip_prefix(name));
                let found = field("event: ").zip(field("data: "));
                let found = found.map(|(name, data)| (name.to_owned(), data.to_owned()));
                self.text = rest.to_owned();
                // What has no name is there to keep the connection alive.
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let frame = timeout(Duration::from_secs(10), self.body.frame());
            let frame = frame.await.expect("no event for ten seconds")?.unwrap();
            let bytes = frame.into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }

    async fn expect(&mut self, name: &str, data: &str) {
        let event = self.next().await;
        assert_eq!(event, Some((name.to_owned(), data.to_owned())));
    }
}

/// The version and the names of what is stored.
async fn stored(session: Option<Session>) -> String {
    session.map_or_else(
        || "nothing".to_owned(),
        |session| {
            let version = session.version().map(|version| version.counter());
            format!("{version:?} {}", session.keys().join(","))
        },
    )
}

const TOO_LATE: &str =
    "the response has begun; change the session before the handler returns, or detach it";

#[tokio::test]
async fn looking_at_the_page_begins_no_session() {
    let mut visitor = Visitor::new().await;
    let page = visitor.get("/").await;
    assert!(page.contains("<p id=added class=count>0</p>"), "{page}");
    assert_eq!(visitor.cookie, None);
}

#[tokio::test]
async fn the_session_is_committed_before_the_head_leaves() {
    let mut visitor = Visitor::new().await;
    let mut stream = visitor.watch().await;
    // The head has brought the cookie, and it opens a session that is in the store, although nobody
    // has read an event yet.
    assert!(visitor.cookie.is_some());
    assert!(visitor.get("/stored").await.contains(" streams"));
    stream
        .expect("opened", "stream number 1, from version 1 on")
        .await;
}

#[tokio::test]
async fn a_change_from_within_the_stream_is_refused_unless_it_is_detached_and_committed() {
    let mut visitor = Visitor::new().await;
    let mut stream = visitor.watch().await;
    stream.next().await;
    let became = format!("{TOO_LATE}; 1 streams have told something");
    stream.expect("late", &became).await;
    stream.expect("added", "0").await;
    assert_eq!(visitor.get("/stored").await, "Some(2) streams,told");
}

#[tokio::test]
async fn an_open_stream_tells_what_other_requests_commit() {
    let mut visitor = Visitor::new().await;
    visitor.post("/add").await;
    let (mut one, mut other) = (visitor.watch().await, visitor.watch().await);
    for stream in [&mut one, &mut other] {
        stream.next().await;
        stream.next().await;
        stream.expect("added", "1").await;
    }
    visitor.post("/add").await;
    one.expect("added", "2").await;
    other.expect("added", "2").await;
    let page = visitor.get("/").await;
    assert!(page.contains("<p id=added class=count>2</p>"), "{page}");
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let mut visitor = Visitor::new().await;
    let mut stream = visitor.watch().await;
    visitor.post("/end").await;
    assert_eq!(visitor.cookie, None);
    let last = loop {
        let event = stream.next().await.expect("an event that says so");
        if event.0 == "ended" {
            break event.1;
        }
    };
    assert_eq!(last, "the session has ended");
    assert_eq!(stream.next().await, None);
}
