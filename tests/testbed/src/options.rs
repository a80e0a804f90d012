use std::{error::Error, ffi::OsString, net::SocketAddr, time::Duration};

use clap::{Parser, ValueEnum};
use tenure_core::{
    CookieConfig, KeyRing, Lifetimes, LifetimesError, MemoryStore, OnLimit, SessionIndex,
    SessionManager, SessionStore,
};
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tokio::net::TcpListener;

use crate::{Adapter, App, serve};

/// One app with the same routes on every adapter, for integration tests, benchmarks and black-box
/// checks.
#[derive(Debug, Parser)]
#[command(after_help = include_str!("../routes.md"))]
struct Options {
    /// What stands between the routes and the session manager.
    #[arg(long, value_enum)]
    adapter: Adapter,
    /// Where sessions are kept.
    #[arg(long, value_enum)]
    store: StoreKind,
    /// Where Redis is, for `--store redis`: also `redis-cluster://host:port,…` and
    /// `redis-sentinel://host:port,…#name`.
    #[arg(long, default_value = "redis://127.0.0.1:6379")]
    redis: String,
    /// Keeps sessions in the process's memory, in front of the store.
    #[arg(long)]
    near_cache: bool,
    /// How stale the near cache may be, in milliseconds.
    #[arg(long, default_value_t = 2000, requires = "near_cache")]
    max_staleness_ms: u64,
    /// Keeps an index of who is logged in where, in the store.
    #[arg(long)]
    index: bool,
    /// How many sessions a user may be logged in to. Without it, any number.
    #[arg(long, requires = "index")]
    max_sessions: Option<u32>,
    /// What to do about one more.
    #[arg(long, value_enum, default_value_t = Limit::EndOldest, requires = "max_sessions")]
    on_limit: Limit,
    /// Where to listen; port 0 picks a free one.
    #[arg(long)]
    listen: SocketAddr,
    /// The key ring, keys in hexadecimal separated by commas. Processes with the same keys act as
    /// one cluster. Without it, a new random key.
    #[arg(long)]
    keys: Option<String>,
    /// How long the store may take, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    deadline_ms: u64,
    /// How long an ordinary session lives without activity, in milliseconds, 1000 or more. Without
    /// it 30 minutes, or as long as it lives in all.
    #[arg(long)]
    idle_ms: Option<u64>,
    /// How long an ordinary session lives in all, in milliseconds. Without it, 24 hours.
    #[arg(long)]
    absolute_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum StoreKind {
    Memory,
    Redis,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Limit {
    EndOldest,
    Refuse,
}

impl From<Limit> for OnLimit {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::EndOldest => Self::EndOldest,
            Limit::Refuse => Self::Refuse,
        }
    }
}

/// Reads the command line and serves until the process ends. Prints `listening on ADDRESS` once it does.
///
/// # Errors
///
/// Any error of the set-up, for `main` to report.
pub async fn run() -> Result<(), Box<dyn Error>> {
    run_with(std::env::args_os()).await
}

/// The same with another command line, whose first word is the program's name: for programs that are
/// also a node.
///
/// # Errors
///
/// As [`run`].
pub async fn run_with(words: impl IntoIterator<Item = OsString>) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let options = Options::parse_from(words);
    let app = options.app().await?;
    let listener = TcpListener::bind(options.listen).await?;
    announce(listener.local_addr()?);
    serve(options.adapter, app, listener).await?;
    Ok(())
}

impl Options {
    async fn app(&self) -> Result<App, Box<dyn Error>> {
        match self.store {
            StoreKind::Memory => self.app_on(MemoryStore::new()),
            StoreKind::Redis => {
                let store = RedisStore::builder(&*self.redis)
                    .deadline(self.deadline())
                    .connect()
                    .await?;
                self.app_on(store)
            }
        }
    }

    fn app_on(
        &self,
        store: impl SessionStore + SessionIndex + Clone,
    ) -> Result<App, Box<dyn Error>> {
        if !self.near_cache {
            return Ok(App::new(self.sessions(store)?));
        }
        let cache = NearCache::builder(store)
            .max_staleness(Duration::from_millis(self.max_staleness_ms))
            .build();
        Ok(App::new(self.sessions(cache.clone())?).with_near_cache(cache))
    }

    fn sessions(
        &self,
        store: impl SessionStore + SessionIndex + Clone,
    ) -> Result<SessionManager, Box<dyn Error>> {
        let keys = match &self.keys {
            Some(keys) => keys.parse()?,
            None => KeyRing::generate()?,
        };
        let cookie = CookieConfig::builder()
            .danger_insecure_for_localhost()
            .build()?;
        let mut sessions = SessionManager::builder(store.clone(), keys)
            .cookie(cookie)
            .deadline(self.deadline())
            .lifetimes(self.lifetimes()?);
        if self.index {
            sessions = sessions.login_index(store);
        }
        if let Some(most) = self.max_sessions {
            sessions = sessions.max_sessions(most, self.on_limit.into());
        }
        Ok(sessions.build()?)
    }

    fn lifetimes(&self) -> Result<Lifetimes, LifetimesError> {
        let given = |ms: Option<u64>, default| ms.map_or(default, Duration::from_millis);
        let default = Lifetimes::default();
        let absolute = given(self.absolute_ms, default.absolute());
        Lifetimes::new(given(self.idle_ms, default.idle().min(absolute)), absolute)
    }

    const fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the line that whoever started the process waits for"
)]
fn announce(address: SocketAddr) {
    println!("listening on {address}");
}
