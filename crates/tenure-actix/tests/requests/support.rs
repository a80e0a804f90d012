//! A store that can be watched and broken, and a browser without a socket.

use actix_web::{
    Error, HttpResponse,
    body::{self, MessageBody},
    dev::ServiceResponse,
    http::header::{self, HeaderMap},
    test::TestRequest,
};
use tenure_actix::{
    CookieConfig, KeyRing, MemoryStore, Session, SessionError, SessionManager, SessionMiddleware,
};
use tenure_testing::{FaultyStore, SpyStore};

pub(crate) type Store = SpyStore<FaultyStore<MemoryStore>>;

pub(crate) fn store() -> Store {
    SpyStore::new(FaultyStore::new(MemoryStore::new()))
}

pub(crate) fn middleware(store: &Store, cookie_name: &str) -> SessionMiddleware {
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
pub(crate) use visit;

#[derive(Clone, Default)]
pub(crate) struct Jar(pub(crate) Vec<String>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Jar {
    pub(crate) fn request(&self, path: &str) -> TestRequest {
        let mut request = TestRequest::get().uri(path);
        for cookie in &self.0 {
            request = request.append_header((header::COOKIE, cookie.as_str()));
        }
        request
    }

    /// Makes the response of an error as actix does: late.
    pub(crate) async fn answer<B: MessageBody + 'static>(
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
            body: String::from_utf8_lossy(&body).into_owned(),
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
    pub(crate) fn cookies(&self) -> Vec<String> {
        let fields = self.headers.get_all(header::SET_COOKIE);
        let pair = |text: &str| text.split(';').next().unwrap().to_owned();
        fields.map(|field| pair(field.to_str().unwrap())).collect()
    }

    pub(crate) fn is_personal(&self) -> bool {
        let is = |name, text| self.headers.get(name).is_some_and(|value| value == text);
        is(header::CACHE_CONTROL, "no-store") && is(header::VARY, "cookie")
    }
}

pub(crate) async fn count(session: Session) -> Result<String, SessionError> {
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    Ok(n.to_string())
}

pub(crate) async fn read(session: Session) -> Result<String, SessionError> {
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}
