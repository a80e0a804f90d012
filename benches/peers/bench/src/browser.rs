//! Browsers with a cookie jar, for the visits before a measurement and for the probes.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::Outcome;

/// Where requests go out; all browsers share its connections.
pub(crate) type Network = Client<HttpConnector, Empty<Bytes>>;

/// Makes a network.
pub(crate) fn network() -> Network {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Sends the cookies that it has and keeps those that it gets, in the order in which they arrive.
/// Several requests may be under way at once, as from several tabs.
#[derive(Debug)]
pub(crate) struct Browser<'a> {
    network: &'a Network,
    jar: RefCell<Jar>,
}

impl<'a> Browser<'a> {
    pub(crate) fn new(network: &'a Network) -> Self {
        Self::with(network, Jar::default())
    }

    pub(crate) fn with(network: &'a Network, jar: Jar) -> Self {
        let jar = RefCell::new(jar);
        Self { network, jar }
    }

    pub(crate) fn jar(&self) -> Jar {
        self.jar.borrow().clone()
    }

    /// Requests a page and keeps the cookies that come with it.
    pub(crate) async fn get(&self, node: SocketAddr, path: &str) -> Outcome<Answer> {
        let answer = self.peek(node, path).await?;
        self.jar.borrow_mut().keep(&answer);
        Ok(answer)
    }

    /// Requests a page with the cookies that it has, but keeps none.
    pub(crate) async fn peek(&self, node: SocketAddr, path: &str) -> Outcome<Answer> {
        let mut request = Request::get(format!("http://{node}{path}"));
        if let Some(cookies) = self.jar.borrow().header() {
            request = request.header(header::COOKIE, cookies);
        }
        let response = self.network.request(request.body(Empty::new())?).await?;
        let (head, body) = response.into_parts();
        let cookies = head.headers.get_all(header::SET_COOKIE).into_iter();
        Ok(Answer {
            path: path.to_owned(),
            status: head.status.as_u16(),
            cookies: cookies
                .filter_map(|field| Some(field.to_str().ok()?.to_owned()))
                .collect(),
            body: String::from_utf8(body.collect().await?.to_bytes().into())?,
        })
    }
}

/// The `Cookie` fields of that many new visitors, each after a first visit.
pub(crate) async fn first_visits(node: SocketAddr, visitors: usize) -> Outcome<Vec<String>> {
    let network = &network();
    let visit = |_| async move {
        let browser = Browser::new(network);
        browser.get(node, "/incr").await?.ok()?;
        let header = browser.jar().header();
        header.ok_or_else(|| "a first visit was given no cookie".into())
    };
    let visits = stream::iter(0..visitors).map(visit);
    visits.buffer_unordered(16).try_collect().await
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    path: String,
    pub(crate) status: u16,
    cookies: Vec<String>,
    body: String,
}

impl Answer {
    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }

    /// The body of a success.
    pub(crate) fn ok(self) -> Outcome<String> {
        if self.is_ok() {
            return Ok(self.body);
        }
        Err(format!("{} was answered with {}", self.path, self.status).into())
    }
}

/// Cookies by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(BTreeMap<String, String>);

impl Jar {
    /// The value of the `Cookie` field.
    pub(crate) fn header(&self) -> Option<String> {
        let pairs: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes in the cookies of an answer, as a browser does when that arrives.
    pub(crate) fn keep(&mut self, answer: &Answer) {
        for cookie in &answer.cookies {
            self.set(cookie);
        }
    }

    fn set(&mut self, cookie: &str) {
        let mut parts = cookie.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return;
        };
        if parts.any(|part| part.eq_ignore_ascii_case("max-age=0")) {
            self.0.remove(name);
        } else {
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_keeps_the_newest_value_of_each_name_until_it_is_removed() {
        let mut jar = Jar::default();
        assert_eq!(jar.header(), None);
        jar.set("id=a%3D; HttpOnly; Max-Age=3600");
        jar.set("store=true; Path=/");
        jar.set("id=b==; Path=/");
        assert_eq!(jar.header().unwrap(), "id=b==; store=true");
        jar.set("store=; Path=/; max-age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(jar.header().unwrap(), "id=b==");
    }
}
