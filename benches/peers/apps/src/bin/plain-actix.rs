//! actix without sessions: the floor that no library on actix can be below.

use std::{future::ready, io};

use actix_web::{
    App, HttpServer,
    web::{Path, Query, get},
};
use clap::Parser;
use peers_apps::{Options, Pause, listen};

#[actix_web::main]
async fn main() -> io::Result<()> {
    let server = HttpServer::new(|| {
        App::new()
            .route("/plain", get().to(|| ready("plain")))
            .route("/read", get().to(|| ready("0")))
            .route("/incr", get().to(incr))
            .route("/login/{user}", get().to(login))
    });
    server
        .tcp_nodelay(true)
        .listen(listen(&Options::parse())?)?
        .run()
        .await
}

async fn incr(pause: Query<Pause>) -> &'static str {
    pause.sleep().await;
    "1"
}

async fn login(user: Path<String>, pause: Query<Pause>) -> String {
    pause.sleep().await;
    user.into_inner()
}
