//! Other middlewares, and bodies that go on after the head.

use actix_web::{
    App, Error, HttpResponse,
    body::BodyStream,
    dev::Service,
    http::header,
    middleware::{Compress, Logger},
    test::init_service,
    web::{Bytes, get},
};
use futures_util::{StreamExt, stream};
use tenure_actix::{Session, SessionError};

use crate::support::{Jar, count, middleware, read, store, visit};

#[actix_web::test]
async fn bodies_that_are_streamed_leave_after_the_commit_and_come_whole() {
    let streamed = async |session: Session| {
        count(session).await?;
        let parts = ["one ", "two ", "three"].map(|part| Ok::<_, Error>(Bytes::from(part)));
        let body = BodyStream::new(stream::iter(parts));
        Ok::<_, SessionError>(HttpResponse::Ok().body(body))
    };
    let app = App::new()
        .route("/streamed", get().to(streamed))
        .route("/read", get().to(read))
        .wrap(middleware(&store(), "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    let response = app.call(jar.request("/streamed").to_request()).await;
    // The head is complete before anybody asks for the body.
    let response = response.unwrap();
    assert!(response.headers().contains_key(header::SET_COOKIE));
    assert_eq!(jar.answer(Ok(response)).await.body, "one two three");
    assert_eq!(visit!(app, jar, "/read").body, "1");
}

#[actix_web::test]
async fn s35_every_cookie_of_a_request_is_there_and_left_out_of_what_actix_prints() {
    let fields = async |request: actix_web::HttpRequest| {
        let cookies = request.headers().get_all(header::COOKIE);
        let cookies: Vec<_> = cookies.map(|it| it.to_str().unwrap()).collect();
        format!("{} {request:?}", cookies.join(" "))
    };
    let app = App::new()
        .route("/fields", get().to(fields))
        .wrap(middleware(&store(), "session"));
    let app = init_service(app).await;
    let mut jar = Jar(vec!["a=1".to_owned(), "b=2".to_owned()]);
    let body = visit!(app, jar, "/fields").body;
    let printed = body.strip_prefix("a=1 b=2 ").unwrap();
    assert!(printed.contains("cookie"), "{printed}");
    assert!(!printed.contains("a=1") && !printed.contains("b=2"));
}

#[actix_web::test]
async fn compression_and_logging_leave_the_session_alone() {
    let page = async |session: Session| Ok::<_, SessionError>(count(session).await?.repeat(1000));
    macro_rules! check {
        ($app:expr) => {{
            let app = init_service($app).await;
            let mut jar = Jar::default();
            for cookies in [1, 0, 0] {
                let request = jar.request("/");
                let request = request.append_header((header::ACCEPT_ENCODING, "gzip"));
                let outcome = app.call(request.to_request()).await;
                let answer = jar.answer(outcome).await;
                let encoding = answer.headers.get(header::CONTENT_ENCODING);
                assert_eq!(encoding.unwrap(), "gzip");
                assert_eq!(answer.cookies().len(), cookies);
                // It varies by both: by the encoding, and by the cookie.
                let vary: Vec<_> = answer.headers.get_all(header::VARY).collect();
                assert!(vary.iter().any(|field| *field == "cookie"), "{vary:?}");
                assert!(
                    vary.iter().any(|field| *field == "accept-encoding"),
                    "{vary:?}"
                );
            }
            assert_eq!(visit!(app, jar, "/").body, "4".repeat(1000));
        }};
    }
    check!(
        App::new()
            .route("/", get().to(page))
            .wrap(middleware(&store(), "session"))
            .wrap(Compress::default())
            .wrap(Logger::default())
    );
    check!(
        App::new()
            .route("/", get().to(page))
            .wrap(Logger::default())
            .wrap(Compress::default())
            .wrap(middleware(&store(), "session"))
    );
}

/// A stream that goes on after the head can read the session, but no longer change it.
#[actix_web::test]
async fn what_a_stream_changes_after_the_head_is_an_error_that_says_what_to_do() {
    let events = async |session: Session| {
        session.insert("before", true)?;
        let lines = stream::iter(0..2).map(move |n| {
            let late = session.insert("after", n).unwrap_err();
            let before = session.get::<bool>("before").unwrap();
            Ok::<_, Error>(Bytes::from(format!("data: {late} {before:?}\n\n")))
        });
        let mut response = HttpResponse::Ok();
        response.content_type("text/event-stream");
        Ok::<_, SessionError>(response.streaming(lines))
    };
    let keys = async |session: Session| session.keys().join(",");
    let app = App::new()
        .route("/events", get().to(events))
        .route("/keys", get().to(keys))
        .wrap(middleware(&store(), "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    let late =
        "the response has begun; change the session before the handler returns, or detach it";
    let expected = format!("data: {late} Some(true)\n\n").repeat(2);
    assert_eq!(visit!(app, jar, "/events").body, expected);
    assert_eq!(visit!(app, jar, "/keys").body, "before");
}
