//! One round: a cluster, visitors, faults, an inventory, and the verdict.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

use tenure_testbed::Adapter;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    behaviour::{Step, Temper},
    browser::{Jar, Scene},
    chance::Chance,
    checker::{self, Terms},
    faults::{self, Lane},
    history::{Incident, KEYS, Kind, Outcome, Part, Place, Route},
    node::Node,
    report::Report,
    servers::{Servers, StoreKind},
};

/// What a round is played with. The same setting asks and breaks the same, as far as processes and
/// sockets allow.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a set of options, to be written down"
)]
pub struct Setting {
    /// Where all chance comes from.
    pub seed: u64,
    /// For how long visitors visit.
    pub time: Duration,
    /// Where the sessions are.
    pub store: StoreKind,
    /// Whether nodes keep sessions in their memory.
    pub cache: Cache,
    /// What the nodes are served by.
    pub adapter: Adapter,
}

/// What stands in front of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "with or without")]
pub enum Cache {
    /// Nothing: each read asks it.
    None,
    /// A near cache with Δ of a second.
    Near,
}

/// What is running in a round.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) setting: Setting,
    pub(crate) scene: Arc<Scene>,
    // Dropped in this order: nodes, then what they connect to.
    pub(crate) nodes: Vec<Node>,
    pub(crate) servers: Servers,
}

/// Plays a round and judges it. `program` is this package's binary, of which the nodes are made.
///
/// # Errors
///
/// An [`io::Error`] if the nodes cannot be started, or a fault cannot be mended. That is no verdict.
pub async fn play(program: &Path, setting: Setting) -> io::Result<Report> {
    let cluster = Cluster::start(program, setting).await?;
    let mut lanes = JoinSet::new();
    for lane in Lane::all(&cluster) {
        lanes.spawn(faults::strike(Arc::clone(&cluster), lane, setting.time));
    }
    let scene = &cluster.scene;
    let jars: Vec<_> = (0..JARS).map(|name| Jar::new(name, scene)).collect();
    let mut visitors = JoinSet::new();
    for jar in &jars {
        for tab in 0..Temper::tabs(jar.temper()) {
            visitors.spawn(Arc::clone(jar).browse(tab, setting.time));
        }
        visitors.spawn(Arc::clone(jar).steal(setting.time));
    }
    let mut watch = JoinSet::new();
    watch.spawn(watch_machine(Arc::clone(scene)));
    visitors.join_all().await;
    lanes
        .join_all()
        .await
        .into_iter()
        .collect::<io::Result<()>>()?;
    take_stock(&cluster, &jars).await;
    watch.shutdown().await;
    let duration = scene.elapsed();
    let history = std::mem::take(&mut *scene.history.lock());
    drop(cluster);
    let violations = checker::check(&history, setting.terms());
    Ok(Report::new(setting, history, violations, duration))
}

impl Setting {
    fn terms(&self) -> Terms {
        Terms {
            staleness: match self.cache {
                Cache::None => Duration::ZERO,
                Cache::Near => MAX_STALENESS,
            },
            idle: self.idle(),
            patience: PATIENCE,
        }
    }

    /// Every fourth seed has sessions that expire when nobody is looking; in the others it is certain
    /// that they do not.
    const fn idle(&self) -> Duration {
        if self.seed % 4 == 3 { SHORT_IDLE } else { IDLE }
    }

    fn arguments(&self) -> Vec<String> {
        let adapter = match self.adapter {
            Adapter::Actix => "actix",
            Adapter::Axum => "axum",
            _ => "tower",
        };
        let mut arguments = vec!["--adapter".to_owned(), adapter.to_owned()];
        arguments.extend(["--keys".to_owned(), key(self.seed)]);
        arguments.push("--index".to_owned());
        let idle = self.idle().as_millis().to_string();
        arguments.extend(["--idle-ms".to_owned(), idle]);
        if self.cache == Cache::Near {
            arguments.push("--near-cache".to_owned());
            let ms = MAX_STALENESS.as_millis().to_string();
            arguments.extend(["--max-staleness-ms".to_owned(), ms]);
        }
        arguments
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            time,
            store,
            cache,
            adapter,
        } = self;
        write!(f, "seed {seed}, {} s: ", time.as_secs())?;
        write!(f, "{} nodes of {adapter:?} on {store:?}", store.nodes())?;
        match cache {
            Cache::None => Ok(()),
            Cache::Near => f.write_str(" with near caches"),
        }
    }
}

impl Cluster {
    async fn start(program: &Path, setting: Setting) -> io::Result<Arc<Self>> {
        let store = setting.store;
        let servers = store.start();
        let mut nodes = Vec::new();
        for node in 0..store.nodes() {
            let mut arguments = setting.arguments();
            arguments.extend(store.arguments(&servers, node));
            nodes.push(Node::start(program, arguments).await?);
        }
        let scene = Scene {
            seed: setting.seed,
            begun: Instant::now(),
            nodes: nodes.iter().map(Node::address).collect(),
            history: Default::default(),
        };
        Ok(Arc::new(Self {
            setting,
            scene: Arc::new(scene),
            nodes,
            servers,
        }))
    }
}

/// When all faults are mended and Δ is over: every session that there has been, at every node.
async fn take_stock(cluster: &Arc<Cluster>, jars: &[Arc<Jar>]) {
    wait_for_service(cluster).await;
    sleep(cluster.setting.terms().staleness).await;
    let mut inventories = JoinSet::new();
    for jar in jars {
        let (jar, nodes) = (Arc::clone(jar), cluster.nodes.len());
        inventories.spawn(async move {
            for (index, cookie) in jar.newest().into_iter().enumerate() {
                let routes = [Route::Refresh, Route::Read, Route::Version, Route::WhoAmI];
                let keys = KEYS.map(Route::Get);
                for (turn, route) in routes.into_iter().chain(keys).enumerate() {
                    let step = step((index + turn) % nodes, route);
                    jar.perform(&step, Part::Inventory, Some(cookie.clone()))
                        .await;
                }
            }
        });
    }
    inventories.join_all().await;
}

/// Recovery needs no restart, but a moment: connections are made anew.
async fn wait_for_service(cluster: &Arc<Cluster>) {
    let stranger = Jar::new(JARS, &cluster.scene);
    for node in 0..cluster.nodes.len() {
        for _ in 0..RECOVERY_STEPS {
            let step = step(node, Route::Incr);
            let outcome = stranger.perform(&step, Part::Tab(0), None).await;
            if matches!(outcome, Outcome::Reply { status: 200, .. }) {
                break;
            }
            sleep(RECOVERY_STEP).await;
        }
    }
}

const fn step(node: usize, route: Route) -> Step {
    Step {
        rest: Duration::ZERO,
        node,
        route,
        pause: Duration::ZERO,
        leaves: None,
        transit: Duration::ZERO,
    }
}

/// Notes when this process was not scheduled: then answers are late for no fault of the nodes'.
async fn watch_machine(scene: Arc<Scene>) {
    loop {
        let from = scene.elapsed();
        sleep(WATCH).await;
        let until = scene.elapsed();
        if until - from > WATCH * 4 {
            scene.history.lock().incidents.push(Incident {
                from,
                until,
                what: "the machine was busy".to_owned(),
                place: Place::Everywhere,
                kind: Kind::Busy,
            });
        }
    }
}

/// The key of a round's cookies: what is signed with it lives as long as the round.
fn key(seed: u64) -> String {
    let mut chance = Chance::new(seed, &[u64::MAX]);
    (0..4).map(|_| format!("{:016x}", chance.next())).collect()
}

/// Two busy ones, eight restless ones, four ordinary ones and four quiet ones.
const JARS: usize = 18;

/// Short, so that a round has many of it.
const MAX_STALENESS: Duration = Duration::from_secs(1);

/// Longer than any round.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// Some visitors are away for longer than that, most are not.
const SHORT_IDLE: Duration = Duration::from_secs(2);

/// Fifty times what an answer takes that nothing holds up. When the machine itself does, that is noted.
const PATIENCE: Duration = Duration::from_millis(250);

const WATCH: Duration = Duration::from_millis(20);

/// 10 s in all.
const RECOVERY_STEPS: u32 = 100;
const RECOVERY_STEP: Duration = Duration::from_millis(100);
