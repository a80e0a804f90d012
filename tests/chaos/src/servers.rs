//! The kinds of stores: what has to be started for them, and what a node has to be told.

use std::{io, path::PathBuf, time::Duration};

use clap::ValueEnum;
use rusqlite::Connection;
use tempfile::TempDir;
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
    /// In an SQLite file, which each node opens for itself.
    Sqlite,
}

/// What stands behind the nodes.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub(crate) redis: Option<RedisServer>,
    pub(crate) cluster: Option<RedisCluster>,
    pub(crate) file: Option<SessionFile>,
    /// One for each node, so that each can be cut off by itself.
    pub(crate) proxies: Vec<FaultProxy>,
}

impl StoreKind {
    /// How many nodes can share it.
    pub(crate) const fn nodes(self) -> usize {
        match self {
            Self::Memory => 1,
            Self::Redis | Self::RedisCluster | Self::Sqlite => 3,
        }
    }

    /// Whether sessions outlive their node.
    pub(crate) const fn outlives_nodes(self) -> bool {
        match self {
            Self::Memory => false,
            Self::Redis | Self::RedisCluster | Self::Sqlite => true,
        }
    }

    /// Whether a node that stands still may hold up the others.
    pub(crate) const fn ties_nodes(self) -> bool {
        match self {
            Self::Memory | Self::Redis | Self::RedisCluster => false,
            // It may have the file locked.
            Self::Sqlite => true,
        }
    }

    pub(crate) fn start(self) -> io::Result<Servers> {
        Ok(match self {
            Self::Memory => Servers::default(),
            Self::Sqlite => Servers {
                file: Some(SessionFile::new()?),
                ..Servers::default()
            },
            Self::Redis => {
                let redis = RedisServer::start();
                let proxies = (0..self.nodes()).map(|_| FaultProxy::start(redis.address()));
                Servers {
                    proxies: proxies.collect(),
                    redis: Some(redis),
                    ..Servers::default()
                }
            }
            Self::RedisCluster => Servers {
                // Only those primaries are replaced that a fault names, so that nothing is lost in Redis.
                cluster: Some(RedisCluster::builder().node_timeout(NODE_TIMEOUT).start()),
                ..Servers::default()
            },
        })
    }

    /// The options by which a node finds it.
    pub(crate) fn arguments(self, servers: &Servers, node: usize) -> Vec<String> {
        let name = match self {
            Self::Memory => "memory",
            Self::Redis | Self::RedisCluster => "redis",
            Self::Sqlite => "sqlite",
        };
        let mut arguments = vec!["--store".to_owned(), name.to_owned()];
        if let Some(proxy) = servers.proxies.get(node) {
            arguments.extend(["--redis".to_owned(), proxy.url()]);
        }
        // Not through proxies: the nodes of a cluster tell their own addresses.
        if let Some(cluster) = &servers.cluster {
            arguments.extend(["--redis".to_owned(), cluster.url()]);
        }
        if let Some(file) = &servers.file {
            arguments.extend(["--path".to_owned(), file.path().display().to_string()]);
        }
        arguments
    }
}

/// Longer than any fault.
const NODE_TIMEOUT: Duration = Duration::from_secs(10);

/// The file of a round, and what an operator or another program may do to it.
#[derive(Debug)]
pub(crate) struct SessionFile(TempDir);

impl SessionFile {
    fn new() -> io::Result<Self> {
        Ok(Self(TempDir::new()?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("sessions.db")
    }

    /// Carries SQL out as another process would, and after that time, more of it.
    pub(crate) fn disturb(&self, begin: &str, lasts: Duration, end: &str) -> io::Result<()> {
        let disturb = || {
            let other = Connection::open(self.path())?;
            // The nodes lock it for moments, and one that is frozen for longer.
            other.busy_timeout(Duration::from_secs(10))?;
            other.execute_batch(begin)?;
            std::thread::sleep(lasts);
            other.execute_batch(end)
        };
        disturb().map_err(io::Error::other)
    }
}
