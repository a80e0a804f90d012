//! What the page shows and does, without a browser.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that meets a surprise has failed"
)]

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// A browser with a cookie jar for one cookie.
struct Browser {
    app: Router,
    name: &'static str,
    cookie: Option<String>,
}

impl Browser {
    fn new(app: &Router, name: &'static str) -> Self {
        Self {
            app: app.clone(),
            name,
            cookie: None,
        }
    }

    async fn logged_in(app: &Router, name: &'static str) -> Self {
        let mut browser = Self::new(app, name);
        let (status, _) = browser.post("/login", ADA).await;
        assert_eq!(status, StatusCode::SEE_OTHER);
        browser
    }

    async fn home(&mut self) -> String {
        let request = Request::get("/").body(Body::empty()).unwrap();
        self.send(request).await.1
    }

    async fn post(&mut self, path: &str, form: &str) -> (StatusCode, String) {
        let form_type = "application/x-www-form-urlencoded";
        let request = Request::post(path).header(header::CONTENT_TYPE, form_type);
        self.send(request.body(Body::from(form.to_owned())).unwrap())
            .await
    }

    async fn send(&mut self, mut request: Request<Body>) -> (StatusCode, String) {
        let fields = request.headers_mut();
        fields.insert(header::USER_AGENT, self.name.parse().unwrap());
        if let Some(cookie) = &self.cookie {
            fields.insert(header::COOKIE, cookie.parse().unwrap());
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie = (!set.contains("Max-Age=0")).then_some(pair);
        }
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.into()).unwrap())
    }
}

const ADA: &str = "user=ada&password=analytical-engine";

fn app() -> Router {
    devices::app(devices::sessions().unwrap())
}

/// The names that the page's forms end logins by.
fn logins(page: &str) -> Vec<&str> {
    let fields = page.split("name=login value=\"").skip(1);
    fields.map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn a_user_sees_and_ends_their_devices_with_the_password_once_more() {
    let app = app();
    let mut laptop = Browser::logged_in(&app, "Laptop").await;
    let mut phone = Browser::logged_in(&app, "<b>Phone").await;
    let page = laptop.home().await;
    assert!(
        page.contains("Laptop") && page.contains("&lt;b&gt;Phone"),
        "{page}"
    );
    assert_eq!(page.matches("this device").count(), 1);
    let [login] = logins(&page)[..] else {
        panic!("{page}")
    };
    let (status, page) = laptop
        .post("/end", &format!("login={login}&password=guess"))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(page.contains("not the password"));
    assert!(phone.home().await.contains("Devices of ada"));

    let form = format!("login={login}&password=analytical-engine");
    assert_eq!(laptop.post("/end", &form).await.0, StatusCode::SEE_OTHER);
    assert!(phone.home().await.contains("Log in"));
    assert!(!laptop.home().await.contains("Phone"));
}

#[tokio::test]
async fn nobody_ends_the_devices_of_others() {
    let app = app();
    let mut ada = Browser::logged_in(&app, "Laptop").await;
    Browser::logged_in(&app, "Phone").await;
    let page = ada.home().await;
    let [login] = logins(&page)[..] else {
        panic!("{page}")
    };
    let mut grace = Browser::new(&app, "Tablet");
    grace
        .post("/login", "user=grace&password=nanoseconds")
        .await;
    for login in [login, "nonsense", ""] {
        grace
            .post("/end", &format!("login={login}&password=nanoseconds"))
            .await;
    }
    assert_eq!(logins(&ada.home().await).len(), 1);
}

#[tokio::test]
async fn all_other_devices_are_logged_out_at_once_and_a_fourth_login_ends_the_oldest() {
    let app = app();
    let mut first = Browser::logged_in(&app, "first").await;
    let mut here = Browser::logged_in(&app, "here").await;
    let mut third = Browser::logged_in(&app, "third").await;
    let mut fourth = Browser::logged_in(&app, "fourth").await;
    let ended = [
        first.home().await,
        here.home().await,
        third.home().await,
        fourth.home().await,
    ];
    assert_eq!(
        ended
            .iter()
            .filter(|page| page.contains("<h1>Log in"))
            .count(),
        1
    );
    let mut here = Browser::logged_in(&app, "here").await;
    let (status, _) = here.post("/end-others", "password=wrong").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    here.post("/end-others", "password=analytical-engine").await;
    let page = here.home().await;
    assert!(
        page.contains("this device") && logins(&page).is_empty(),
        "{page}"
    );
    assert!(fourth.home().await.contains("<h1>Log in"));
}
