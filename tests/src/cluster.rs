//! Servers in this process, each with a session manager of its own, on one store.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tenure_core::{
    CookieConfig, Create, Delete, Freshness, KeyRing, Load, MemoryStore, Record, SessionId,
    SessionIndex, SessionManager, SessionManagerBuilder, SessionStore, Whose,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testbed::App;
use tenure_testing::{
    CallLog, FaultyStore, ManualClock, RedisCluster, RedisServer, SlowStore, SpyStore,
};
use tokio::{net::TcpListener, task::JoinSet};

use crate::{AnyStore, Backend, Combination, store::Doubles};

/// Nodes that share a store, a key ring and a clock.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Member>,
    backing: Backing,
    clock: ManualClock,
    /// Ends with the cluster.
    _servers: JoinSet<()>,
}

#[derive(Debug)]
struct Member {
    address: SocketAddr,
    store: Doubles,
}

#[derive(Debug)]
enum Backing {
    Memory(MemoryStore),
    Redis(RedisServer),
    RedisCluster(RedisCluster),
}

impl Cluster {
    /// The address of a node, counted from 0.
    #[must_use]
    pub fn node(&self, index: usize) -> SocketAddr {
        self.nodes[index].address
    }

    /// The clock of all nodes and stores. It stands still until a test moves it.
    #[must_use]
    pub const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// How many sessions are stored.
    #[must_use]
    pub fn stored(&self) -> usize {
        match &self.backing {
            Backing::Memory(store) => store.len(),
            Backing::Redis(server) => keys(server),
            Backing::RedisCluster(cluster) => cluster.nodes().iter().map(keys).sum(),
        }
    }

    /// The only Redis server, for what only it can tell. `None` on other stores.
    #[must_use]
    pub const fn redis(&self) -> Option<&RedisServer> {
        match &self.backing {
            Backing::Memory(_) | Backing::RedisCluster(_) => None,
            Backing::Redis(server) => Some(server),
        }
    }

    /// What a node has asked of its store.
    #[must_use]
    pub fn calls(&self, node: usize) -> CallLog {
        self.nodes[node].store.log()
    }

    /// Makes a node's store calls fail.
    #[must_use]
    pub fn faults(&self, node: usize) -> &FaultyStore<SlowStore<AnyStore>> {
        self.nodes[node].store.inner()
    }

    /// Makes a node's store calls wait.
    #[must_use]
    pub fn gates(&self, node: usize) -> &SlowStore<AnyStore> {
        self.faults(node).inner()
    }

    /// Waits for one round trip of each node to the store, behind which near caches have been told of
    /// every change that was made before.
    ///
    /// # Panics
    ///
    /// If the store fails.
    pub async fn catch_up(&self) {
        for index in 0..self.nodes.len() {
            let nobody = SessionId::from_bytes([0; 16]);
            let found = self.gates(index).inner().load(nobody, Freshness::Latest);
            let _ = found.await.expect("an answer of the store");
        }
    }

    /// What is stored of a live session.
    ///
    /// # Panics
    ///
    /// If the store fails.
    pub async fn record(&self, id: SessionId) -> Option<Record> {
        let found = self.gates(0).inner().load(id, Freshness::Latest).await;
        match found.expect("an answer of the store") {
            Load::Found(record) => Some(record),
            Load::Expired(_) | Load::Absent => None,
        }
    }

    /// Takes a session out of the store, behind the managers' backs.
    ///
    /// # Panics
    ///
    /// If the store fails.
    pub async fn forget(&self, id: SessionId) {
        if let Some(record) = self.record(id).await {
            let store = self.gates(0).inner();
            let deletion = store.delete(id, Whose::Login(record.login().stamp)).await;
            assert_eq!(deletion.expect("a deletion"), Delete::Deleted);
        }
        self.catch_up().await;
    }

    /// Puts a record in the place of whatever is stored of its session: an older one, as after a
    /// failover to a replica that was behind.
    ///
    /// # Panics
    ///
    /// If the store fails.
    pub async fn put_back(&self, record: Record) {
        self.forget(record.id()).await;
        let created = self.gates(0).inner().create(record).await;
        let created = created.expect("a creation");
        assert_eq!(created, Create::Created);
        self.catch_up().await;
    }
}

type Configure = Arc<dyn Fn(SessionManagerBuilder) -> SessionManagerBuilder + Send + Sync>;

/// Collects what a [`Cluster`] shall be like.
#[must_use = "a builder does nothing until `start` is called"]
pub struct ClusterBuilder {
    combination: Combination,
    nodes: usize,
    keys: Vec<String>,
    configure: Configure,
    deadline: Duration,
    max_staleness: Option<Duration>,
    has_index: bool,
}

impl ClusterBuilder {
    pub(crate) fn new(combination: Combination) -> Self {
        Self {
            combination,
            nodes: 1,
            keys: vec![random_key()],
            configure: Arc::new(|builder| builder),
            deadline: Duration::from_secs(10),
            max_staleness: None,
            has_index: false,
        }
    }

    /// How many nodes. Default 1.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes;
        self
    }

    /// The key rings of the nodes, in turn: keys in hexadecimal. Default: one random key for all.
    pub fn keys(mut self, keys: &[&str]) -> Self {
        self.keys = keys.iter().map(|&key| key.to_owned()).collect();
        self
    }

    /// How long the store may take. Default 10 seconds: more than a busy machine needs, so that no
    /// test depends on its speed.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How stale near caches may be. Default: what they have by default.
    pub fn max_staleness(mut self, max_staleness: Duration) -> Self {
        self.max_staleness = Some(max_staleness);
        self
    }

    /// Keeps an index of logins in the store.
    pub fn login_index(mut self) -> Self {
        self.has_index = true;
        self
    }

    /// Changes the settings of every node's manager.
    pub fn configure(
        mut self,
        configure: impl Fn(SessionManagerBuilder) -> SessionManagerBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Arc::new(configure);
        self
    }

    /// Starts the nodes.
    pub async fn start(self) -> Cluster {
        let clock = ManualClock::new();
        let mut cluster = Cluster {
            nodes: Vec::new(),
            backing: match self.combination.backend {
                Backend::Memory => {
                    Backing::Memory(MemoryStore::builder().clock(clock.clone()).build())
                }
                Backend::Redis | Backend::NearCache => Backing::Redis(RedisServer::start()),
                Backend::RedisCluster => {
                    Backing::RedisCluster(RedisCluster::builder().replicas(0).start())
                }
            },
            clock,
            _servers: JoinSet::new(),
        };
        for index in 0..self.nodes {
            let store = match &cluster.backing {
                Backing::Memory(store) => AnyStore::Memory(store.clone()),
                Backing::Redis(server) => self.on_redis(server.url(), &cluster.clock).await,
                Backing::RedisCluster(servers) => {
                    self.on_redis(servers.url(), &cluster.clock).await
                }
            };
            let store = SpyStore::new(FaultyStore::new(SlowStore::new(store)));
            let manager = self.manager(store.clone(), index, &cluster.clock);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            cluster.nodes.push(Member { address, store });
            let adapter = self.combination.adapter;
            cluster._servers.spawn(async move {
                tenure_testbed::serve(adapter, App::new(manager), listener)
                    .await
                    .expect("a server");
            });
        }
        cluster
    }

    async fn on_redis(&self, url: String, clock: &ManualClock) -> AnyStore {
        let store = RedisStore::builder(url)
            .clock(clock.clone())
            .deadline(self.deadline)
            .connect()
            .await
            .expect("a connection");
        if self.combination.backend != Backend::NearCache {
            return AnyStore::Redis(store);
        }
        let mut cache = NearCache::builder(store).clock(clock.clone());
        if let Some(max_staleness) = self.max_staleness {
            cache = cache.max_staleness(max_staleness);
        }
        AnyStore::NearCache(cache.build())
    }

    fn manager(
        &self,
        store: impl SessionStore + SessionIndex + Clone,
        index: usize,
        clock: &ManualClock,
    ) -> SessionManager {
        let keys: KeyRing = self.keys[index % self.keys.len()].parse().expect("keys");
        let cookie = CookieConfig::builder()
            .danger_insecure_for_localhost()
            .build();
        let mut builder = SessionManager::builder(store.clone(), keys)
            .cookie(cookie.expect("a cookie"))
            .deadline(self.deadline)
            .clock(clock.clone());
        if self.has_index {
            builder = builder.login_index(store);
        }
        (self.configure)(builder).build().expect("a manager")
    }
}

impl std::fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("combination", &self.combination)
            .finish_non_exhaustive()
    }
}

/// Session ids, and no keys of an index.
fn keys(server: &RedisServer) -> usize {
    let count = "return #redis.call('KEYS', ARGV[1])";
    let size = server.command(&["EVAL", count, "0", "tenure:*-*-*-*-*"]);
    size.parse().expect("a number of keys")
}

/// A random key in hexadecimal.
#[must_use]
pub fn random_key() -> String {
    let mut key = [0; 32];
    tenure_core::Entropy::fill(&tenure_core::OsEntropy, &mut key).expect("random bytes");
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
