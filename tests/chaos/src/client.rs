//! One request, with whatever may become of it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client as Connections, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::timeout;

use crate::token::Token;

/// A browser's connections. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    connections: Connections<HttpConnector, Empty<Bytes>>,
}

/// A cookie as the jar keeps it, and what it says.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) value: String,
    pub(crate) token: Token,
}

#[derive(Debug)]
pub(crate) enum Response {
    Complete {
        status: u16,
        body: String,
        cookie: SetCookie,
    },
    Left,
    Broken,
}

#[derive(Debug)]
pub(crate) enum SetCookie {
    Nothing,
    Value(Kept),
    Removal,
    Garbled,
}

impl Client {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            connections: Connections::builder(TokioExecutor::new()).build(connector),
        }
    }

    /// Asks, and leaves if there is no answer within that time.
    pub(crate) async fn get(
        &self,
        node: SocketAddr,
        path: &str,
        cookie: Option<&Kept>,
        leave_after: Option<Duration>,
    ) -> Response {
        let whole = self.exchange(node, path, cookie);
        let limit = leave_after.unwrap_or(LONGEST).min(LONGEST);
        match timeout(limit, whole).await {
            Ok(response) => response.unwrap_or(Response::Broken),
            Err(_) if leave_after.is_some() => Response::Left,
            Err(_) => Response::Broken,
        }
    }

    async fn exchange(
        &self,
        node: SocketAddr,
        path: &str,
        cookie: Option<&Kept>,
    ) -> Option<Response> {
        let mut request = Request::get(format!("http://{node}{path}"));
        if let Some(kept) = cookie {
            request = request.header(header::COOKIE, format!("{COOKIE}={}", kept.value));
        }
        let request = request.body(Empty::new()).ok()?;
        let response = self.connections.request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Response::Complete {
            status: head.status.as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
            cookie: SetCookie::of(&head.headers),
        })
    }
}

impl SetCookie {
    fn of(headers: &HeaderMap) -> Self {
        let mut fields = headers.get_all(header::SET_COOKIE).iter();
        let (first, second) = (fields.next(), fields.next());
        let Some(field) = first else {
            return Self::Nothing;
        };
        let text = field.to_str().ok().filter(|_| second.is_none());
        text.and_then(Self::parse).unwrap_or(Self::Garbled)
    }

    fn parse(field: &str) -> Option<Self> {
        let mut parts = field.split("; ");
        let value = parts.next()?.strip_prefix(COOKIE)?.strip_prefix('=')?;
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            return Some(Self::Removal);
        }
        let token = Token::parse(value)?;
        let value = value.to_owned();
        Some(Self::Value(Kept { value, token }))
    }
}

/// What testbeds name their cookie.
const COOKIE: &str = "session";

/// Beyond every deadline and every fault: who waits longer waits in vain.
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn set(fields: &[String]) -> SetCookie {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::SET_COOKIE, field.parse().unwrap());
        }
        SetCookie::of(&headers)
    }

    #[test]
    fn a_field_sets_removes_or_is_garbled() {
        let value = URL_SAFE_NO_PAD.encode([7; 66]);
        let field = format!("session={value}; Path=/; HttpOnly");
        assert!(matches!(set(&[]), SetCookie::Nothing));
        assert!(
            matches!(set(std::slice::from_ref(&field)), SetCookie::Value(kept) if kept.value == value)
        );
        let removal = "session=; Path=/; Max-Age=0".to_owned();
        assert!(matches!(set(&[removal]), SetCookie::Removal));
        let other = "session=nonsense; Path=/".to_owned();
        assert!(matches!(set(&[other]), SetCookie::Garbled));
        assert!(matches!(set(&[field.clone(), field]), SetCookie::Garbled));
    }
}
