//! axum_session on Redis, after its README and the `redis` example of its repository: the default
//! configuration, which keeps sessions in the process for an hour (`--store cached-redis`), or none
//! in the process, which `SessionConfig::with_memory_lifetime` documents (`--store redis`). Login and
//! logout are as the documentation of `Session`'s `renew` and `destroy` describes them.

use std::error::Error;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use axum_session::{SessionConfig, SessionLayer, SessionStore};
use axum_session_redispool::{SessionRedisPool, SessionRedisSession as Session};
use clap::Parser;
use peers_apps::{Options, Pause, Store, or_nothing, serve};
use redis::{Client, IntoConnectionInfo};
use redis_pool::RedisPool;
use time::Duration;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let redis = options.redis.as_str().into_connection_info()?;
    let tcp = redis.tcp_settings().clone().set_nodelay(true);
    let pool = RedisPool::from(Client::open(redis.set_tcp_settings(tcp))?);
    let config = match options.store {
        Store::Memory => return Err("this app is for Redis".into()),
        Store::Redis => SessionConfig::default().with_memory_lifetime(Duration::ZERO),
        Store::CachedRedis => SessionConfig::default(),
    };
    let store = SessionStore::<SessionRedisPool>::new(Some(pool.into()), config).await?;
    let app = Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route("/read", get(read))
        .route("/incr", get(incr))
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(value))
        .route("/login/{user}", get(login))
        .route("/logout", get(logout))
        .route("/whoami", get(who_am_i))
        .layer(SessionLayer::new(store));
    serve(&options, app).await?;
    Ok(())
}

async fn read(session: Session) -> String {
    count(&session).to_string()
}

async fn incr(pause: Query<Pause>, session: Session) -> String {
    let count = count(&session) + 1;
    session.set(COUNT, count);
    pause.sleep().await;
    count.to_string()
}

async fn set(
    Path((key, value)): Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> String {
    pause.sleep().await;
    session.set(&key, &value);
    value
}

async fn value(Path(key): Path<String>, session: Session) -> String {
    or_nothing(session.get(&key))
}

async fn login(Path(user): Path<String>, pause: Query<Pause>, session: Session) -> String {
    pause.sleep().await;
    session.renew();
    session.set(USER, &user);
    user
}

async fn logout(pause: Query<Pause>, session: Session) -> &'static str {
    pause.sleep().await;
    session.destroy();
    "logged out"
}

async fn who_am_i(session: Session) -> String {
    or_nothing(session.get(USER))
}

fn count(session: &Session) -> u64 {
    session.get(COUNT).unwrap_or(0)
}

const COUNT: &str = "count";
const USER: &str = "user";
