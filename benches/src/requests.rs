//! Requests through the tower layer, without sockets: `Service::call`, polled until it is done.

use std::hint::black_box;

use futures_util::FutureExt;
use http::{HeaderValue, Request, Response, header};
use tenure_core::{Key, KeyRing, SessionError, SessionHandle, SessionManager, SessionStore};
use tenure_tower::SessionLayer;
use tower::{Layer, Service, service_fn};

/// Who sends the requests, and what their handler does.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "each peer has an answer of its own to all of them"
)]
pub enum Work {
    /// A visitor with a session, for which the handler does not ask.
    Nothing,
    /// The same, and the handler reads a number from it.
    Read,
    /// The same, and the handler adds one to the number.
    Modify,
    /// Visitors without a session, for whom the handler stores the number.
    Begin,
}

/// Does the work that many times on sessions in `store`.
///
/// # Panics
///
/// If a request fails or waits for anything.
pub fn repeat(store: impl SessionStore, work: Work, calls: u64) {
    let keys = KeyRing::generate().expect("random bytes");
    let sessions = SessionManager::builder(store, keys).build();
    let layer = SessionLayer::new(sessions.expect("the default settings"));
    drive(
        layer.layer(service_fn(nothing)),
        layer.layer(service_fn(read)),
        layer.layer(service_fn(modify)),
        work,
        calls,
    );
}

/// Does the work that many times on services whose handlers do nothing, read and modify.
///
/// # Panics
///
/// If a request fails or waits for anything.
pub fn drive<N, R, M>(mut nothing: N, mut read: R, mut modify: M, work: Work, calls: u64)
where
    N: Service<Request<()>, Response = Response<()>>,
    R: Service<Request<()>, Response = Response<()>>,
    M: Service<Request<()>, Response = Response<()>>,
{
    let mut browser = Browser::default();
    browser.visit(&mut modify);
    for _ in 0..calls {
        match work {
            Work::Nothing => browser.visit(&mut nothing),
            Work::Read => browser.visit(&mut read),
            Work::Modify => browser.visit(&mut modify),
            Work::Begin => Browser::default().visit(&mut modify),
        }
    }
}

async fn nothing(_: Request<()>) -> Outcome {
    Ok(Response::new(()))
}

async fn read(request: Request<()>) -> Outcome {
    let session = handle(&request).load().await?;
    black_box(session.get(VISITS)?);
    Ok(Response::new(()))
}

async fn modify(request: Request<()>) -> Outcome {
    let session = handle(&request).load().await?;
    black_box(session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?);
    Ok(Response::new(()))
}

fn handle(request: &Request<()>) -> &SessionHandle {
    request.extensions().get().expect("the layer")
}

type Outcome = Result<Response<()>, SessionError>;

/// Keeps the newest cookie, and sends it with another before and another behind it.
#[derive(Debug, Default)]
struct Browser {
    cookies: Option<HeaderValue>,
}

impl Browser {
    fn visit<S>(&mut self, service: &mut S)
    where
        S: Service<Request<()>, Response = Response<()>>,
    {
        let mut request = Request::new(());
        if let Some(cookies) = &self.cookies {
            request
                .headers_mut()
                .insert(header::COOKIE, cookies.clone());
        }
        let response = service.call(request).now_or_never();
        let Some(Ok(response)) = response else {
            panic!("the request failed or waits")
        };
        assert_eq!(response.status(), 200);
        if let Some(field) = response.headers().get(header::SET_COOKIE) {
            let field = field.to_str().expect("text");
            let (pair, _) = field.split_once(';').expect("attributes");
            let cookies = format!("theme=dark; {pair}; lang=en");
            self.cookies = Some(HeaderValue::try_from(cookies).expect("text"));
        }
    }
}

const VISITS: Key<u64> = Key::new("visits");
