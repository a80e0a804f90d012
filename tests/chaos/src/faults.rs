//! What goes wrong, and when: drawn from chance, one after the other in each lane.

use std::{fmt, io, sync::Arc, time::Duration};

use tenure_testing::Traffic;
use tokio::time::sleep;

use crate::{
    chance::Chance,
    history::{Incident, Kind, Place},
    round::Cluster,
    shards::{SHARDS, Shards},
};

/// A part of the cluster, whose faults do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Processes,
    /// Between one node and its store.
    Network(usize),
    Store,
    /// The nodes of a store that is a cluster.
    Shards,
}

/// One fault with its extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillNode {
        node: usize,
        dead_for: Duration,
    },
    FreezeNode {
        node: usize,
        still_for: Duration,
    },
    /// The server carries a write out and its reply is lost; for a while, what is sent again is
    /// refused or held back.
    LoseReply {
        node: usize,
        then: Traffic,
        lasts: Duration,
    },
    /// A write arrives after its sender has given it up.
    DelayRequest {
        node: usize,
        delay: Duration,
    },
    Cut {
        node: usize,
    },
    Partition {
        node: usize,
        lasts: Duration,
    },
    HoldReplies {
        node: usize,
        lasts: Duration,
    },
    FreezeStore {
        still_for: Duration,
    },
    KillClients,
    FlushScripts,
    FillMemory {
        lasts: Duration,
    },
    /// How many keys the server remembers for its tracking clients, from now on.
    ResizeTable {
        keys: u32,
    },
    SlowScript {
        rounds: u64,
    },
    /// The slot of some session moves to another primary.
    MoveSlot {
        from: usize,
        by: usize,
    },
    /// A primary and its replica change places, as they do for maintenance.
    FailOver {
        shard: usize,
    },
    FreezeShard {
        shard: usize,
        still_for: Duration,
    },
    /// The clients of one of its nodes, as a load balancer cuts them.
    KillShardClients {
        shard: usize,
    },
}

/// Lets things go wrong in one lane until that time. Everything is mended when it returns.
///
/// # Errors
///
/// An [`io::Error`] if a process cannot be stopped or started, which is the harness's failure.
pub(crate) async fn strike(cluster: Arc<Cluster>, lane: Lane, until: Duration) -> io::Result<()> {
    let mut chance = Chance::new(cluster.scene.seed, &[STREAM, lane.number()]);
    loop {
        let (gap, fault) = lane.draw(&mut chance, &cluster);
        let Some(fault) = fault else { return Ok(()) };
        if cluster.scene.elapsed() + gap >= until {
            break;
        }
        sleep(gap).await;
        let from = cluster.scene.elapsed();
        fault.perform(&cluster).await?;
        let incident = Incident {
            from,
            until: cluster.scene.elapsed(),
            what: fault.to_string(),
            place: fault.place(),
            kind: fault.kind(),
        };
        cluster.scene.history.lock().incidents.push(incident);
    }
    if lane == Lane::Store {
        Fault::ResizeTable { keys: ALL_KEYS }
            .perform(&cluster)
            .await?;
    }
    Ok(())
}

impl Lane {
    /// Those of a cluster.
    pub(crate) fn all(cluster: &Cluster) -> Vec<Self> {
        let networks = 0..cluster.servers.proxies.len();
        let mut lanes = vec![Self::Processes];
        lanes.extend(networks.map(Self::Network));
        lanes.extend(cluster.servers.redis.as_ref().map(|_| Self::Store));
        lanes.extend(cluster.servers.cluster.as_ref().map(|_| Self::Shards));
        lanes
    }

    const fn number(self) -> u64 {
        match self {
            Self::Processes => 0,
            Self::Store | Self::Shards => 1,
            Self::Network(node) => 2 + node as u64,
        }
    }

    /// The next fault and how long it is until then.
    fn draw(self, chance: &mut Chance, cluster: &Cluster) -> (Duration, Option<Fault>) {
        let gap = match self {
            Self::Processes => chance.millis(300, 2500),
            // A connection that is lost empties a near cache: now and then one has to grow old.
            Self::Network(_) if chance.happens(CALM) => chance.millis(1500, 4000),
            Self::Network(_) => chance.millis(30, 500),
            Self::Store | Self::Shards => chance.millis(100, 900),
        };
        (gap, self.fault(chance, cluster))
    }

    fn fault(self, chance: &mut Chance, cluster: &Cluster) -> Option<Fault> {
        match self {
            Self::Processes => {
                let node = chance.index(cluster.nodes.len());
                let kills = chance.happens(400) && cluster.setting.store.outlives_nodes();
                let (dead_for, still_for) = (chance.millis(0, 400), chance.millis(20, 1200));
                Some(if kills {
                    Fault::KillNode { node, dead_for }
                } else {
                    Fault::FreezeNode { node, still_for }
                })
            }
            Self::Network(node) => {
                let (short, long) = (chance.millis(0, 60), chance.millis(100, 900));
                let delay = chance.millis(50, 1500);
                let lasts = if chance.happens(500) { short } else { long };
                let (refuse, hold) = (Traffic::Refuse, Traffic::BlackHoleRequests);
                chance.choose(&[
                    (
                        Fault::LoseReply {
                            node,
                            then: refuse,
                            lasts,
                        },
                        3,
                    ),
                    (
                        Fault::LoseReply {
                            node,
                            then: hold,
                            lasts,
                        },
                        7,
                    ),
                    (Fault::DelayRequest { node, delay }, 10),
                    (Fault::Cut { node }, 2),
                    (Fault::Partition { node, lasts: long }, 1),
                    (Fault::HoldReplies { node, lasts: short }, 2),
                    (Fault::HoldReplies { node, lasts: long }, 1),
                ])
            }
            Self::Store => {
                let (short, long) = (chance.millis(20, 200), chance.millis(200, 1200));
                let rounds = 1_000_000 * (1 + chance.below(20));
                chance.choose(&[
                    (Fault::FreezeStore { still_for: short }, 3),
                    (Fault::FreezeStore { still_for: long }, 1),
                    (Fault::KillClients, 2),
                    (Fault::FlushScripts, 3),
                    (Fault::FillMemory { lasts: short }, 2),
                    (Fault::ResizeTable { keys: 3 }, 3),
                    (Fault::ResizeTable { keys: 8 }, 2),
                    (Fault::ResizeTable { keys: ALL_KEYS }, 2),
                    (Fault::SlowScript { rounds }, 2),
                ])
            }
            Self::Shards => {
                let (shard, by) = (chance.index(SHARDS), 1 + chance.index(SHARDS - 1));
                let still_for = chance.millis(20, 1200);
                chance.choose(&[
                    (Fault::MoveSlot { from: shard, by }, 6),
                    (Fault::FailOver { shard }, 2),
                    (Fault::FreezeShard { shard, still_for }, 2),
                    (Fault::KillShardClients { shard }, 1),
                ])
            }
        }
    }
}

impl Fault {
    /// Lets it happen, and mends it.
    async fn perform(self, cluster: &Arc<Cluster>) -> io::Result<()> {
        match self {
            Self::KillNode { node, dead_for } => {
                cluster.nodes[node].kill_and_restart(dead_for).await
            }
            Self::FreezeNode { node, still_for } => cluster.nodes[node].freeze(still_for).await,
            Self::LoseReply { node, then, lasts } => {
                let proxy = &cluster.servers.proxies[node];
                let before = proxy.losses();
                proxy.lose_reply_and_set(WRITE, then);
                for _ in 0..TRAP_STEPS {
                    if proxy.losses() > before {
                        sleep(lasts).await;
                        break;
                    }
                    sleep(TRAP_STEP).await;
                }
                proxy.disarm();
                proxy.set(Traffic::Pass);
                Ok(())
            }
            Self::DelayRequest { node, delay } => {
                let proxy = &cluster.servers.proxies[node];
                proxy.delay_request_to(WRITE, delay);
                sleep(TRAP_STEP * TRAP_STEPS).await;
                proxy.disarm();
                Ok(())
            }
            Self::Cut { node } => {
                cluster.servers.proxies[node].cut();
                Ok(())
            }
            Self::Partition { node, lasts } => {
                hold(cluster, node, Traffic::BlackHole, lasts).await;
                Ok(())
            }
            Self::HoldReplies { node, lasts } => {
                hold(cluster, node, Traffic::BlackHoleReplies, lasts).await;
                Ok(())
            }
            Self::MoveSlot { from, by } => {
                at_cluster(cluster, move |it| it.move_some(from, by)).await
            }
            Self::FailOver { shard } => at_cluster(cluster, move |it| it.fail_over(shard)).await,
            Self::FreezeShard { shard, still_for } => {
                at_cluster(cluster, move |it| it.primary(shard).stop()).await?;
                sleep(still_for).await;
                at_cluster(cluster, move |it| it.primary(shard).cont()).await
            }
            Self::KillShardClients { shard } => {
                let kill = ["CLIENT", "KILL", "TYPE", "normal"];
                at_cluster(cluster, move |it| drop(it.primary(shard).command(&kill))).await
            }
            _ => self.perform_at_store(cluster).await,
        }
    }

    async fn perform_at_store(self, cluster: &Arc<Cluster>) -> io::Result<()> {
        let command = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            at_redis(cluster, move |redis| {
                redis.command(&words);
            })
        };
        match self {
            Self::FreezeStore { still_for } => {
                at_redis(cluster, tenure_testing::RedisServer::stop).await?;
                sleep(still_for).await;
                at_redis(cluster, tenure_testing::RedisServer::cont).await
            }
            Self::KillClients => command(&["CLIENT", "KILL", "TYPE", "normal"]).await,
            Self::FlushScripts => command(&["SCRIPT", "FLUSH"]).await,
            Self::FillMemory { lasts } => {
                command(&["CONFIG", "SET", "maxmemory", "1"]).await?;
                sleep(lasts).await;
                command(&["CONFIG", "SET", "maxmemory", "0"]).await
            }
            Self::ResizeTable { keys } => {
                let keys = keys.to_string();
                command(&["CONFIG", "SET", "tracking-table-max-keys", &keys]).await
            }
            Self::SlowScript { rounds } => {
                command(&["EVAL", SLOW_SCRIPT, "0", &rounds.to_string()]).await
            }
            _ => Ok(()),
        }
    }

    const fn place(self) -> Place {
        match self {
            Self::KillNode { node, .. }
            | Self::FreezeNode { node, .. }
            | Self::LoseReply { node, .. }
            | Self::DelayRequest { node, .. }
            | Self::Cut { node }
            | Self::Partition { node, .. }
            | Self::HoldReplies { node, .. } => Place::Node(node),
            _ => Place::Everywhere,
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::FreezeNode { .. }
            | Self::Partition { .. }
            | Self::HoldReplies { .. }
            | Self::FreezeStore { .. }
            | Self::SlowScript { .. }
            | Self::FailOver { .. }
            | Self::FreezeShard { .. } => Kind::Delay,
            // Where requests are held back, what is answered is answered without delay.
            _ => Kind::Loss,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillNode { dead_for, .. } => write!(f, "killed, dead for {dead_for:?}"),
            Self::FreezeNode { .. } => f.write_str("frozen"),
            Self::LoseReply { then, lasts, .. } => {
                write!(f, "a write's reply lost, then {then:?} for {lasts:?}")
            }
            Self::DelayRequest { delay, .. } => write!(f, "a write arrives {delay:?} late"),
            Self::Cut { .. } => f.write_str("connections cut"),
            Self::Partition { .. } => f.write_str("partitioned"),
            Self::HoldReplies { .. } => f.write_str("replies held back"),
            Self::FreezeStore { .. } => f.write_str("store frozen"),
            Self::KillClients => f.write_str("store's clients killed"),
            Self::FlushScripts => f.write_str("scripts flushed"),
            Self::FillMemory { .. } => f.write_str("memory full"),
            Self::ResizeTable { keys } => write!(f, "tracking table of {keys} keys"),
            Self::SlowScript { rounds } => write!(f, "script of {rounds} rounds"),
            Self::MoveSlot { from, by } => {
                write!(
                    f,
                    "a slot moved from shard {from} to {}",
                    (from + by) % SHARDS
                )
            }
            Self::FailOver { shard } => write!(f, "shard {shard} failed over"),
            Self::FreezeShard { shard, .. } => write!(f, "shard {shard} frozen"),
            Self::KillShardClients { shard } => write!(f, "clients of shard {shard} killed"),
        }
    }
}

async fn hold(cluster: &Cluster, node: usize, traffic: Traffic, lasts: Duration) {
    let proxy = &cluster.servers.proxies[node];
    proxy.set(traffic);
    sleep(lasts).await;
    proxy.set(Traffic::Pass);
}

/// Its methods block their thread.
async fn at_redis(
    cluster: &Arc<Cluster>,
    work: impl FnOnce(&tenure_testing::RedisServer) + Send + 'static,
) -> io::Result<()> {
    let cluster = Arc::clone(cluster);
    let work = tokio::task::spawn_blocking(move || {
        if let Some(redis) = &cluster.servers.redis {
            work(redis);
        }
    });
    Ok(work.await?)
}

/// The same for a cluster.
async fn at_cluster(
    cluster: &Arc<Cluster>,
    work: impl FnOnce(&Shards<'_>) + Send + 'static,
) -> io::Result<()> {
    let cluster = Arc::clone(cluster);
    let work = tokio::task::spawn_blocking(move || {
        if let Some(nodes) = &cluster.servers.cluster {
            work(&Shards(nodes));
        }
    });
    Ok(work.await?)
}

/// What every write to Redis contains, and no read: they are scripts.
const WRITE: &str = "EVAL";

const SLOW_SCRIPT: &str = "local n = 0 for i = 1, ARGV[1] do n = n + i end return n";

/// The server's default.
const ALL_KEYS: u32 = 1_000_000;

/// How often, of a thousand times, nothing happens to a connection for some seconds.
const CALM: u64 = 150;

/// How long a trap waits for something to close on.
const TRAP_STEP: Duration = Duration::from_millis(2);
const TRAP_STEPS: u32 = 50;

/// Tells the faults' streams of chance from those of the visitors.
const STREAM: u64 = 2;
