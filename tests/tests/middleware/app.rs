//! An axum app without a socket, and a browser for it.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderValue, Request, Response, header},
    routing::get,
};
use tenure_axum::{
    CookieConfig, KeyRing, MemoryStore, Session, SessionError, SessionManager, SessionStore,
};
use tower::ServiceExt;

pub(crate) fn manager(store: impl SessionStore) -> SessionManager {
    named(store, "session")
}

pub(crate) fn named(store: impl SessionStore, cookie: &str) -> SessionManager {
    let cookie = CookieConfig::builder()
        .danger_insecure_for_localhost()
        .name(cookie)
        .build();
    SessionManager::builder(store, KeyRing::generate().unwrap())
        .cookie(cookie.unwrap())
        .build()
        .unwrap()
}

pub(crate) fn in_memory() -> SessionManager {
    manager(MemoryStore::new())
}

/// Counts visits. The text is long enough to be worth compressing.
pub(crate) async fn count(session: Session) -> Result<String, SessionError> {
    let visits = session.update("visits", |visits: Option<u64>| visits.unwrap_or(0) + 1)?;
    Ok(format!("{visits} {}", "visits ".repeat(20)))
}

/// `/` counts visits.
pub(crate) fn counter() -> Router {
    Router::new().route("/", get(count))
}

/// Keeps cookies and sends them to one app.
#[derive(Clone)]
pub(crate) struct Visitor {
    app: Router,
    jar: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn new(app: Router) -> Self {
        let jar = BTreeMap::new();
        Self { app, jar }
    }

    pub(crate) fn request(&self, path: &str) -> Request<Body> {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        for (name, value) in &self.jar {
            let field = HeaderValue::try_from(format!("{name}={value}")).unwrap();
            request.headers_mut().append(header::COOKIE, field);
        }
        request
    }

    pub(crate) async fn send(&mut self, request: Request<Body>) -> Response<Body> {
        let response = self.app.clone().oneshot(request).await.unwrap();
        for field in response.headers().get_all(header::SET_COOKIE) {
            let (pair, attributes) = field.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    pub(crate) async fn get(&mut self, path: &str) -> (u16, String) {
        let response = self.send(self.request(path)).await;
        let status = response.status().as_u16();
        (status, text(response).await)
    }

    /// The number with which the page at `path` begins.
    pub(crate) async fn number(&mut self, path: &str) -> u64 {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        let number = body.split(' ').next().unwrap();
        number.parse().unwrap()
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name).map(String::as_str)
    }
}

pub(crate) async fn text(response: Response<Body>) -> String {
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}
