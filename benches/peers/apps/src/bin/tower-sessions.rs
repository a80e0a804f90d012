//! tower-sessions, after the examples in its README and in those of its Redis and moka stores: a pool
//! of six connections, a cache of 2,000 sessions. They expire after 10 s there, too soon for a
//! benchmark, and do so after an hour here. Login and logout are as `cycle_id`'s and `flush`'s
//! documentation describe them.

use std::error::Error;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use clap::Parser;
use peers_apps::{Failure, Options, Pause, Store, or_nothing, serve};
use time::Duration;
use tower_sessions::{
    CachingSessionStore, Expiry, MemoryStore, Session, SessionManagerLayer, SessionStore,
};
use tower_sessions_moka_store::MokaStore;
use tower_sessions_redis_store::{
    RedisStore,
    fred::{
        prelude::{ClientLike, Config, ConnectionConfig, Pool, TcpConfig},
        types::config::ReconnectPolicy,
    },
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    match options.store {
        Store::Memory => serve(&options, router(MemoryStore::default())).await?,
        Store::Redis => serve(&options, router(redis(&options).await?)).await?,
        Store::CachedRedis => {
            let cache = MokaStore::new(Some(2_000));
            let store = CachingSessionStore::new(cache, redis(&options).await?);
            serve(&options, router(store)).await?;
        }
    }
    Ok(())
}

async fn redis(options: &Options) -> Result<RedisStore<Pool>, Box<dyn Error>> {
    let config = Config::from_url(&options.redis)?;
    let connection = ConnectionConfig {
        tcp: TcpConfig {
            nodelay: Some(true),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let no_policy = None::<ReconnectPolicy>;
    let pool = Pool::new(config, None, Some(connection), no_policy, 6)?;
    // The task that keeps the connections goes on without its handle.
    drop(pool.connect());
    pool.wait_for_connect().await?;
    Ok(RedisStore::new(pool))
}

fn router(store: impl SessionStore + Clone) -> Router {
    let layer = SessionManagerLayer::new(store)
        .with_secure(false)
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)));
    Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route("/read", get(read))
        .route("/incr", get(incr))
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(value))
        .route("/login/{user}", get(login))
        .route("/logout", get(logout))
        .route("/whoami", get(who_am_i))
        .layer(layer)
}

type Outcome = Result<String, Failure>;

async fn read(session: Session) -> Outcome {
    Ok(count(&session).await?.to_string())
}

async fn incr(pause: Query<Pause>, session: Session) -> Outcome {
    let count = count(&session).await? + 1;
    session.insert(COUNT, count).await?;
    pause.sleep().await;
    Ok(count.to_string())
}

async fn set(
    Path((key, value)): Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let _before: Option<String> = session.get(&key).await?;
    pause.sleep().await;
    session.insert(&key, &value).await?;
    Ok(value)
}

async fn value(Path(key): Path<String>, session: Session) -> Outcome {
    Ok(or_nothing(session.get(&key).await?))
}

async fn login(Path(user): Path<String>, pause: Query<Pause>, session: Session) -> Outcome {
    let _before: Option<String> = session.get(USER).await?;
    pause.sleep().await;
    session.cycle_id().await?;
    session.insert(USER, &user).await?;
    Ok(user)
}

async fn logout(pause: Query<Pause>, session: Session) -> Outcome {
    let _before: Option<String> = session.get(USER).await?;
    pause.sleep().await;
    session.flush().await?;
    Ok("logged out".to_owned())
}

async fn who_am_i(session: Session) -> Outcome {
    Ok(or_nothing(session.get(USER).await?))
}

async fn count(session: &Session) -> Result<u64, Failure> {
    Ok(session.get(COUNT).await?.unwrap_or(0))
}

const COUNT: &str = "count";
const USER: &str = "user";
