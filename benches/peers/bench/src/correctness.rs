//! What concurrent requests of one visitor keep: on two processes if they share the store.

use std::{fmt, net::SocketAddr, time::Duration};

use futures_util::{
    StreamExt, TryStreamExt,
    future::{try_join, try_join_all},
    stream,
};
use serde::Serialize;
use tokio::time::sleep;

use crate::{
    Outcome,
    browser::{Answer, Browser, Network, network},
    report::Cell,
};

/// The findings about one contestant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Correctness {
    /// How many processes shared the sessions.
    pub(crate) nodes: usize,
    /// Increments by concurrent requests of one session that were there at the end.
    pub(crate) updates: Cell<Count>,
    /// Different keys, written by concurrent requests, that were there at the end.
    pub(crate) keys: Cell<Count>,
    /// Reads right after a write, on the other node if there is one, that did not see it.
    pub(crate) stale: Cell<Count>,
    /// Visitors who had logged out and were logged in again after a slow write.
    pub(crate) undone: Cell<Count>,
}

/// A number, and how many requests were answered with an error: those promised nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Count {
    pub(crate) count: usize,
    pub(crate) refused: usize,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        if self.refused > 0 {
            write!(f, " ({} refused)", self.refused)?;
        }
        Ok(())
    }
}

impl Correctness {
    /// Probes an app that runs on these nodes.
    pub(crate) async fn probe(nodes: &[SocketAddr]) -> Self {
        let network = network();
        let probe = Probe {
            network: &network,
            nodes,
        };
        Self {
            nodes: nodes.len(),
            updates: probe.updates().await.map_err(|error| error.to_string()),
            keys: probe.keys().await.map_err(|error| error.to_string()),
            stale: probe.stale().await.map_err(|error| error.to_string()),
            undone: probe.undone().await.map_err(|error| error.to_string()),
        }
    }

    /// Nothing could be found out.
    pub(crate) fn failed(reason: &str) -> Self {
        let failed = || Err(reason.to_owned());
        Self {
            nodes: 0,
            updates: failed(),
            keys: failed(),
            stale: failed(),
            undone: failed(),
        }
    }
}

struct Probe<'a> {
    network: &'a Network,
    nodes: &'a [SocketAddr],
}

impl Probe<'_> {
    async fn updates(&self) -> Outcome<Count> {
        let browser = self.visitor("/set/first/visit").await?;
        let answers = self.storm(&browser, UPDATES, |_| "/incr?ms=2".to_owned());
        let refused = refused(&answers.await?);
        let count = browser.get(self.node(1), "/read").await?.ok()?.parse()?;
        Ok(Count { count, refused })
    }

    async fn keys(&self) -> Outcome<Count> {
        let browser = self.visitor("/set/first/visit").await?;
        let answers = self.storm(&browser, KEYS, |i| format!("/set/k{i}/{i}?ms=2"));
        let refused = refused(&answers.await?);
        let mut count = 0;
        for i in 0..KEYS {
            let value = browser.get(self.node(1), &format!("/get/k{i}")).await?;
            count += usize::from(value.ok()? == i.to_string());
        }
        Ok(Count { count, refused })
    }

    async fn stale(&self) -> Outcome<Count> {
        let browser = self.visitor("/incr").await?;
        let mut count = 0;
        for _ in 0..READS {
            let written = browser.get(self.node(0), "/incr").await?.ok()?;
            let read = browser.get(self.node(1), "/read").await?.ok()?;
            count += usize::from(read != written);
        }
        Ok(Count { count, refused: 0 })
    }

    async fn undone(&self) -> Outcome<Count> {
        // Half of the logouts reach the node that the slow write is on, half the other one.
        let logins = (0..LOGINS).map(|i| self.is_undone(self.node(i)));
        let undone = try_join_all(logins).await?;
        let count = undone.into_iter().filter(|undone| *undone).count();
        Ok(Count { count, refused: 0 })
    }

    /// A slow write begins, the visitor logs out meanwhile, the write ends. Does any cookie that the
    /// visitor may have then still read as logged in, anywhere?
    async fn is_undone(&self, logout_node: SocketAddr) -> Outcome<bool> {
        let browser = self.visitor("/login/ada").await?;
        if browser.peek(self.node(0), "/whoami").await?.ok()? != "ada" {
            return Err("nobody is logged in after /login".into());
        }
        let write = browser.peek(self.node(0), "/set/x/1?ms=400");
        let logout = async {
            // Not a wait for something to happen: the write has to be well inside its pause.
            sleep(Duration::from_millis(150)).await;
            browser.peek(logout_node, "/logout").await?.ok()
        };
        let (write, _) = try_join(write, logout).await?;
        let old = browser.jar();
        let mut new = old.clone();
        new.keep(&write);
        for jar in [old, new] {
            let browser = Browser::with(self.network, jar);
            for node in self.nodes {
                if browser.peek(*node, "/whoami").await?.ok()? == "ada" {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn visitor(&self, path: &str) -> Outcome<Browser<'_>> {
        let browser = Browser::new(self.network);
        browser.get(self.node(0), path).await?.ok()?;
        Ok(browser)
    }

    /// Many requests of one browser, 16 at a time, to the nodes in turn.
    async fn storm(
        &self,
        browser: &Browser<'_>,
        requests: usize,
        path: impl Fn(usize) -> String,
    ) -> Outcome<Vec<Answer>> {
        let path = &path;
        let request = |i| async move { browser.get(self.node(i), &path(i)).await };
        let requests = stream::iter(0..requests).map(request);
        requests.buffer_unordered(16).try_collect().await
    }

    fn node(&self, index: usize) -> SocketAddr {
        self.nodes[index % self.nodes.len()]
    }
}

fn refused(answers: &[Answer]) -> usize {
    answers.iter().filter(|answer| !answer.is_ok()).count()
}

pub(crate) const UPDATES: usize = 800;
pub(crate) const KEYS: usize = 192;
pub(crate) const READS: usize = 200;
pub(crate) const LOGINS: usize = 20;
