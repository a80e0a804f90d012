//! Apps and Redis servers as processes of their own, each on its core, killed when dropped.

use std::{env, io, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tenure_testing::RedisServer;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use crate::{Outcome, contestants::Contestant, package};

/// Which core is for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) app: usize,
    pub(crate) generator: usize,
    pub(crate) redis: usize,
}

impl Cores {
    /// The app has a core to itself, since it is what is measured; with two cores, Redis and the
    /// generator share the other one.
    pub(crate) fn assign() -> Outcome<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let app = cores.next().ok_or("no core to run on")?;
        let generator = cores.next().unwrap_or(app);
        let redis = cores.next().unwrap_or(generator);
        Ok(Self {
            app,
            generator,
            redis,
        })
    }
}

/// Moves the calling thread to a core; the processes that it starts begin there.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

/// Starts processes where they belong.
pub(crate) struct Stage {
    pub(crate) cores: Cores,
    programs: PathBuf,
    keys: String,
}

impl Stage {
    /// Builds the apps, next to this very program.
    pub(crate) async fn build(cores: Cores) -> Outcome<Self> {
        let own = env::current_exe()?;
        let programs = own.parent().ok_or("no folder of programs")?.to_owned();
        let target = programs.parent().ok_or("no target folder")?;
        let manifest = package().join("../Cargo.toml");
        // As `cargo run` sets it: the toolchain that this program was built with.
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--release", "--locked", "--package", "peers-apps"])
            .arg("--manifest-path")
            .arg(manifest)
            .arg("--target-dir")
            .arg(target)
            .kill_on_drop(true)
            .status()
            .await?;
        if !status.success() {
            return Err("the apps do not build".into());
        }
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self {
            cores,
            programs,
            keys: key.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Starts an empty Redis.
    pub(crate) fn redis(&self) -> Outcome<RedisServer> {
        self.on(self.cores.redis, || Ok(RedisServer::start()))
    }

    /// Starts an app and waits until it listens.
    pub(crate) async fn app(&self, contestant: &Contestant, redis: &RedisServer) -> Outcome<App> {
        let mut child = self.on(self.cores.app, || {
            Command::new(self.programs.join(contestant.program))
                .args(contestant.arguments)
                .args(["--listen", "127.0.0.1:0"])
                .args(["--redis", &redis.url(), "--keys", &self.keys])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
        })?;
        let stdout = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(stdout).lines();
        let line = timeout(START_LIMIT, lines.next_line()).await??;
        let line = line.ok_or("the app ended at once")?;
        let address = line.strip_prefix("listening on ").ok_or("no address")?;
        Ok(App {
            address: address.parse()?,
            pid: child.id().ok_or("the app has ended")?,
            _child: child,
        })
    }

    /// Starts something on a core, and returns to the generator's.
    fn on<T>(&self, core: usize, start: impl FnOnce() -> io::Result<T>) -> Outcome<T> {
        pin(core)?;
        let started = start();
        pin(self.cores.generator)?;
        Ok(started?)
    }
}

/// A running app.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) pid: u32,
    _child: Child,
}

const START_LIMIT: Duration = Duration::from_secs(30);
