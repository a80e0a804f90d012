mod cross_site;

use axum::{
    Router,
    body::Body,
    http::{Request, header},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const ADA: &str = "user=ada&password=analytical-engine";
const ADA_REMEMBERED: &str = "user=ada&password=analytical-engine&remember=on";

/// A visitor with a cookie jar for one cookie. Clones are other browsers with the same cookie.
#[derive(Clone)]
struct Visitor {
    app: Router,
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
    location: Option<String>,
    set_cookie: Option<String>,
    body: String,
}

impl Visitor {
    fn new() -> Self {
        Self {
            app: app(sessions().unwrap()),
            cookie: None,
        }
    }

    async fn logged_in() -> Self {
        let mut visitor = Self::new();
        let answer = visitor.post("/login", ADA).await;
        assert_eq!(answer.location.as_deref(), Some("/account"));
        visitor
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
        let text = |name| response.headers().get(name).map(|it| it.to_str().unwrap());
        let set_cookie = text(header::SET_COOKIE);
        if let Some(cookie) = set_cookie {
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!cookie.contains("Max-Age=0")).then_some(pair);
        }
        let (status, location) = (response.status(), text(header::LOCATION).map(str::to_owned));
        let set_cookie = set_cookie.map(str::to_owned);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer {
            status,
            location,
            set_cookie,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }
}

#[tokio::test]
async fn looking_around_begins_no_session() {
    let mut visitor = Visitor::new();
    assert_eq!(visitor.get("/").await.status, StatusCode::OK);
    for path in ["/account", "/admin"] {
        assert_eq!(visitor.get(path).await.location.as_deref(), Some("/"));
    }
    assert_eq!(visitor.cookie, None);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_look_the_same() {
    let mut visitor = Visitor::new();
    let wrong = visitor.post("/login", "user=ada&password=engine").await;
    let unknown = visitor.post("/login", "user=eve&password=engine").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!((wrong.status, wrong.body), (unknown.status, unknown.body));
    assert_eq!(visitor.cookie, None);
}

#[tokio::test]
async fn only_who_asked_to_be_remembered_gets_a_cookie_that_outlives_the_browser() {
    let mut visitor = Visitor::new();
    for (form, is_remembered) in [(ADA, false), (ADA_REMEMBERED, true), (ADA, false)] {
        let answer = visitor.post("/login", form).await;
        let cookie = answer.set_cookie.unwrap();
        // The time is counted down from the login's commit on.
        let (_, max_age) = cookie.split_once("Max-Age=").unwrap_or_default();
        let seconds: Option<u32> = max_age.split(';').next().and_then(|s| s.parse().ok());
        let is_kept = seconds.is_some_and(|seconds| (1_209_000..=1_209_600).contains(&seconds));
        assert_eq!(is_kept, is_remembered, "{cookie}");
        assert_eq!(visitor.get("/account").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_login_replaces_the_secret_and_the_old_cookie_is_nobodys() {
    let mut visitor = Visitor::logged_in().await;
    let mut eavesdropper = visitor.clone();
    visitor.post("/login", ADA).await;
    assert_ne!(visitor.cookie, eavesdropper.cookie);
    assert_eq!(visitor.get("/account").await.status, StatusCode::OK);

    let account = eavesdropper.get("/account").await;
    assert_eq!(account.location.as_deref(), Some("/"));
    assert!(!eavesdropper.get("/").await.body.contains("ada."));
    // Nor can the real session be ended with it.
    let logout = eavesdropper.post("/logout", "").await;
    assert_eq!(logout.status, StatusCode::CONFLICT);
    assert!(logout.body.contains("Nothing was saved"));
    assert_eq!(visitor.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_logout_holds_for_every_copy_of_the_cookie() {
    let mut visitor = Visitor::logged_in().await;
    let mut other = visitor.clone();
    visitor.post("/logout", "").await;
    assert_eq!(visitor.cookie, None);
    assert_eq!(other.get("/account").await.location.as_deref(), Some("/"));
    // Not even told to forget it: this answer could come after that of a login.
    assert!(other.cookie.is_some());
}

#[tokio::test]
async fn rights_are_unlocked_for_a_new_secret_only() {
    let mut visitor = Visitor::logged_in().await;
    let mut eavesdropper = visitor.clone();
    assert_eq!(visitor.get("/admin").await.status, StatusCode::FORBIDDEN);
    let wrong = visitor.post("/unlock", "code=1906").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);

    let unlocked = visitor.post("/unlock", "code=1852").await;
    assert_eq!(unlocked.location.as_deref(), Some("/admin"));
    assert_eq!(visitor.get("/admin").await.status, StatusCode::OK);
    let admin = eavesdropper.get("/admin").await;
    assert_eq!(admin.location.as_deref(), Some("/"));
}

#[tokio::test]
async fn another_user_inherits_neither_rights_nor_values() {
    let mut visitor = Visitor::logged_in().await;
    visitor.post("/rename", "nickname=Countess").await;
    visitor.post("/unlock", "code=1852").await;
    assert!(visitor.get("/account").await.body.contains("Countess"));

    visitor
        .post("/login", "user=grace&password=nanoseconds")
        .await;
    assert_eq!(visitor.get("/admin").await.status, StatusCode::FORBIDDEN);
    let account = visitor.get("/account").await.body;
    assert!(account.contains("account of grace"), "{account}");
    assert!(!account.contains("Countess"), "{account}");
}

#[tokio::test]
async fn of_two_who_replace_the_name_that_they_read_one_is_told_to_look_again() {
    let sessions = sessions().unwrap();
    let both_have_read = std::sync::Arc::new(tokio::sync::Barrier::new(2));
    let slow_rename = move |user: User| {
        let both_have_read = both_have_read.clone();
        async move {
            let before = user.session.get(NICKNAME)?.unwrap_or_default();
            both_have_read.wait().await;
            user.session.insert(NICKNAME, format!("{before}+"))?;
            Ok::<_, Problem>("saved")
        }
    };
    let slow = Router::new().route("/slow", post(slow_rename));
    let slow = slow
        .layer(SessionLayer::new(sessions.clone()).on_refusal(|refusal| explain(refusal.status())));
    let mut one = Visitor {
        app: app(sessions).merge(slow),
        cookie: None,
    };
    one.post("/login", ADA).await;
    let mut other = one.clone();

    let (first, second) = tokio::join!(one.post("/slow", ""), other.post("/slow", ""));
    let mut statuses = [first.status, second.status];
    statuses.sort();
    assert_eq!(statuses, [StatusCode::OK, StatusCode::CONFLICT]);
    let account = one.get("/account").await.body;
    assert!(
        account.contains("value=\"+\""),
        "one of them, once: {account}"
    );
}
