//! A visit counter with a login, on hyper and tower, without a web framework. Needs no server:
//!
//! ```console
//! $ cargo run -p tower-only
//! listening on http://127.0.0.1:3003
//! ```
//!
//! Play the browser with a cookie jar:
//!
//! ```console
//! $ curl -c jar -b jar http://127.0.0.1:3003/count
//! visit number 1
//! $ curl -c jar -b jar http://127.0.0.1:3003/count
//! visit number 2
//! $ curl -c jar -b jar -d ada http://127.0.0.1:3003/login
//! hello, ada
//! $ curl -c jar -b jar http://127.0.0.1:3003/
//! ada, visits: 2
//! $ curl -c jar -b jar -d '' http://127.0.0.1:3003/logout
//! goodbye
//! ```
//!
//! # What to look for
//!
//! - The layer puts a [`SessionHandle`] into each request's extensions. Whoever wants the session calls
//!   `load`; a route that does not, such as `/health`, costs no store call and its response is untouched.
//! - The layer commits what was changed when the response comes back, and adds the cookie. If it cannot
//!   commit, it answers in the service's place; see [`SessionLayer::on_refusal`].
//! - A service says what an error of the session means to its clients: [`failure`], here.

#[cfg(test)]
mod tests;

use std::{convert::Infallible, error::Error, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tenure_core::{
    CookieConfig, Key, KeyRing, MemoryStore, Principal, SessionError, report_misuse,
};
use tenure_tower::{SessionHandle, SessionLayer, SessionManager};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tower::ServiceBuilder;

const VISITS: Key<u64> = Key::new("visits");

type Answer = Response<Full<Bytes>>;

async fn respond(request: Request<Incoming>) -> Result<Answer, Infallible> {
    let Some(session) = request.extensions().get::<SessionHandle>().cloned() else {
        let missing = "there is no session layer around this service\n";
        return Ok(text(StatusCode::INTERNAL_SERVER_ERROR, missing));
    };
    let answer = match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => Ok(text(StatusCode::OK, "fine\n")),
        (&Method::GET, "/") => home(&session).await,
        (&Method::GET, "/count") => count(&session).await,
        (&Method::POST, "/login") => log_in(&session, request.into_body()).await,
        (&Method::POST, "/logout") => log_out(&session).await,
        _ => Ok(text(StatusCode::NOT_FOUND, "there is no such page\n")),
    };
    Ok(answer.unwrap_or_else(|error| failure(&error)))
}

/// Shows the session. Visitors who have none get none by looking.
async fn home(session: &SessionHandle) -> Result<Answer, SessionError> {
    let session = session.load().await?;
    let visits = session.get(VISITS)?.unwrap_or_default();
    let user = session.principal();
    let name = user.as_ref().map_or("nobody", Principal::as_str);
    Ok(text(StatusCode::OK, format!("{name}, visits: {visits}\n")))
}

/// Counts up and says how far. The change is committed before the response leaves.
async fn count(session: &SessionHandle) -> Result<Answer, SessionError> {
    let session = session.load().await?;
    let visits = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
    Ok(text(StatusCode::OK, format!("visit number {visits}\n")))
}

/// Logs in whoever the body names: a demonstration, no password is asked for.
async fn log_in(session: &SessionHandle, body: Incoming) -> Result<Answer, SessionError> {
    // Checked here: to the session, a name that nobody can have is a mistake in the program.
    let Some(user) = principal(body).await else {
        let wanted = "the body is to be a user name, of 255 bytes at most\n";
        return Ok(text(StatusCode::BAD_REQUEST, wanted));
    };
    // Gives the session a new secret too, so a cookie from before the login is worthless.
    session.load().await?.login(&user)?;
    Ok(text(StatusCode::OK, format!("hello, {}\n", user.as_str())))
}

async fn log_out(session: &SessionHandle) -> Result<Answer, SessionError> {
    session.load().await?.destroy()?;
    Ok(text(StatusCode::OK, "goodbye\n"))
}

async fn principal(body: Incoming) -> Option<Principal> {
    // Nobody gets to fill the memory with a name.
    let body = Limited::new(body, 2 * Principal::MAX_BYTES);
    let body = body.collect().await.ok()?.to_bytes();
    let name = std::str::from_utf8(&body).ok()?;
    Principal::new(name.trim()).ok()
}

/// The answer to a request whose session could not be read or changed: 409, 500 or 503.
fn failure(error: &SessionError) -> Answer {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        // The manager reports faults of the store; a mistake in the program shows nowhere else.
        report_misuse(error);
    }
    text(status, "please try again\n")
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let sessions = sessions()?;
    let listener = TcpListener::bind("127.0.0.1:3003").await?;
    announce(&listener)?;
    serve(listener, sessions).await;
    Ok(())
}

/// Serves until it is dropped, and its connections with it. What a request has changed is then written
/// entirely or not at all.
async fn serve(listener: TcpListener, sessions: SessionManager) {
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(sessions))
        .service_fn(respond);
    let service = TowerToHyperService::new(service);
    let mut connections = JoinSet::new();
    loop {
        let stream = accept(&listener).await;
        let connection = http1::Builder::new()
            // Without a timer nothing limits how long a visitor may take to send a request's head.
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(connection);
        while connections.try_join_next().is_some() {}
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                // A visitor who has left already, or no descriptors left: no reason to leave the
                // others alone, but one to give them time to finish.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn sessions() -> Result<SessionManager, Box<dyn Error>> {
    // Over plain HTTP browsers drop `Secure` cookies. In production take the default.
    let cookie = CookieConfig::builder()
        .danger_insecure_for_localhost()
        .build()?;
    let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?);
    Ok(sessions.cookie(cookie).build()?)
}

#[expect(clippy::print_stdout, reason = "where to send requests")]
fn announce(listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on http://{}", listener.local_addr()?);
    Ok(())
}
