//! A visit counter with a login, on axum. Needs no server:
//!
//! ```console
//! $ cargo run -p quickstart
//! sessions are kept in /home/ada/tenure/quickstart.db
//! listening on http://127.0.0.1:3000
//! ```
//!
//! Open that address, or play the browser with a cookie jar:
//!
//! ```console
//! $ curl -c jar -b jar http://127.0.0.1:3000/count
//! visit number 1
//! $ curl -c jar -b jar http://127.0.0.1:3000/count
//! visit number 2
//! $ curl -c jar -b jar -L -d user=ada http://127.0.0.1:3000/login
//! $ curl -c jar -b jar -L -d '' http://127.0.0.1:3000/logout
//! $ curl -c jar -b jar http://127.0.0.1:3000/count
//! visit number 1
//! ```
//!
//! Stop it and start it again: the count goes on, and who was logged in still is. The file, and the key of the cookies
//! beside it, lie in the folder in which it was started, so that they are seen and can be thrown away.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `TENURE_LISTEN` | `127.0.0.1:3000` | where to listen |
//! | `TENURE_STORE` | `sqlite:quickstart.db` | where sessions are kept: `sqlite:PATH`, `redis://HOST`, or `memory:` |
//! | `TENURE_KEYS` | that in `quickstart.key`, which is made if it is missing | keys in hexadecimal, separated by commas; `openssl rand -hex 32` makes one |
//! | `RUST_LOG` | `info` | what to log |
//!
//! With the same store and the same keys, several of these on different ports are one application: a
//! visitor may come to any of them (cookies do not distinguish ports).

mod keys;
mod page;
#[cfg(test)]
mod tests;

use std::{env, error::Error, path::Path};

use axum::{
    Form, Router,
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tenure_axum::{
    CookieConfig, Key, Principal, Session, SessionError, SessionLayer, SessionManager,
};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

const VISITS: Key<u64> = Key::new("visits");

fn app(sessions: SessionManager) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/count", get(count))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .layer(SessionLayer::new(sessions))
}

/// For curl: counts up and says how far. The change is committed before the response leaves.
async fn count(session: Session) -> Result<String, SessionError> {
    let visits = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
    Ok(format!("visit number {visits}\n"))
}

/// For browsers: counts up and shows the session.
async fn home(session: Session) -> Result<Html<String>, SessionError> {
    session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
    // Committed here and not with the response, so that the page can show what came of it.
    session.commit().await?;
    let visits = session.get(VISITS)?.unwrap_or_default();
    let version = session.version().map_or(0, |version| version.counter());
    let user = session.principal();
    Ok(page::home(
        visits,
        version,
        user.as_ref().map(Principal::as_str),
    ))
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    user: String,
}

async fn log_in(session: Session, Form(login): Form<Login>) -> Result<Response, SessionError> {
    // Checked here: to the session, a name that nobody can have is a mistake in the program.
    let Ok(user) = Principal::new(login.user.trim()) else {
        let page = page::mistake("Please enter a user name, of 255 bytes at most.");
        return Ok((StatusCode::BAD_REQUEST, page).into_response());
    };
    // Gives the session a new secret too, so a cookie from before the login is worthless.
    session.login(user.as_str())?;
    Ok(Redirect::to("/").into_response())
}

async fn log_out(session: Session) -> Result<Redirect, SessionError> {
    session.destroy()?;
    Ok(Redirect::to("/"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let app = app(sessions(&env::current_dir()?).await?);
    let address = env::var("TENURE_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    say(&format!("listening on http://{}", listener.local_addr()?));
    axum::serve(listener, app)
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(())
}

/// What is not said otherwise is kept in that folder.
async fn sessions(folder: &Path) -> Result<SessionManager, Box<dyn Error>> {
    let store = match env::var("TENURE_STORE") {
        Ok(url) => tenure_stores::connect(&url).await?,
        Err(_) => {
            let path = folder.join("quickstart.db");
            say(&format!("sessions are kept in {}", path.display()));
            tenure_stores::connect(&format!("sqlite:{}", path.display())).await?
        }
    };
    let builder = SessionManager::builder(store, keys::of(folder)?);
    // Over plain HTTP browsers drop `Secure` cookies. In production leave this line out.
    let builder = builder.cookie(localhost_cookie()?);
    Ok(builder.build()?)
}

fn localhost_cookie() -> Result<CookieConfig, Box<dyn Error>> {
    let cookie = CookieConfig::builder().danger_insecure_for_localhost();
    Ok(cookie.build()?)
}

#[expect(
    clippy::print_stdout,
    reason = "what to open, and where it leaves its traces"
)]
fn say(line: &str) {
    println!("{line}");
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        // Without the signal there is no orderly way to stop, but there is no reason to stop either.
        tracing::error!(%error, "cannot wait for ctrl-c");
        std::future::pending::<()>().await;
    }
}
