//! A browser with a cookie jar of one cookie.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Sends requests with the cookie that it has, and keeps the one that it gets. Clones begin with the
/// same cookie and then go their own way.
#[derive(Clone, Debug)]
pub struct Browser {
    client: Client<HttpConnector, Empty<Bytes>>,
    name: String,
    cookie: Option<String>,
}

impl Browser {
    /// A browser without a cookie, for testbeds: their cookie is named `session`.
    #[must_use]
    pub fn new() -> Self {
        Self::with_cookie_name("session")
    }

    /// A browser that keeps the cookie of that name.
    #[must_use]
    pub fn with_cookie_name(name: &str) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            name: name.to_owned(),
            cookie: None,
        }
    }

    /// The value of the cookie that it has.
    #[must_use]
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// Puts a cookie into the jar, or takes it out.
    pub fn set_cookie(&mut self, value: Option<&str>) {
        self.cookie = value.map(str::to_owned);
    }

    /// Requests a page and keeps the cookie that comes with it.
    pub async fn get(&mut self, node: SocketAddr, path: &str) -> Answer {
        let answer = self.peek(node, path).await;
        self.keep(&answer);
        answer
    }

    /// The same from a node that may go away meanwhile; `None` if no answer came.
    pub async fn attempt(&mut self, node: SocketAddr, path: &str) -> Option<Answer> {
        let answer = self.try_peek(node, path).await.ok()?;
        self.keep(&answer);
        Some(answer)
    }

    /// Requests a page with the cookie that it has, but keeps none.
    pub async fn peek(&self, node: SocketAddr, path: &str) -> Answer {
        self.try_peek(node, path).await.expect("an answer")
    }

    async fn try_peek(&self, node: SocketAddr, path: &str) -> Result<Answer, Broken> {
        let cookie = self
            .cookie
            .as_ref()
            .map(|value| format!("{}={value}", self.name));
        let fields: Vec<_> = cookie
            .iter()
            .map(|text| ("cookie", text.as_bytes()))
            .collect();
        self.try_send(node, path, &fields).await
    }

    /// Takes in the cookie of an answer, as a browser does when that arrives.
    pub fn keep(&mut self, answer: &Answer) {
        if let Some(set) = answer.set_cookie(&self.name) {
            self.cookie = (!set.is_removal()).then_some(set.value);
        }
    }

    /// Sends exactly these header fields.
    pub async fn send(&self, node: SocketAddr, path: &str, fields: &[(&str, &[u8])]) -> Answer {
        self.try_send(node, path, fields).await.expect("an answer")
    }

    async fn try_send(
        &self,
        node: SocketAddr,
        path: &str,
        fields: &[(&str, &[u8])],
    ) -> Result<Answer, Broken> {
        let mut request = Request::get(format!("http://{node}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Empty::new())
            .expect("the test's own header fields");
        let response = self.client.request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        })
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

/// Why no answer came.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// A response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The body of an answer that must have been a success.
    ///
    /// # Panics
    ///
    /// If it was not.
    #[expect(clippy::must_use_candidate, reason = "often only the success matters")]
    pub fn ok(self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.body
    }

    /// The number that the body of a success consists of.
    ///
    /// # Panics
    ///
    /// If it was no success or is no number.
    #[must_use]
    pub fn number(self) -> u64 {
        let body = self.ok();
        body.parse()
            .unwrap_or_else(|_| panic!("{body:?} is no number"))
    }

    /// The one `Set-Cookie` field for a cookie of that name.
    ///
    /// # Panics
    ///
    /// If there are several.
    #[must_use]
    pub fn set_cookie(&self, name: &str) -> Option<SetCookie> {
        let mut fields = self
            .texts(header::SET_COOKIE.as_str())
            .filter_map(|text| SetCookie::parse(text, name));
        let first = fields.next();
        assert!(
            fields.next().is_none(),
            "several cookies named {name}: {self:?}"
        );
        first
    }

    /// The session cookie of a testbed.
    #[must_use]
    pub fn session_cookie(&self) -> Option<SetCookie> {
        self.set_cookie("session")
    }

    /// The values of all header fields of that name.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers
            .get_all(name)
            .iter()
            .map(|value| value.to_str().expect("text"))
    }
}

/// A parsed `Set-Cookie` field.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetCookie {
    /// The cookie's value.
    pub value: String,
    /// Its attributes, names in lower case; without a value as an empty text.
    pub attributes: BTreeMap<String, String>,
}

impl SetCookie {
    fn parse(text: &str, name: &str) -> Option<Self> {
        let mut parts = text.split("; ");
        let value = parts
            .next()?
            .strip_prefix(name)?
            .strip_prefix('=')?
            .to_owned();
        let attributes = parts.map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.to_ascii_lowercase(), value.to_owned())
        });
        Some(Self {
            value,
            attributes: attributes.collect(),
        })
    }

    /// Whether it makes the browser drop the cookie.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.attributes.get("max-age").is_some_and(|age| age == "0")
    }
}
