use super::{Program, RedisCluster, RedisSentinels, RedisServer};

/// Real servers in any of the ways in which they are run, without replicas: for what must hold on all of them.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the ways in which such servers are run"
)]
pub enum RedisDeployment {
    /// A server of its own.
    Single(RedisServer),
    /// A primary that sentinels watch.
    Sentinels(RedisSentinels),
    /// Three primaries of a cluster.
    Cluster(RedisCluster),
}

impl RedisDeployment {
    /// Starts one server.
    ///
    /// # Panics
    ///
    /// As [`RedisServer::start_program`].
    #[must_use]
    pub fn single(program: Program) -> Self {
        Self::Single(RedisServer::start_program(program, &[]))
    }

    /// Starts a primary and its sentinels, of `redis-server`.
    ///
    /// # Panics
    ///
    /// As [`RedisSentinels::start`].
    #[must_use]
    pub fn sentinels() -> Self {
        Self::Sentinels(RedisSentinels::builder().replicas(0).start())
    }

    /// Starts a cluster.
    ///
    /// # Panics
    ///
    /// As [`RedisCluster::start`].
    #[must_use]
    pub fn cluster(program: Program) -> Self {
        let cluster = RedisCluster::builder().program(program).replicas(0);
        Self::Cluster(cluster.start())
    }

    /// A URL for `tenure-redis`.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Sentinels(sentinels) => sentinels.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// The server on which that key is or would be.
    ///
    /// # Panics
    ///
    /// If the cluster does not say whose it is.
    #[must_use]
    pub fn holder(&self, key: &str) -> &RedisServer {
        match self {
            Self::Single(server) => server,
            Self::Sentinels(sentinels) => &sentinels.nodes()[0],
            Self::Cluster(cluster) => &cluster.nodes()[cluster.owner(cluster.slot(key))],
        }
    }
}
