use actix_web::{
    body::to_bytes,
    http::header,
    test::{TestRequest, call_service, init_service},
};

use super::*;

/// A visitor with a cookie jar for one cookie.
#[derive(Default)]
struct Visitor {
    cookie: Option<String>,
}

struct Answer {
    status: StatusCode,
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
        if let Some(cookie) = response.headers().get(header::SET_COOKIE) {
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
        Answer { status, body }
    }
}

/// The app, with what it takes to talk to it.
macro_rules! app {
    () => {{
        let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
            .cookie(localhost_cookie().unwrap())
            .build();
        let sessions = SessionMiddleware::new(sessions.unwrap());
        init_service(App::new().configure(routes).wrap(sessions)).await
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
