use std::time::Duration;

use super::{
    Program, RedisServer,
    patience::wait_until,
    redis::{Folder, Launch},
};

/// A real primary of this test's own with its replicas, watched by sentinels: all on free ports of the
/// loopback interface. The sentinels know the primary as [`NAME`](Self::NAME).
#[derive(Debug)]
pub struct RedisSentinels {
    nodes: Vec<RedisServer>,
    sentinels: Vec<RedisServer>,
}

impl RedisSentinels {
    /// As what the sentinels know the primary.
    pub const NAME: &'static str = "sessions";

    /// Starts a primary with two replicas, and three sentinels, of whom two have to agree, and who give a
    /// primary up after a second.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed, or they do not find each other within 30 s.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Begins another kind.
    pub fn builder() -> RedisSentinelsBuilder {
        RedisSentinelsBuilder {
            program: Program::Redis,
            replicas: 2,
            sentinels: 3,
            down_after: Duration::from_secs(1),
            arguments: Vec::new(),
        }
    }

    /// The servers that keep data. The first began as the primary.
    #[must_use]
    pub fn nodes(&self) -> &[RedisServer] {
        &self.nodes
    }

    /// Those that watch them.
    #[must_use]
    pub fn sentinels(&self) -> &[RedisServer] {
        &self.sentinels
    }

    /// A URL for `tenure-redis`.
    #[must_use]
    pub fn url(&self) -> String {
        let addresses = self.sentinels.iter();
        let addresses: Vec<_> = addresses.map(|node| node.address().to_string()).collect();
        format!("redis-sentinel://{}#{}", addresses.join(","), Self::NAME)
    }

    /// Which node a sentinel takes for the primary; `None` if it does not answer.
    ///
    /// # Panics
    ///
    /// If there are not so many sentinels.
    #[must_use]
    pub fn primary_seen_by(&self, sentinel: usize) -> Option<usize> {
        let sentinel = &self.sentinels[sentinel];
        if !sentinel.is_running() {
            return None;
        }
        let address = sentinel.command(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::NAME]);
        let port = address.lines().last()?;
        let is_it = |node: &RedisServer| node.port().to_string() == port;
        self.nodes.iter().position(is_it)
    }

    /// Which node most sentinels take for the primary.
    ///
    /// # Panics
    ///
    /// If none says.
    #[must_use]
    pub fn primary(&self) -> usize {
        let mut votes = vec![0; self.nodes.len()];
        for sentinel in 0..self.sentinels.len() {
            if let Some(primary) = self.primary_seen_by(sentinel) {
                votes[primary] += 1;
            }
        }
        let most = votes.iter().enumerate().max_by_key(|(_, votes)| **votes);
        match most {
            Some((primary, 1..)) => primary,
            _ => panic!("no sentinel knows a primary"),
        }
    }

    /// Has the sentinels replace the primary, and returns when most of them name another.
    ///
    /// # Panics
    ///
    /// If a server refuses, or it takes more than 30 s.
    #[must_use = "it is the new primary"]
    pub fn fail_over(&self) -> usize {
        let old = self.primary();
        let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_running());
        match sentinel {
            Some(sentinel) => sentinel.command(&["SENTINEL", "FAILOVER", Self::NAME]),
            None => panic!("no sentinel runs"),
        };
        self.wait_until_named(|primary| primary != old)
    }

    /// Waits until the node that most sentinels name is one like this, and returns it.
    ///
    /// # Panics
    ///
    /// If that takes more than 30 s.
    pub fn wait_until_named(&self, is_it: impl Fn(usize) -> bool) -> usize {
        wait_until("such a primary is named", || is_it(self.primary()));
        self.primary()
    }

    /// Waits until the replicas follow the primary and each sentinel knows all of the others.
    ///
    /// # Panics
    ///
    /// If that takes more than 30 s.
    pub fn wait_until_watched(&self) {
        let others = (self.sentinels.len() - 1).to_string();
        let replicas = (self.nodes.len() - 1).to_string();
        wait_until("the sentinels know each other", || {
            self.sentinels.iter().all(|sentinel| {
                let master = sentinel.command(&["SENTINEL", "MASTER", Self::NAME]);
                let lines: Vec<_> = master.lines().collect();
                let field = |name| {
                    let mut pairs = lines.chunks(2);
                    pairs.find_map(|pair| (pair[0] == name).then(|| pair[1]))
                };
                field("num-other-sentinels") == Some(&*others)
                    && field("num-slaves") == Some(&*replicas)
                    && field("flags") == Some("master")
            })
        });
        let primary = self.primary();
        let replicas = self.nodes.iter().enumerate();
        for (_, replica) in replicas.filter(|(index, _)| *index != primary) {
            wait_until("a replica follows", || {
                let info = replica.command(&["INFO", "replication"]);
                info.contains("master_link_status:up")
            });
        }
    }
}

/// Collects what [`RedisSentinels`] shall be like.
#[must_use = "a builder does nothing until `start` is called"]
#[derive(Clone, Debug)]
pub struct RedisSentinelsBuilder {
    program: Program,
    replicas: usize,
    sentinels: usize,
    down_after: Duration,
    arguments: Vec<String>,
}

impl RedisSentinelsBuilder {
    /// What all of them run. Default `redis-server`.
    pub const fn program(mut self, program: Program) -> Self {
        self.program = program;
        self
    }

    /// How many replicas the primary has. Default 2.
    pub const fn replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// How many sentinels. Default 3; more than half have to agree.
    pub const fn sentinels(mut self, sentinels: usize) -> Self {
        self.sentinels = sentinels;
        self
    }

    /// After which silence a primary counts as failed. Default 1 s; sentinels have 30 s by themselves.
    pub const fn down_after(mut self, down_after: Duration) -> Self {
        self.down_after = down_after;
        self
    }

    /// More arguments for each server that keeps data.
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().copied().map(str::to_owned).collect();
        self
    }

    /// Starts them and waits until they know each other.
    ///
    /// # Panics
    ///
    /// As [`RedisSentinels::start`].
    #[must_use]
    pub fn start(self) -> RedisSentinels {
        let mut arguments: Vec<_> = self.arguments.iter().map(String::as_str).collect();
        arguments.extend(["--repl-diskless-sync-delay", "0"]);
        let primary = RedisServer::start_program(self.program, &arguments);
        let port = primary.port().to_string();
        arguments.extend(["--replicaof", "127.0.0.1", &*port]);
        let replicas = 0..self.replicas;
        let replicas = replicas.map(|_| RedisServer::start_program(self.program, &arguments));
        let replicas: Vec<_> = replicas.collect();
        let watchers = (0..self.sentinels).map(|_| self.sentinel(&primary));
        let watched = RedisSentinels {
            sentinels: watchers.collect(),
            nodes: std::iter::once(primary).chain(replicas).collect(),
        };
        watched.wait_until_watched();
        watched
    }

    fn sentinel(&self, primary: &RedisServer) -> RedisServer {
        let name = RedisSentinels::NAME;
        let quorum = self.sentinels / 2 + 1;
        let configuration = format!(
            "sentinel monitor {name} 127.0.0.1 {} {quorum}\n\
             sentinel down-after-milliseconds {name} {}\n\
             sentinel failover-timeout {name} 10000\n",
            primary.port(),
            self.down_after.as_millis()
        );
        RedisServer::launch(|port| Launch {
            program: self.program,
            port,
            arguments: vec!["--sentinel".to_owned()],
            configuration: Some(configuration.clone()),
            folder: Folder::Kept,
        })
    }
}
