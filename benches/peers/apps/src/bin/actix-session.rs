//! actix-session on Redis, after its README: one connection, encrypted cookies, no expiry on
//! inactivity. Login and logout renew and purge, as `Session`'s documentation and `actix-identity` do.

use std::error::Error;

use actix_session::{Session, SessionMiddleware, storage::RedisSessionStore};
use actix_web::{
    App, HttpServer, Result,
    cookie::Key,
    web::{Path, Query, get},
};
use clap::Parser;
use peers_apps::{Options, Pause, listen, or_nothing};

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let key = Key::from(options.keys.as_bytes());
    let store = RedisSessionStore::new(&*options.redis).await?;
    let server = HttpServer::new(move || {
        let sessions = SessionMiddleware::builder(store.clone(), key.clone())
            .cookie_secure(false)
            .build();
        App::new()
            .wrap(sessions)
            .route("/plain", get().to(|| async { "plain" }))
            .route("/read", get().to(read))
            .route("/incr", get().to(incr))
            .route("/set/{key}/{value}", get().to(set))
            .route("/get/{key}", get().to(value))
            .route("/login/{user}", get().to(login))
            .route("/logout", get().to(logout))
            .route("/whoami", get().to(who_am_i))
    });
    let server = server.tcp_nodelay(true).listen(listen(&options)?)?;
    server.run().await?;
    Ok(())
}

async fn read(session: Session) -> Result<String> {
    Ok(count(&session)?.to_string())
}

async fn incr(pause: Query<Pause>, session: Session) -> Result<String> {
    let count = count(&session)? + 1;
    session.insert(COUNT, count)?;
    pause.sleep().await;
    Ok(count.to_string())
}

async fn set(
    path: Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> Result<String> {
    let (key, value) = path.into_inner();
    pause.sleep().await;
    session.insert(key, &value)?;
    Ok(value)
}

async fn value(key: Path<String>, session: Session) -> Result<String> {
    Ok(or_nothing(session.get(&key)?))
}

async fn login(user: Path<String>, pause: Query<Pause>, session: Session) -> Result<String> {
    pause.sleep().await;
    session.renew();
    session.insert(USER, &*user)?;
    Ok(user.into_inner())
}

async fn logout(pause: Query<Pause>, session: Session) -> &'static str {
    pause.sleep().await;
    session.purge();
    "logged out"
}

async fn who_am_i(session: Session) -> Result<String> {
    Ok(or_nothing(session.get(USER)?))
}

fn count(session: &Session) -> Result<u64> {
    Ok(session.get(COUNT)?.unwrap_or(0))
}

const COUNT: &str = "count";
const USER: &str = "user";
