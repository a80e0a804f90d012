//! Processes with a near cache each, behind one Redis.

use std::{net::SocketAddr, time::Duration};

use tenure_testing::RedisServer;
use tenure_tests::{Browser, Node, random_key};

/// The default of the testbed and of the cache.
pub(crate) const STALENESS: Duration = Duration::from_secs(2);

pub(crate) struct Nodes {
    pub(crate) redis: RedisServer,
    nodes: Vec<Node>,
}

impl Nodes {
    /// Two nodes; the second reaches Redis at `second_url`, if that is given.
    pub(crate) async fn start(redis: RedisServer, second_url: Option<&str>) -> Self {
        Self::start_with(redis, second_url, &[]).await
    }

    /// The same, with more options.
    pub(crate) async fn start_with(
        redis: RedisServer,
        second_url: Option<&str>,
        more: &[&str],
    ) -> Self {
        let (url, keys) = (redis.url(), random_key());
        let mut nodes = Vec::new();
        for url in [&*url, second_url.unwrap_or(&url)] {
            let options = [
                "--adapter",
                "axum",
                "--store",
                "redis",
                "--near-cache",
                "--redis",
                url,
                "--keys",
                &keys,
            ];
            let options = [&options, more].concat();
            nodes.push(Node::start(env!("CARGO_BIN_EXE_testbed-node"), &options).await);
        }
        Self { redis, nodes }
    }

    pub(crate) fn node(&self, index: usize) -> SocketAddr {
        self.nodes[index].address()
    }

    pub(crate) fn both(&self) -> [SocketAddr; 2] {
        [self.node(0), self.node(1)]
    }
}

/// A figure of a node's near cache.
pub(crate) async fn figure(node: SocketAddr, path: &str) -> u64 {
    let stats = Browser::new().get(node, "/stats").await.ok();
    let stats: serde_json::Value = serde_json::from_str(&stats).unwrap();
    stats.pointer(path).unwrap().as_u64().unwrap()
}
