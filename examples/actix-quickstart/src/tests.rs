use actix_web::{
    body::to_bytes,
    http::header,
    test::{TestRequest, call_service, init_service},
};

use tenure_actix::MemoryStore;

use super::*;

/// A visitor with a cookie jar for one cookie.
#[derive(Default)]
struct Visitor {
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
    sets_cookie: bool,
    body: String,
}

impl Visitor {
    fn request(&self, request: TestRequest) -> TestRequest {
        let cookie = self.cookie.iter();
        cookie.fold(request, |request, cookie| {
            request.insert_header((header::COOKIE, cookie.as_str()))
        })
    }

    async fn receive(&mut self, response: actix_web::HttpResponse) -> Answer {
        let set_cookie = response.headers().get(header::SET_COOKIE);
        let sets_cookie = set_cookie.is_some();
        if let Some(cookie) = set_cookie {
            let cookie = cookie.to_str().unwrap();
            let is_removal = cookie.contains("Max-Age=0");
            let pair = cookie.split(';').next().unwrap_or_default().to_owned();
            self.cookie = (!is_removal).then_some(pair);
        }
        let status = response.status();
        let Ok(body) = to_bytes(response.into_body()).await else {
            panic!("a body")
        };
        let body = String::from_utf8(body.to_vec()).unwrap();
        Answer {
            status,
            sets_cookie,
            body,
        }
    }
}

/// The app, with what it takes to talk to it.
macro_rules! app {
    () => {{
        let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
            .cookie(localhost_cookie().unwrap())
            .build();
        let sessions = SessionMiddleware::new(sessions.unwrap());
        let app = App::new().configure(routes).wrap(sessions);
        init_service(app.wrap(from_fn(refuse_cross_site))).await
    }};
}

macro_rules! send {
    ($app:expr, $visitor:expr, $request:expr) => {{
        let request = $visitor.request($request).to_request();
        let response = call_service(&$app, request).await;
        let response = response.map_into_boxed_body();
        $visitor.receive(response.into()).await
    }};
}

fn page(path: &str) -> TestRequest {
    TestRequest::get().uri(path)
}

fn form(path: &str, form: &'static str) -> TestRequest {
    let content_type = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    TestRequest::post()
        .uri(path)
        .insert_header(content_type)
        .set_payload(form)
}

#[actix_web::test]
async fn visits_are_counted_for_who_carries_the_cookie() {
    let (app, mut visitor) = (app!(), Visitor::default());
    for visit in ["visit number 1\n", "visit number 2\n"] {
        assert_eq!(send!(app, visitor, page("/count")).body, visit);
    }
    let home = send!(app, visitor, page("/")).body;
    assert!(home.contains("been here 3 times"), "{home}");
    assert!(home.contains("at version 3"), "{home}");
    visitor.cookie = None;
    let answer = send!(app, visitor, page("/count"));
    assert_eq!(answer.body, "visit number 1\n");
}

#[actix_web::test]
async fn a_login_replaces_the_cookie_and_makes_the_old_one_worthless() {
    let (app, mut visitor) = (app!(), Visitor::default());
    send!(app, visitor, page("/count"));
    let before = visitor.cookie.clone();
    let login = send!(app, visitor, form("/login", "user=%3Cada%3E"));
    assert_eq!(login.status, StatusCode::SEE_OTHER);
    assert_ne!(visitor.cookie, before);
    let home = send!(app, visitor, page("/")).body;
    assert!(home.contains("<strong>&lt;ada&gt;</strong>"), "{home}");
    assert!(home.contains("been here 2 times"), "{home}");

    // Whoever planted the old cookie is nobody. For now not even somebody new: this could be the
    // browser that is just about to receive the new cookie.
    visitor.cookie = before;
    let answer = send!(app, visitor, page("/"));
    assert_eq!(answer.status, StatusCode::CONFLICT);
}

#[actix_web::test]
async fn a_logout_ends_the_session_for_everyone_who_has_the_cookie() {
    let (app, mut visitor) = (app!(), Visitor::default());
    send!(app, visitor, form("/login", "user=ada"));
    let before = visitor.cookie.clone();
    let logout = send!(app, visitor, form("/logout", ""));
    assert_eq!(logout.status, StatusCode::SEE_OTHER);
    assert_eq!(visitor.cookie, None);

    visitor.cookie = before;
    let home = send!(app, visitor, page("/")).body;
    assert!(home.contains("been here 1 time."), "{home}");
    assert!(!home.contains("ada"), "{home}");
}

#[actix_web::test]
async fn a_name_that_nobody_can_have_is_the_visitors_mistake() {
    let (app, mut visitor) = (app!(), Visitor::default());
    for wrong in ["", "user=", "user=+%09+"] {
        let answer = send!(app, visitor, form("/login", wrong));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong:?}");
        assert!(answer.body.contains("enter a user name"), "{}", answer.body);
    }
    assert_eq!(visitor.cookie, None);
}

const ELSEWHERE: [&[(&str, &str)]; 9] = [
    &[("sec-fetch-site", "cross-site")],
    // A sibling host, which may belong to somebody else.
    &[("sec-fetch-site", "same-site")],
    // What a future browser may say.
    &[("sec-fetch-site", "elsewhere")],
    &[
        ("sec-fetch-site", "cross-site"),
        ("origin", "http://app.example"),
    ],
    // A browser that does not send `Sec-Fetch-Site`.
    &[("origin", "https://evil.example")],
    &[("origin", "https://app.example.evil.example")],
    &[("origin", "https://app.example:8443")],
    // From a sandboxed frame or a local file.
    &[("origin", "null")],
    &[("origin", "app.example")],
];

const HERE: [&[(&str, &str)]; 5] = [
    &[("sec-fetch-site", "same-origin")],
    // Typed or bookmarked by the visitor.
    &[("sec-fetch-site", "none")],
    &[
        ("sec-fetch-site", "same-origin"),
        ("origin", "https://app.example"),
    ],
    &[("origin", "https://app.example")],
    // No browser, and so no victim whose cookie it would add.
    &[],
];

fn with(request: TestRequest, fields: &[(&'static str, &'static str)]) -> TestRequest {
    let request = request.insert_header((header::HOST, "app.example"));
    fields
        .iter()
        .fold(request, |request, field| request.insert_header(*field))
}

#[actix_web::test]
async fn s29_what_another_site_sends_is_refused_and_changes_nothing() {
    let (app, mut visitor) = (app!(), Visitor::default());
    send!(app, visitor, form("/login", "user=ada"));
    let cookie = visitor.cookie.clone();
    for fields in ELSEWHERE {
        for request in [form("/login", "user=eve"), form("/logout", "")] {
            let answer = send!(app, visitor, with(request, fields));
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
            assert!(!answer.sets_cookie, "{fields:?}");
        }
    }
    assert_eq!(visitor.cookie, cookie);
    let home = send!(app, visitor, page("/")).body;
    assert!(home.contains("<strong>ada</strong>"), "{home}");
    // The login's version, and that of this visit.
    assert!(home.contains("at version 2"), "{home}");
}

/// What `SameSite` on the cookie does nothing about: the visitor has no cookie yet.
#[actix_web::test]
async fn s29_another_site_logs_nobody_in() {
    let app = app!();
    for fields in ELSEWHERE {
        let mut visitor = Visitor::default();
        let answer = send!(app, visitor, with(form("/login", "user=eve"), fields));
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{fields:?}");
        assert!(!answer.sets_cookie, "{fields:?}");
    }
}

#[actix_web::test]
async fn s29_what_a_page_of_this_site_or_no_browser_sends_passes() {
    let app = app!();
    for fields in HERE {
        let mut visitor = Visitor::default();
        let login = send!(app, visitor, with(form("/login", "user=ada"), fields));
        assert_eq!(login.status, StatusCode::SEE_OTHER, "{fields:?}");
        let home = send!(app, visitor, page("/")).body;
        assert!(home.contains("<strong>ada</strong>"), "{home}");
        let logout = send!(app, visitor, with(form("/logout", ""), fields));
        assert_eq!(logout.status, StatusCode::SEE_OTHER, "{fields:?}");
        assert_eq!(visitor.cookie, None, "{fields:?}");
    }
}

/// Links from elsewhere are meant to work, and change nothing but the count of visits.
#[actix_web::test]
async fn s29_links_from_elsewhere_work_and_log_nobody_in_or_out() {
    let (app, mut visitor) = (app!(), Visitor::default());
    send!(app, visitor, form("/login", "user=ada"));
    for fields in ELSEWHERE {
        for path in ["/login?user=eve", "/logout"] {
            let answer = send!(app, visitor, with(page(path), fields));
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        }
        let home = send!(app, visitor, with(page("/"), fields));
        assert_eq!(home.status, StatusCode::OK);
        assert!(home.body.contains("<strong>ada</strong>"), "{}", home.body);
    }
}
