//! What the apps share: their command line, how they listen, and their routes' one parameter.
//!
//! All apps have these routes of tenure's testbed, and answer them alike:
//!
//! | route | does |
//! |---|---|
//! | `/plain` | never touches the session |
//! | `/read` | prints `count` (0 if absent) |
//! | `/incr?ms=N` | adds one to `count`, sleeping N ms between load and return; prints the new value |
//! | `/set/{key}/{value}?ms=N` | loads, sleeps N ms, inserts a string |
//! | `/get/{key}` | prints the value or `-` |
//! | `/login/{user}?ms=N`, `/logout?ms=N` | takes a new session id and remembers the user; ends the session |
//! | `/whoami` | prints the user or `-` |

use std::{
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use clap::{Parser, ValueEnum};
use serde::Deserialize;

/// An app's command line.
#[derive(Debug, Parser)]
#[non_exhaustive]
pub struct Options {
    /// Where to listen; port 0 picks a free one.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The Redis server.
    #[arg(long)]
    pub redis: String,
    /// The key of the cookies, 64 hexadecimal digits, for libraries that sign or encrypt them.
    #[arg(long)]
    pub keys: String,
    /// Where sessions are kept, for apps that can do several things.
    #[arg(long, value_enum, default_value_t = Store::Redis)]
    pub store: Store,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "the apps match on all of them")]
pub enum Store {
    /// In the process.
    Memory,
    /// In Redis.
    Redis,
    /// In Redis, and in the process in front of it.
    CachedRedis,
}

/// The query that makes a route sleep.
#[derive(Debug, Deserialize)]
pub struct Pause {
    #[serde(default)]
    ms: u64,
}

impl Pause {
    /// Sleeps.
    pub async fn sleep(&self) {
        if self.ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.ms)).await;
        }
    }
}

/// Any error, as axum's examples answer it: with 500.
#[derive(Debug)]
pub struct Failure(String);

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

/// Listens and prints `listening on ADDRESS`, which whoever started the app waits for.
///
/// # Errors
///
/// An [`io::Error`] if the address is taken.
#[expect(clippy::print_stdout, reason = "the line is what this is for")]
pub fn listen(options: &Options) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(options.listen)?;
    listener.set_nonblocking(true)?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

/// Serves an axum app until the process ends.
///
/// # Errors
///
/// An [`io::Error`] if it cannot listen.
pub async fn serve(options: &Options, app: Router) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listen(options)?)?;
    let listener = listener.tap_io(|stream| {
        // Small answers on kept connections would otherwise wait for acknowledgements.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await
}

/// How the routes print that something is not there.
#[must_use]
pub fn or_nothing(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}
