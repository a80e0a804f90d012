//! Requests that another site's page makes the browser send.

use axum::http::{HeaderName, HeaderValue, Method};

use super::*;

/// Where the app is, for its visitors.
const HOST: &str = "login.example";

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Everything that changes something, with what a visitor would send there.
const CHANGES: [(&str, &str); 4] = [
    ("/login", ADA),
    ("/rename", "nickname=Countess"),
    ("/unlock", "code=1852"),
    ("/logout", ""),
];

/// Where browsers say that a request comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Site(&'static str),
    /// From a browser that does not send `Sec-Fetch-Site`.
    Origin(&'static str),
    Both(&'static str, &'static str),
    /// From no browser.
    Nothing,
}

/// What no browser of a visitor sends when one of the app's own pages makes a request.
const ELSEWHERE: [Source; 9] = [
    Source::Site("cross-site"),
    // A sibling host, which may belong to somebody else.
    Source::Site("same-site"),
    // What a future browser may say.
    Source::Site("elsewhere"),
    Source::Both("cross-site", "https://login.example"),
    Source::Origin("https://evil.example"),
    Source::Origin("https://login.example.evil.example"),
    Source::Origin("https://login.example:8443"),
    // From a sandboxed frame or a local file.
    Source::Origin("null"),
    Source::Origin("login.example"),
];

impl Visitor {
    /// A visitor of an app that can be asked what is stored.
    fn watched() -> Self {
        let sessions = sessions().unwrap();
        let inspection = Router::new()
            .route("/stored", get(stored))
            .layer(SessionLayer::new(sessions.clone()));
        Self {
            app: app(sessions).merge(inspection),
            cookie: None,
        }
    }

    async fn watched_and_logged_in() -> Self {
        let mut visitor = Self::watched();
        visitor.post("/login", ADA).await;
        assert_eq!(visitor.stored().await, "ada 1 unlocked: false");
        visitor
    }

    async fn from(&mut self, source: Source, method: Method, path: &str, form: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, HOST)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (site, origin) = match source {
            Source::Site(site) => (Some(site), None),
            Source::Origin(origin) => (None, Some(origin)),
            Source::Both(site, origin) => (Some(site), Some(origin)),
            Source::Nothing => (None, None),
        };
        for (name, value) in [(SITE, site), (header::ORIGIN, origin)] {
            if let Some(value) = value {
                request = request.header(name, HeaderValue::from_static(value));
            }
        }
        self.send(request, Body::from(form.to_owned())).await
    }

    async fn stored(&mut self) -> String {
        self.get("/stored").await.body
    }
}

/// Whose session it is, and its version, which grows with every change.
async fn stored(session: Option<Session>) -> Result<String, Problem> {
    let Some(session) = session else {
        return Ok("nothing".to_owned());
    };
    let user = session.principal();
    let user = user.as_ref().map_or("nobody", Principal::as_str);
    let version = session.version().map_or(0, |version| version.counter());
    let unlocked = session.get(UNLOCKED)?.unwrap_or_default();
    Ok(format!("{user} {version} unlocked: {unlocked}"))
}

#[tokio::test]
async fn s29_what_another_site_sends_is_refused_and_changes_nothing() {
    let mut visitor = Visitor::watched_and_logged_in().await;
    let cookie = visitor.cookie.clone();
    for source in ELSEWHERE {
        for (path, form) in CHANGES {
            let answer = visitor.from(source, Method::POST, path, form).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {source:?}");
            assert!(answer.body.contains("from another site"), "{}", answer.body);
            assert!(answer.set_cookie.is_none(), "{path} {source:?}");
        }
    }
    assert_eq!(visitor.cookie, cookie);
    assert_eq!(visitor.stored().await, "ada 1 unlocked: false");
}

/// What `SameSite` on the cookie does nothing about: the visitor has no cookie yet.
#[tokio::test]
async fn s29_another_site_logs_nobody_in() {
    for source in ELSEWHERE {
        let mut visitor = Visitor::watched();
        let answer = visitor.from(source, Method::POST, "/login", ADA).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{source:?}");
        assert!(answer.set_cookie.is_none(), "{source:?}");
        assert_eq!(visitor.stored().await, "nothing");
    }
}

#[tokio::test]
async fn s29_what_a_page_of_this_site_sends_passes() {
    for source in [
        Source::Site("same-origin"),
        // Typed or bookmarked by the visitor.
        Source::Site("none"),
        Source::Both("same-origin", "https://login.example"),
        // An older browser.
        Source::Origin("https://login.example"),
    ] {
        let mut visitor = Visitor::watched_and_logged_in().await;
        for (path, form) in CHANGES {
            let answer = visitor.from(source, Method::POST, path, form).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path} {source:?}");
        }
        assert_eq!(visitor.stored().await, "nothing", "logged out: {source:?}");
    }
}

/// Forgery needs a browser, which adds the victim's cookie. Since 2023 each says where a request comes
/// from, and since 2020 it names the origin of every `POST`.
#[tokio::test]
async fn s29_a_client_that_is_no_browser_passes() {
    let mut client = Visitor::watched_and_logged_in().await;
    let (path, form) = CHANGES[1];
    let answer = client.from(Source::Nothing, Method::POST, path, form).await;
    assert_eq!(answer.location.as_deref(), Some("/account"));
    assert_eq!(client.stored().await, "ada 2 unlocked: false");
}

/// `GET` passes from everywhere, since links are meant to work. So it must not change anything.
#[tokio::test]
async fn s29_reading_changes_nothing_wherever_it_comes_from() {
    let mut visitor = Visitor::watched_and_logged_in().await;
    let cookie = visitor.cookie.clone();
    for source in ELSEWHERE {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            for path in ["/", "/account", "/admin"] {
                let answer = visitor.from(source, method.clone(), path, "").await;
                assert!(!answer.body.contains("another site"), "{}", answer.body);
            }
            for (path, form) in CHANGES {
                let answer = visitor.from(source, method.clone(), path, form).await;
                let status = answer.status;
                assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            }
        }
    }
    assert_eq!(visitor.cookie, cookie);
    assert_eq!(visitor.stored().await, "ada 1 unlocked: false");
}
