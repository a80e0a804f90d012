//! Through real sockets.

use std::net::SocketAddr;

use http::{HeaderMap, header};
use hyper::client::conn::http1;

use super::*;

/// A visitor with a cookie jar for one cookie.
struct Visitor {
    server: SocketAddr,
    cookie: Option<String>,
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Visitor {
    /// The first visitor of a server of its own, which ends with the test.
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, sessions().unwrap()));
        let cookie = None;
        Self { server, cookie }
    }

    async fn get(&mut self, path: &str) -> Reply {
        self.send(Method::GET, path, "").await
    }

    async fn post(&mut self, path: &str, body: &str) -> Reply {
        self.send(Method::POST, path, body).await
    }

    async fn send(&mut self, method: Method, path: &str, body: &str) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.server.to_string());
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned())));

        let stream = TcpStream::connect(self.server).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request.unwrap()).await.unwrap();

        let (head, body) = response.into_parts();
        if let Some(cookie) = head.headers.get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let is_removal = cookie.contains("Max-Age=0");
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!is_removal).then_some(pair);
        }
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

#[tokio::test]
async fn visits_are_counted_for_who_carries_the_cookie() {
    let mut visitor = Visitor::new().await;
    assert_eq!(visitor.get("/count").await.body, "visit number 1\n");
    assert_eq!(visitor.get("/count").await.body, "visit number 2\n");
    assert_eq!(visitor.get("/").await.body, "nobody, visits: 2\n");
    visitor.cookie = None;
    assert_eq!(visitor.get("/count").await.body, "visit number 1\n");
}

#[tokio::test]
async fn a_route_that_never_asks_for_the_session_is_left_alone() {
    let mut visitor = Visitor::new().await;
    visitor.get("/count").await;
    for cookie in [visitor.cookie.clone(), None] {
        visitor.cookie = cookie;
        for (path, status) in [("/health", StatusCode::OK), ("/no", StatusCode::NOT_FOUND)] {
            let reply = visitor.get(path).await;
            assert_eq!(reply.status, status);
            for name in [header::SET_COOKIE, header::VARY, header::CACHE_CONTROL] {
                assert!(!reply.headers.contains_key(&name), "{path}: {name}");
            }
        }
    }
}

#[tokio::test]
async fn looking_begins_no_session() {
    let mut visitor = Visitor::new().await;
    let reply = visitor.get("/").await;
    assert_eq!(reply.body, "nobody, visits: 0\n");
    assert!(!reply.headers.contains_key(header::SET_COOKIE));
    // But it depends on the session, so no shared cache may keep it.
    assert_eq!(reply.headers[header::VARY], "cookie");
}

#[tokio::test]
async fn a_login_replaces_the_cookie_and_makes_the_old_one_worthless() {
    let mut visitor = Visitor::new().await;
    visitor.get("/count").await;
    let before = visitor.cookie.clone();
    assert_eq!(visitor.post("/login", "ada\n").await.body, "hello, ada\n");
    assert_ne!(visitor.cookie, before);
    assert_eq!(visitor.get("/").await.body, "ada, visits: 1\n");

    // Whoever planted the old cookie is nobody. For now not even somebody new: this could be the
    // browser that is just about to receive the new cookie.
    visitor.cookie = before;
    assert_eq!(visitor.get("/").await.body, "nobody, visits: 0\n");
    let count = visitor.get("/count").await;
    assert_eq!(count.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_logout_ends_the_session_for_everyone_who_has_the_cookie() {
    let mut visitor = Visitor::new().await;
    visitor.post("/login", "ada").await;
    let before = visitor.cookie.clone();
    assert_eq!(visitor.post("/logout", "").await.body, "goodbye\n");
    assert_eq!(visitor.cookie, None);

    visitor.cookie = before;
    assert_eq!(visitor.get("/").await.body, "nobody, visits: 0\n");
    // Not even told to forget it: this answer could come after that of a login.
    assert!(visitor.cookie.is_some());
}

#[tokio::test]
async fn a_name_that_nobody_can_have_is_the_clients_mistake() {
    let mut visitor = Visitor::new().await;
    let long = "a".repeat(256);
    let very_long = "a".repeat(1024);
    for name in ["", " \t", &long, &very_long] {
        let reply = visitor.post("/login", name).await;
        assert_eq!(
            reply.status,
            StatusCode::BAD_REQUEST,
            "{} bytes",
            name.len()
        );
    }
    assert_eq!(visitor.cookie, None);
}
