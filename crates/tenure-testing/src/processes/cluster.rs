use std::time::Duration;

use super::{
    Program, RedisServer,
    patience::wait_until,
    redis::{Folder, Launch, free_port},
};

/// A real cluster of this test's own, on free ports of the loopback interface: primaries that share the
/// slots evenly, and replicas of them.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    ids: Vec<String>,
    primaries: usize,
}

impl RedisCluster {
    /// Starts three primaries with a replica each, of `redis-server`, which give a primary up after 2 s.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or no cluster comes into being within 30 s.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Begins a cluster of another kind.
    pub fn builder() -> RedisClusterBuilder {
        RedisClusterBuilder {
            program: Program::Redis,
            primaries: 3,
            replicas: 1,
            node_timeout: Duration::from_secs(2),
            arguments: Vec::new(),
        }
    }

    /// The servers: first those that began as primaries, then their replicas in the same order.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// A URL for `tenure-redis`, which names all that began as primaries.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses = self.nodes[..self.primaries].iter();
        let addresses: Vec<_> = addresses.map(|node| node.address().to_string()).collect();
        format!("redis-cluster://{}", addresses.join(","))
    }

    /// By which id the cluster knows a node.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[must_use]
    pub fn id(&self, node: usize) -> &str {
        &self.ids[node]
    }

    /// The slot of a key.
    ///
    /// # Panics
    ///
    /// If no node runs.
    #[must_use]
    pub fn slot(&self, key: &str) -> u16 {
        let slot = self.running().command(&["CLUSTER", "KEYSLOT", key]);
        match slot.parse() {
            Ok(slot) => slot,
            Err(_) => panic!("{slot} is no slot"),
        }
    }

    /// The node that answers for a slot, as most nodes that run see it.
    ///
    /// # Panics
    ///
    /// If no node says.
    #[must_use]
    pub fn owner(&self, slot: u16) -> usize {
        let mut votes = vec![0; self.nodes.len()];
        for node in self.nodes.iter().filter(|node| is_running(node)) {
            if let Some(owner) = self.owner_seen_by(node, slot) {
                votes[owner] += 1;
            }
        }
        let most = votes.iter().enumerate().max_by_key(|(_, votes)| **votes);
        match most {
            Some((owner, 1..)) => owner,
            _ => panic!("nobody knows who answers for slot {slot}"),
        }
    }

    /// Moves a slot and its keys, and returns when all nodes know.
    ///
    /// # Panics
    ///
    /// If a server refuses, or it takes more than 30 s.
    pub fn move_slot(&self, slot: u16, to: usize) {
        self.begin_move(slot, to);
        self.move_keys(slot, to);
        self.end_move(slot, to);
    }

    /// Opens a slot for a move: its owner sends whoever asks for a key that it does not hold to the new one.
    ///
    /// # Panics
    ///
    /// If a server refuses, or it takes more than 30 s.
    pub fn begin_move(&self, slot: u16, to: usize) {
        // After a failover they hear of it one after the other.
        wait_until("all know whose slot it is", || {
            let running = || self.nodes.iter().filter(|node| is_running(node));
            let owner = running().next().map(|node| self.owner_seen_by(node, slot));
            running().all(|node| Some(self.owner_seen_by(node, slot)) == owner)
        });
        let from = self.owner(slot);
        let slot = slot.to_string();
        let importing = ["CLUSTER", "SETSLOT", &*slot, "IMPORTING", self.id(from)];
        self.nodes[to].command(&importing);
        self.nodes[from].command(&["CLUSTER", "SETSLOT", &*slot, "MIGRATING", self.id(to)]);
    }

    /// Moves the keys of a slot that is open.
    ///
    /// # Panics
    ///
    /// If a server refuses, or it takes more than 30 s.
    pub fn move_keys(&self, slot: u16, to: usize) {
        let from = &self.nodes[self.owner(slot)];
        let port = self.nodes[to].port().to_string();
        let count = ["CLUSTER", "GETKEYSINSLOT", &slot.to_string(), "100"].map(str::to_owned);
        loop {
            let keys = from.command(&count);
            if keys.is_empty() {
                return;
            }
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &*port, "", "0", "5000", "KEYS"];
            migrate.extend(keys.lines());
            from.command(&migrate);
        }
    }

    /// Closes a slot whose keys have moved, and returns when all nodes know.
    ///
    /// # Panics
    ///
    /// If a server refuses, or it takes more than 30 s.
    pub fn end_move(&self, slot: u16, to: usize) {
        let from = self.owner(slot);
        let command = ["CLUSTER", "SETSLOT", &slot.to_string(), "NODE", self.id(to)];
        self.nodes[to].command(&command);
        self.nodes[from].command(&command);
        wait_until("all know of the move", || {
            let mut running = self.nodes.iter().filter(|node| is_running(node));
            running.all(|node| self.owner_seen_by(node, slot) == Some(to))
        });
    }

    /// Waits until the running nodes are content: all slots are served by nodes that run.
    ///
    /// # Panics
    ///
    /// If that takes more than 30 s.
    pub fn wait_until_served(&self) {
        wait_until("all slots are served", || {
            let mut running = self.nodes.iter().filter(|node| is_running(node));
            running.all(|node| {
                node.command(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
            })
        });
    }

    /// Waits until each primary has its replicas, and they are up to date.
    ///
    /// # Panics
    ///
    /// If that takes more than 30 s.
    pub fn wait_until_replicated(&self) {
        wait_until("all replicas follow", || {
            let linked = |node: &RedisServer| {
                let info = node.command(&["INFO", "replication"]);
                info.contains("role:master") || info.contains("master_link_status:up")
            };
            self.nodes
                .iter()
                .filter(|node| is_running(node))
                .all(linked)
        });
    }

    /// Waits for something.
    ///
    /// # Panics
    ///
    /// If that takes more than 30 s.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        wait_until(what, holds);
    }

    fn running(&self) -> &RedisServer {
        match self.nodes.iter().find(|node| is_running(node)) {
            Some(node) => node,
            None => panic!("no node of the cluster runs"),
        }
    }

    fn owner_seen_by(&self, node: &RedisServer, slot: u16) -> Option<usize> {
        let nodes = node.command(&["CLUSTER", "NODES"]);
        let owner = nodes.lines().find_map(|line| {
            let mut words = line.split(' ');
            let id = words.next()?;
            // Behind the address, the flags, the primary, two times, the epoch and the link.
            let mut ranges = words.skip(7).filter(|range| !range.starts_with('['));
            ranges
                .any(|range| {
                    let (first, last) = range.split_once('-').unwrap_or((range, range));
                    let bound = |number: &str| number.parse::<u16>().ok();
                    matches!((bound(first), bound(last)), (Some(first), Some(last))
                        if (first..=last).contains(&slot))
                })
                .then_some(id)
        })?;
        self.ids.iter().position(|id| id == owner)
    }

    fn join(&self, arguments: &RedisClusterBuilder) {
        let first = &self.nodes[0];
        for (index, node) in self.nodes.iter().enumerate() {
            // Otherwise all would begin with the same one, and settle that by renaming themselves later.
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            let port = node.port().to_string();
            let bus = bus_port(node).to_string();
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &*port, &*bus]);
        }
        let primaries = u32::try_from(self.primaries).unwrap_or(u32::MAX);
        for (index, node) in (0..).zip(&self.nodes[..self.primaries]) {
            let bound = |index: u32| (SLOTS * index / primaries).to_string();
            let last = (SLOTS * (index + 1) / primaries - 1).to_string();
            node.command(&["CLUSTER", "ADDSLOTSRANGE", &*bound(index), &*last]);
        }
        wait_until("all nodes have met", || {
            let count = format!("cluster_known_nodes:{}\r\n", self.nodes.len());
            let met = |node: &RedisServer| node.command(&["CLUSTER", "INFO"]).contains(&count);
            self.nodes.iter().all(met)
        });
        for (index, replica) in self.nodes[self.primaries..].iter().enumerate() {
            let primary = self.id(index / arguments.replicas);
            wait_until("a replica has heard of its primary", || {
                replica.command(&["CLUSTER", "NODES"]).contains(primary)
            });
            replica.command(&["CLUSTER", "REPLICATE", primary]);
        }
        self.wait_until_served();
        self.wait_until_replicated();
        // A primary that dies before the others have heard of its replica is not replaced.
        wait_until("all know the replicas", || {
            let replicas = self.nodes.len() - self.primaries;
            let knows = |node: &RedisServer| {
                let nodes = node.command(&["CLUSTER", "NODES"]);
                nodes.matches("slave ").count() == replicas && !nodes.contains("handshake")
            };
            self.nodes.iter().all(knows)
        });
    }
}

/// Collects what a [`RedisCluster`] shall be like.
#[must_use = "a builder does nothing until `start` is called"]
#[derive(Clone, Debug)]
pub struct RedisClusterBuilder {
    program: Program,
    primaries: usize,
    replicas: usize,
    node_timeout: Duration,
    arguments: Vec<String>,
}

impl RedisClusterBuilder {
    /// What the nodes run. Default `redis-server`.
    pub const fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// How many primaries. Default 3, the least with which a failed one is replaced.
    pub const fn primaries(mut self, primaries: usize) -> Self {
        self.primaries = primaries;
        self
    }

    /// How many replicas each primary has. Default 1.
    pub const fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// After which silence a node counts as failed. Default 2 s; servers have 15 s by themselves.
    pub const fn node_timeout(mut self, node_timeout: Duration) -> Self {
        self.node_timeout = node_timeout;
        self
    }

    /// More arguments for each server.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Starts the servers and waits until they serve all slots and replicate.
    ///
    /// # Panics
    ///
    /// As [`RedisCluster::start`].
    #[must_use]
    pub fn start(self) -> RedisCluster {
        let count = self.primaries * (1 + self.replicas);
        let nodes: Vec<_> = (0..count).map(|_| self.node()).collect();
        let ids = nodes.iter().map(|node| node.command(&["CLUSTER", "MYID"]));
        let cluster = RedisCluster {
            ids: ids.collect(),
            nodes,
            primaries: self.primaries,
        };
        cluster.join(&self);
        cluster
    }

    fn node(&self) -> RedisServer {
        let timeout = self.node_timeout.as_millis().to_string();
        RedisServer::launch(|port| {
            // By default 10,000 above the other, which mostly is no port at all up here.
            let bus = free_port().to_string();
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &*bus,
                "--cluster-node-timeout",
                &*timeout,
                "--repl-diskless-sync-delay",
                "0",
            ];
            let arguments = arguments.into_iter().map(str::to_owned);
            Launch {
                program: self.program,
                port,
                arguments: arguments.chain(self.arguments.iter().cloned()).collect(),
                configuration: None,
                folder: Folder::Kept,
            }
        })
    }
}

fn bus_port(node: &RedisServer) -> u16 {
    let port = node.command(&["CONFIG", "GET", "cluster-port"]);
    match port.lines().last().and_then(|port| port.parse().ok()) {
        Some(port) => port,
        None => panic!("{port} is no port"),
    }
}

fn is_running(node: &RedisServer) -> bool {
    node.is_running()
}

const SLOTS: u32 = 16384;
