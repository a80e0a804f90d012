use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use tenure_axum::{KeyRing, MemoryStore, SessionManager};
use tower::ServiceExt;

use super::*;

/// A visitor with a cookie jar for one cookie.
struct Visitor {
    app: Router,
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
    body: String,
}

impl Visitor {
    fn new() -> Self {
        let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
            .cookie(localhost_cookie().unwrap())
            .build();
        Self {
            app: app(sessions.unwrap()),
            cookie: None,
        }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    async fn post(&mut self, path: &str, form: &'static str) -> Answer {
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(form)).await
    }

    async fn send(&mut self, mut request: axum::http::request::Builder, body: Body) -> Answer {
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(body).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let is_removal = cookie.contains("Max-Age=0");
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!is_removal).then_some(pair);
        }
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer { status, body }
    }
}

#[tokio::test]
async fn visits_are_counted_for_who_carries_the_cookie() {
    let mut visitor = Visitor::new();
    assert_eq!(visitor.get("/count").await.body, "visit number 1\n");
    assert_eq!(visitor.get("/count").await.body, "visit number 2\n");
    let home = visitor.get("/").await.body;
    assert!(home.contains("been here 3 times"), "{home}");
    assert!(home.contains("at version 3"), "{home}");
    visitor.cookie = None;
    assert_eq!(visitor.get("/count").await.body, "visit number 1\n");
}

#[tokio::test]
async fn a_login_replaces_the_cookie_and_makes_the_old_one_worthless() {
    let mut visitor = Visitor::new();
    visitor.get("/count").await;
    let before = visitor.cookie.clone();
    let login = visitor.post("/login", "user=ada").await;
    assert_eq!(login.status, StatusCode::SEE_OTHER);
    assert_ne!(visitor.cookie, before);
    let home = visitor.get("/").await.body;
    assert!(home.contains("<strong>ada</strong>"), "{home}");
    assert!(home.contains("been here 2 times"), "{home}");

    // Whoever planted the old cookie is nobody. For now not even somebody new: this could be the
    // browser that is just about to receive the new cookie.
    visitor.cookie = before;
    assert_eq!(visitor.get("/").await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_logout_ends_the_session_for_everyone_who_has_the_cookie() {
    let mut visitor = Visitor::new();
    visitor.post("/login", "user=ada").await;
    let before = visitor.cookie.clone();
    let logout = visitor.post("/logout", "").await;
    assert_eq!(logout.status, StatusCode::SEE_OTHER);
    assert_eq!(visitor.cookie, None);

    visitor.cookie = before;
    let home = visitor.get("/").await.body;
    assert!(home.contains("been here 1 time."), "{home}");
    assert!(!home.contains("ada"), "{home}");
}

#[tokio::test]
async fn a_name_that_nobody_can_have_is_the_visitors_mistake() {
    let mut visitor = Visitor::new();
    for form in ["", "user=", "user=+%09+"] {
        let answer = visitor.post("/login", form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form:?}");
        assert!(answer.body.contains("enter a user name"), "{}", answer.body);
    }
    assert_eq!(visitor.cookie, None);
}

#[tokio::test]
async fn names_are_shown_as_text() {
    let mut visitor = Visitor::new();
    visitor.post("/login", "user=%3Cb%3E%22%26").await;
    let home = visitor.get("/").await.body;
    assert!(
        home.contains("<strong>&lt;b&gt;&quot;&amp;</strong>"),
        "{home}"
    );
}
