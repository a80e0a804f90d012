//! Extractors, whose errors actix lets get lost.

use actix_web::{
    App, Either,
    dev::Service,
    test::init_service,
    web::{Bytes, get},
};
use tenure_actix::{
    Key, Maybe, Session, SessionData, SessionError, SessionHandle, StoreErrorKind, Stored,
};
use tenure_testing::{Moment, Verb};

use crate::support::{Jar, count, middleware, read, store, visit};

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
