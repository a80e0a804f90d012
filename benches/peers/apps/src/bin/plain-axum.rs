//! axum without sessions: the floor that no library on axum can be below.

use std::io;

use axum::{
    Router,
    extract::{Path, Query},
    routing::get,
};
use clap::Parser;
use peers_apps::{Options, Pause, serve};

#[tokio::main]
async fn main() -> io::Result<()> {
    let app = Router::new()
        .route("/plain", get(|| async { "plain" }))
        .route("/read", get(|| async { "0" }))
        .route("/incr", get(incr))
        .route("/login/{user}", get(login));
    serve(&Options::parse(), app).await
}

async fn incr(pause: Query<Pause>) -> &'static str {
    pause.sleep().await;
    "1"
}

async fn login(Path(user): Path<String>, pause: Query<Pause>) -> String {
    pause.sleep().await;
    user
}
