//! A visit counter with a login, on actix-web. Needs no server:
//!
//! ```console
//! $ cargo run -p actix-quickstart
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
//! $ curl -c jar -b jar -d user=ada http://127.0.0.1:3000/login
//! $ curl -c jar -b jar -d '' http://127.0.0.1:3000/logout
//! $ curl -c jar -b jar http://127.0.0.1:3000/count
//! visit number 1
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `TENURE_LISTEN` | `127.0.0.1:3000` | where to listen |
//! | `TENURE_STORE` | `memory:`, in this process | where sessions are kept: `sqlite:PATH` or `redis://HOST`, too |
//! | `TENURE_KEYS` | none: a new key at each start | keys in hexadecimal, separated by commas; `openssl rand -hex 32` makes one |
//! | `RUST_LOG` | `info` | what to log |
//!
//! With the same store and the same keys, several of these on different ports are one application,
//! together with those of `quickstart`, which is the same on axum: a visitor may come to any of them
//! (cookies do not distinguish ports).
//!
//! # Requests from other sites
//!
//! A page of another site can make a browser send a form to this one (cross-site request forgery). The
//! middleware [`refuse_cross_site`] answers that with 403; `SameSite=Lax` on the cookie is the second line
//! of defence. `GET` passes from everywhere, so it should not change more than a visit counter. Clients
//! that are no browsers pass too: it is the browser that adds the victim's cookie.
//!
//! ```console
//! $ curl -H 'sec-fetch-site: cross-site' -d user=ada http://127.0.0.1:3000/login
//! another site sent this; nothing was done
//! ```

mod cross_site;
mod page;
#[cfg(test)]
mod tests;

use std::{env, error::Error, net::SocketAddr};

use actix_web::{
    App, Either, HttpServer, Responder,
    http::StatusCode,
    middleware::from_fn,
    web::{Form, Html, Redirect, ServiceConfig, get, post},
};
use serde::Deserialize;
use tenure_actix::{
    CookieConfig, Key, KeyRing, Principal, Session, SessionError, SessionManager, SessionMiddleware,
};
use tracing_subscriber::EnvFilter;

use self::cross_site::refuse_cross_site;

const VISITS: Key<u64> = Key::new("visits");

fn routes(app: &mut ServiceConfig) {
    app.route("/", get().to(home))
        .route("/count", get().to(count))
        .route("/login", post().to(log_in))
        .route("/logout", post().to(log_out));
}

/// For curl: counts up and says how far. The change is committed before the response leaves.
async fn count(session: Session) -> Result<String, SessionError> {
    let visits = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
    Ok(format!("visit number {visits}\n"))
}

/// For browsers: counts up and shows the session.
async fn home(session: Session) -> Result<Html, SessionError> {
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

async fn log_in(session: Session, login: Form<Login>) -> Result<impl Responder, SessionError> {
    // Checked here: to the session, a name that nobody can have is a mistake in the program.
    let Ok(user) = Principal::new(login.user.trim()) else {
        let page = page::mistake("Please enter a user name, of 255 bytes at most.");
        return Ok(Either::Left((page, StatusCode::BAD_REQUEST)));
    };
    // Gives the session a new secret too, so a cookie from before the login is worthless.
    session.login(user.as_str())?;
    Ok(Either::Right(Redirect::to("/").see_other()))
}

async fn log_out(session: Session) -> Result<Redirect, SessionError> {
    session.destroy()?;
    Ok(Redirect::to("/").see_other())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).init();

    // One manager, made outside of the closure: all workers share it.
    let sessions = sessions().await?;
    let server = HttpServer::new(move || {
        App::new()
            .configure(routes)
            .wrap(SessionMiddleware::new(sessions.clone()))
            // Runs first: what it refuses costs no store call and gets no cookie.
            .wrap(from_fn(refuse_cross_site))
    });
    let address = env::var("TENURE_LISTEN").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
    let server = server.bind(address)?;
    announce(&server.addrs());
    // Until ctrl-c.
    server.run().await?;
    Ok(())
}

async fn sessions() -> Result<SessionManager, Box<dyn Error>> {
    let url = env::var("TENURE_STORE").unwrap_or_else(|_| "memory:".to_owned());
    let builder = SessionManager::builder(tenure_stores::connect(&url).await?, keys()?);
    // Over plain HTTP browsers drop `Secure` cookies. In production leave this line out.
    let builder = builder.cookie(localhost_cookie()?);
    Ok(builder.build()?)
}

fn localhost_cookie() -> Result<CookieConfig, Box<dyn Error>> {
    let cookie = CookieConfig::builder().danger_insecure_for_localhost();
    Ok(cookie.build()?)
}

fn keys() -> Result<KeyRing, Box<dyn Error>> {
    if env::var_os("TENURE_KEYS").is_some() {
        return Ok(KeyRing::from_env("TENURE_KEYS")?);
    }
    tracing::warn!("TENURE_KEYS is not set: the cookies of this process end with it");
    Ok(KeyRing::generate()?)
}

#[expect(clippy::print_stdout, reason = "what to open in the browser")]
fn announce(addresses: &[SocketAddr]) {
    for address in addresses {
        println!("listening on http://{address}");
    }
}
