//! What is actix's own: extractors whose errors get lost, errors that are responses, bodies, scopes.
//! What all adapters have in common is told by the stories of `tenure-tests`.

#![expect(clippy::unwrap_used, reason = "a surprise is a failed test")]

use actix_web::{
    App, Either, Error, HttpResponse,
    body::{self, BodyStream, MessageBody},
    dev::{Service, ServiceRequest, ServiceResponse},
    error::{ErrorForbidden, ErrorInternalServerError},
    guard::fn_guard,
    http::header::{self, HeaderMap},
    middleware::{Next, from_fn},
    test::{TestRequest, init_service},
    web::{self, Bytes, get},
};
use futures_util::stream;
use tenure_actix::{
    CookieConfig, Key, KeyRing, Maybe, MemoryStore, Session, SessionData, SessionError, SessionExt,
    SessionHandle, SessionManager, SessionMiddleware, StoreErrorKind, Stored,
};
use tenure_testing::{FaultyStore, Moment, SpyStore, Verb};

type Store = SpyStore<FaultyStore<MemoryStore>>;

fn store() -> Store {
    SpyStore::new(FaultyStore::new(MemoryStore::new()))
}

fn middleware(store: &Store, cookie_name: &str) -> SessionMiddleware {
    let cookie = CookieConfig::builder()
        .name(cookie_name)
        .danger_insecure_for_localhost()
        .build();
    let manager = SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .cookie(cookie.unwrap())
        .build();
    SessionMiddleware::new(manager.unwrap())
}

/// Requests a page, as a browser that keeps the cookies that it gets.
macro_rules! visit {
    ($app:expr, $jar:expr, $path:expr) => {{
        let outcome = $app.call($jar.request($path).to_request()).await;
        $jar.answer(outcome).await
    }};
}

#[derive(Clone, Default)]
struct Jar(Vec<String>);

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Jar {
    fn request(&self, path: &str) -> TestRequest {
        let mut request = TestRequest::get().uri(path);
        for cookie in &self.0 {
            request = request.append_header((header::COOKIE, cookie.as_str()));
        }
        request
    }

    /// Makes the response of an error as actix does: late.
    async fn answer<B: MessageBody + 'static>(
        &mut self,
        outcome: Result<ServiceResponse<B>, Error>,
    ) -> Answer {
        let response = match outcome {
            Ok(response) => HttpResponse::from(response.map_into_boxed_body()),
            Err(error) => error.error_response(),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = body::to_bytes(response.into_body()).await.unwrap();
        let answer = Answer {
            status,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        };
        for cookie in answer.cookies() {
            let name = cookie.split('=').next().unwrap();
            self.0.retain(|kept| !kept.starts_with(name));
            self.0.push(cookie);
        }
        answer
    }
}

impl Answer {
    /// The cookies that it sets, without their attributes.
    fn cookies(&self) -> Vec<String> {
        let fields = self.headers.get_all(header::SET_COOKIE);
        let pair = |text: &str| text.split(';').next().unwrap().to_owned();
        fields.map(|field| pair(field.to_str().unwrap())).collect()
    }

    fn is_personal(&self) -> bool {
        let is = |name, text| self.headers.get(name).is_some_and(|value| value == text);
        is(header::CACHE_CONTROL, "no-store") && is(header::VARY, "cookie")
    }
}

async fn count(session: Session) -> Result<String, SessionError> {
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(n.to_string())
}

async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Cart {
    articles: Vec<u32>,
}

impl SessionData for Cart {
    const KEY: Key<Self> = Key::new("cart");
}

#[actix_web::test]
async fn s37_no_extractor_hides_a_store_that_fails_whatever_it_is_wrapped_in() {
    let store = store();
    let app = App::new()
        .route("/count", get().to(count))
        .route(
            "/option",
            get().to(async |it: Option<Session>| format!("{}", it.is_some())),
        )
        .route(
            "/result",
            get().to(async |it: Result<Session, SessionError>| format!("{}", it.is_ok())),
        )
        .route(
            "/either",
            get().to(async |it: Either<Session, Bytes>| {
                format!("{}", matches!(it, Either::Left(_)))
            }),
        )
        .route(
            "/stored",
            get().to(async |it: Option<Stored<Cart>>| format!("{}", it.is_some())),
        )
        .route(
            "/maybe",
            get().to(async |it: Maybe<Session>| format!("{}", it.0.is_some())),
        )
        .route(
            "/handle",
            get().to(async |it: SessionHandle| format!("{}", it.load().await.is_ok())),
        )
        .wrap(middleware(&store, "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    assert_eq!(visit!(app, jar, "/count").body, "1");
    for path in ["/option", "/result", "/either", "/stored", "/maybe"] {
        assert_eq!(visit!(app, jar, path).body, "true", "{path}");
        let down = StoreErrorKind::Unavailable;
        store
            .inner()
            .fail_next(1, Verb::Load, Moment::BeforeCall, down);
        let answer = visit!(app, jar, path);
        assert_eq!((answer.status, &*answer.body), (503, ""), "{path}");
        assert!(answer.is_personal() && answer.cookies().is_empty());
    }
    // Who asks the handle sees the error, and may have something to show all the same.
    let down = StoreErrorKind::Unavailable;
    store
        .inner()
        .fail_next(1, Verb::Load, Moment::BeforeCall, down);
    let answer = visit!(app, jar, "/handle");
    assert_eq!((answer.status, &*answer.body), (200, "false"));
}

#[actix_web::test]
async fn maybe_is_none_for_visitors_for_whom_nothing_is_stored() {
    let put = async |mut cart: Stored<Cart>| {
        cart.update(|_| Cart { articles: vec![7] })?;
        Ok::<_, SessionError>(format!("{:?}", cart.articles))
    };
    let app = App::new()
        .route("/put", get().to(put))
        .route("/count", get().to(count))
        .route(
            "/session",
            get().to(async |it: Maybe<Session>| format!("{}", it.0.is_some())),
        )
        .route(
            "/cart",
            get().to(async |it: Maybe<Stored<Cart>>| {
                format!("{:?}", it.0.map(|cart| cart.into_inner().articles))
            }),
        )
        .wrap(middleware(&store(), "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    assert_eq!(visit!(app, jar, "/session").body, "false");
    assert_eq!(visit!(app, jar, "/count").body, "1");
    assert_eq!(visit!(app, jar, "/session").body, "true");
    assert_eq!(visit!(app, jar, "/cart").body, "None");
    assert_eq!(visit!(app, jar, "/put").body, "[7]");
    assert_eq!(visit!(app, jar, "/cart").body, "Some([7])");
}

#[actix_web::test]
async fn what_a_hidden_failure_left_undone_is_not_half_written() {
    let scramble = async |session: Session| {
        session.insert("cart", "no cart")?;
        Ok::<_, SessionError>("scrambled")
    };
    let carry_on = async |session: Session, cart: Option<Stored<Cart>>| {
        session.insert("n", 100_u64)?;
        Ok::<_, SessionError>(format!("{cart:?}"))
    };
    let app = App::new()
        .route("/count", get().to(count))
        .route("/read", get().to(read))
        .route("/scramble", get().to(scramble))
        .route("/carry-on", get().to(carry_on))
        .wrap(middleware(&store(), "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    visit!(app, jar, "/count");
    assert_eq!(visit!(app, jar, "/scramble").body, "scrambled");
    let answer = visit!(app, jar, "/carry-on");
    assert_eq!((answer.status, &*answer.body), (500, ""));
    assert_eq!(visit!(app, jar, "/read").body, "1");
}

/// A middleware between sessions and routes, as applications write them.
async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let session = request.session_handle()?.load().await;
    let session = session.map_err(SessionError::from)?;
    let count = || session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    match request.path() {
        "/forbidden" => {
            let n = count().map_err(SessionError::from)?;
            Err(ErrorForbidden(format!("refusal number {n}")))
        }
        "/broken" => {
            count().map_err(SessionError::from)?;
            Err(ErrorInternalServerError("broken"))
        }
        "/thrown-out" => {
            session.destroy().map_err(SessionError::from)?;
            Err(ErrorInternalServerError("thrown out"))
        }
        _ => next.call(request).await,
    }
}

#[actix_web::test]
async fn an_error_that_a_middleware_returns_is_committed_like_the_response_that_it_becomes() {
    let store = store();
    let app = App::new()
        .route("/read", get().to(read))
        .wrap(from_fn(gate))
        .wrap(middleware(&store, "session"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    for n in 1..3 {
        let answer = visit!(app, jar, "/forbidden");
        assert_eq!(answer.body, format!("refusal number {n}"));
        assert_eq!((answer.status, answer.cookies().len()), (403, 1));
        assert!(answer.is_personal());
    }
    let answer = visit!(app, jar, "/broken");
    assert_eq!((answer.status, &*answer.body), (500, "broken"));
    assert!(answer.is_personal() && answer.cookies().is_empty());
    assert_eq!(visit!(app, jar, "/read").body, "2");

    let down = StoreErrorKind::Unavailable;
    store
        .inner()
        .fail_next(1, Verb::Commit, Moment::BeforeCall, down);
    let answer = visit!(app, jar, "/forbidden");
    assert_eq!((answer.status, &*answer.body), (503, ""));
    assert!(answer.is_personal() && answer.cookies().is_empty());
    assert_eq!(visit!(app, jar, "/read").body, "2");

    let before = jar.clone();
    let answer = visit!(app, jar, "/thrown-out");
    assert_eq!((answer.status, &*answer.body), (500, "thrown out"));
    assert_eq!(answer.cookies(), ["session="]);
    jar = before;
    assert_eq!(visit!(app, jar, "/read").body, "0");
}

#[actix_web::test]
async fn a_refusal_can_be_a_page_of_the_application_s_own() {
    let store = store();
    let sessions = middleware(&store, "session").on_refusal(|refusal| {
        let mut response = HttpResponse::build(refusal.status().try_into().unwrap());
        response.body(format!("sorry: {refusal}"))
    });
    let app = App::new()
        .route("/count", get().to(count))
        .wrap(sessions.clone());
    let app = init_service(app).await;
    let gated = App::new().wrap(from_fn(gate)).wrap(sessions);
    let gated = init_service(gated).await;
    let full = StoreErrorKind::Full;
    store
        .inner()
        .fail_next(2, Verb::Create, Moment::BeforeCall, full);
    let sorry = "sorry: the session could not be read or written";
    let answer = visit!(app, Jar::default(), "/count");
    assert_eq!((answer.status, &*answer.body), (503, sorry));
    let answer = visit!(gated, Jar::default(), "/forbidden");
    assert_eq!((answer.status, &*answer.body), (503, sorry));
}

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
async fn a_scope_has_sessions_and_what_lies_beside_it_has_none() {
    let store = store();
    let has_session = fn_guard(|context| {
        let extensions = context.req_data();
        extensions.get::<tenure_core::SessionHandle>().is_some()
    });
    let inside = web::scope("/inside")
        .route("/count", get().guard(has_session).to(count))
        .route("/untouched", get().to(async || "untouched"))
        .wrap(middleware(&store, "session"));
    let app = App::new().service(inside).route("/count", get().to(count));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    assert_eq!(visit!(app, jar, "/inside/count").body, "1");
    assert_eq!(visit!(app, jar, "/inside/count").body, "2");
    let answer = visit!(app, jar, "/count");
    assert_eq!((answer.status, &*answer.body), (500, ""));

    let calls = store.log().len();
    let answer = visit!(app, jar, "/inside/untouched");
    assert_eq!((answer.status, &*answer.body), (200, "untouched"));
    assert!(answer.cookies().is_empty() && !answer.is_personal());
    assert_eq!(store.log().len(), calls);
}

#[actix_web::test]
async fn a_scope_inside_another_can_have_sessions_of_its_own() {
    let (visitors, staff) = (store(), store());
    let scope = web::scope("/staff")
        .route("/count", get().to(count))
        .wrap(middleware(&staff, "staff"));
    let app = App::new()
        .service(scope)
        .route("/count", get().to(count))
        .wrap(middleware(&visitors, "visitor"));
    let app = init_service(app).await;
    let mut jar = Jar::default();
    for n in ["1", "2"] {
        let answer = visit!(app, jar, "/staff/count");
        assert_eq!(answer.body, n);
        assert!(answer.cookies().iter().all(|it| it.starts_with("staff=")));
    }
    assert_eq!(visit!(app, jar, "/count").body, "1");
    assert_eq!(visitors.log().verbs(), [Verb::Create]);
}

#[actix_web::test]
async fn s35_every_cookie_of_a_request_is_hidden_and_still_there() {
    let fields = async |request: actix_web::HttpRequest| {
        let cookies = request.headers().get_all(header::COOKIE);
        let cookies: Vec<_> = cookies.map(|it| it.to_str().unwrap()).collect();
        format!("{} {:?}", cookies.join(" "), request.headers())
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
