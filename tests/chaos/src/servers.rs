//! The kinds of stores: what has to be started for them, and what a node has to be told.

use std::time::Duration;

use clap::ValueEnum;
use tenure_testing::{FaultProxy, RedisCluster, RedisServer};

/// Where the nodes of a round keep their sessions.
///
/// A kind that comes later joins here: a line in each of the methods below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum StoreKind {
    /// In the memory of a single node.
    Memory,
    /// In a Redis server, which each node reaches through a proxy of its own.
    Redis,
    /// In a Redis Cluster of three primaries with a replica each.
    RedisCluster,
}

/// What stands behind the nodes.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub(crate) redis: Option<RedisServer>,
    pub(crate) cluster: Option<RedisCluster>,
    /// One for each node, so that each can be cut off by itself.
    pub(crate) proxies: Vec<FaultProxy>,
}

impl StoreKind {
    /// How many nodes can share it.
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::Memory => 1,
            Self::Redis | Self::RedisCluster => 3,
        }
    }

    /// Whether sessions outlive their node.
    pub(crate) const fn outlives_nodes(self) -> bool {
        match self {
            Self::Memory => false,
            Self::Redis | Self::RedisCluster => true,
        }
    }

    pub(crate) fn start(self) -> Servers {
        match self {
            Self::Memory => Servers::default(),
            Self::Redis => {
                let redis = RedisServer::start();
                let proxies = (0..self.nodes()).map(|_| FaultProxy::start(redis.address()));
                Servers {
                    proxies: proxies.collect(),
                    redis: Some(redis),
                    cluster: None,
                }
            }
            Self::RedisCluster => Servers {
                // Only those primaries are replaced that a fault names, so that nothing is lost in Redis.
                cluster: Some(RedisCluster::builder().node_timeout(NODE_TIMEOUT).start()),
                ..Servers::default()
            },
        }
    }

    /// The options by which a node finds it.
    pub(crate) fn arguments(self, servers: &Servers, node: usize) -> Vec<String> {
        let name = match self {
            Self::Memory => "memory",
            Self::Redis | Self::RedisCluster => "redis",
        };
        let mut arguments = vec!["--store".to_owned(), name.to_owned()];
        if let Some(proxy) = servers.proxies.get(node) {
            arguments.extend(["--redis".to_owned(), proxy.url()]);
        }
        // Not through proxies: the nodes of a cluster tell their own addresses.
        if let Some(cluster) = &servers.cluster {
            arguments.extend(["--redis".to_owned(), cluster.url()]);
        }
        arguments
    }
}

/// Longer than any fault.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);
