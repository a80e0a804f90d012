//! Logging in and out, rights that grow within a session, and what to do about a 409, on axum.
//!
//! ```console
//! $ cargo run -p login
//! listening on http://127.0.0.1:3001
//! ```
//!
//! Open that address, or play the browser:
//!
//! ```console
//! $ curl -c jar -b jar -L -d 'user=ada&password=analytical-engine' http://127.0.0.1:3001/login
//! $ curl -c jar -b jar http://127.0.0.1:3001/account
//! $ curl -c jar -b jar http://127.0.0.1:3001/admin        # 403: the second factor is missing
//! $ curl -c jar -b jar -L -d code=1852 http://127.0.0.1:3001/unlock
//! $ curl -c jar -b jar -L -d '' http://127.0.0.1:3001/logout
//! ```
//!
//! # What to look for
//!
//! - Every change of privileges replaces the session's secret: [`login`](tenure_axum::Session) does so by
//!   itself, `rotate` without a login. A cookie that somebody planted or saw before is then worthless
//!   (session fixation). The values of the session stay, so a visitor keeps the cart.
//! - Whoever asks to be remembered stays logged in when the browser closes: `login_remembered`.
//! - A logout is `destroy`. It has happened in the store when the response arrives, also if the
//!   handler fails afterwards, and a slower request cannot bring the session back.
//! - Handlers that need a user take [`User`], which only exists for logged-in visitors.
//!
//! # What a 409 means
//!
//! The request came too late: what it was based on is no longer so, and **nothing of it was written**.
//!
//! - It read a value and replaced it, and another request had replaced it in between: see [`rename`].
//!   With `update` instead of `get` and `insert` this cannot happen.
//! - The session was logged out, or ran out, while the request was under way.
//! - The request carried a secret that a login has just replaced. The browser has the new cookie by
//!   now, or receives it any moment.
//!
//! In each case the remedy is to load the page again and look. [`explain`] says so to people; a script
//! would repeat the request.
//!
//! # Requests from other sites
//!
//! A page of another site can make a browser send a form to this one (cross-site request forgery). What
//! keeps that from changing anything is [`CsrfLayer`]; `SameSite=Lax` on the cookie is the second line of
//! defence, and does not keep another site from logging a visitor in under a name of its choice.
//! Requests other than `GET`, `HEAD` and `OPTIONS` must not be cross-site:
//!
//! - Browsers since 2023 say where a request comes from, in `Sec-Fetch-Site`. It has to be `same-origin`,
//!   or `none` if the visitor did it by hand.
//! - Of older ones, from 2020 on, and over plain HTTP, the host in `Origin` has to be that in `Host`.
//! - A request with neither is let through: it comes from curl, a script or a server, and forgery needs a
//!   browser, since it is the browser that adds the victim's cookie.
//!
//! So no `GET` may change anything. Behind a proxy that rewrites `Host`, name the public origin with
//! `add_trusted_origin`.
//!
//! ```console
//! $ curl -i -H 'sec-fetch-site: cross-site' -d 'user=ada' http://127.0.0.1:3001/login     # 403
//! ```
//!
//! # What is left out
//!
//! Hashed passwords, a limit on attempts, and a real second factor.

mod page;
#[cfg(test)]
mod tests;
mod users;

use std::error::Error;

use axum::{
    Form, Router,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tenure_axum::{
    CookieConfig, Key, KeyRing, MemoryStore, Principal, Session, SessionError, SessionLayer,
    SessionManager,
};
use tokio::net::TcpListener;
use tower_http::csrf::{CsrfLayer, ProtectionError};

/// How the user wants to be called.
const NICKNAME: Key<String> = Key::new("nickname");

/// Whether the user has shown a second factor in this session.
const UNLOCKED: Key<bool> = Key::new("unlocked").in_namespace("admin");

fn app(sessions: SessionManager) -> Router {
    // What could not be committed is answered by the layer, everything else by `Problem`.
    let sessions = SessionLayer::new(sessions).on_refusal(|refusal| explain(refusal.status()));
    Router::new()
        .route("/", get(home))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/account", get(account))
        .route("/rename", post(rename))
        .route("/unlock", post(unlock))
        .route("/admin", get(admin))
        .layer(sessions)
        // Outside of the sessions: what it refuses costs no store call and gets no cookie.
        .layer(CsrfLayer::new().with_rejection_response(refuse_cross_site))
}

/// The page for requests by which another site would have changed something here.
fn refuse_cross_site(_: ProtectionError) -> Response {
    let page = page::notice("This came from another site. Nothing was done.");
    (StatusCode::FORBIDDEN, page).into_response()
}

/// The start page, for everyone. Visitors who have no session get none by looking at it.
async fn home(session: Option<Session>) -> Html<String> {
    match session.and_then(|session| session.principal()) {
        Some(user) => page::welcome(user.as_str()),
        None => page::login(None),
    }
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    /// Browsers send a box only if it is checked.
    remember: Option<String>,
}

async fn log_in(
    session: Session,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Problem> {
    let Some(user) = users::authenticate(&credentials.user, &credentials.password) else {
        // The same words whether the name or the password is wrong: neither can be probed for.
        let page = page::login(Some("No such user name and password."));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    // Values outlive a login, so that a visitor keeps the cart. What another user has left in this
    // session is not theirs to keep, and no right outlives the login for which it was granted.
    if session
        .principal()
        .is_some_and(|before| before.as_str() != user)
    {
        session.clear()?;
    }
    session.remove(UNLOCKED)?;
    match credentials.remember {
        Some(_) => session.login_remembered(user)?,
        None => session.login(user)?,
    }
    Ok(Redirect::to("/account").into_response())
}

async fn log_out(session: Session) -> Result<Redirect, Problem> {
    session.destroy()?;
    Ok(Redirect::to("/"))
}

/// Who is logged in, and their session. Everyone else is sent to the start page.
struct User {
    name: Principal,
    session: Session,
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await;
        let session = session.map_err(|error| Problem(error).into_response())?;
        match session.principal() {
            Some(name) => Ok(Self { name, session }),
            None => Err(Redirect::to("/").into_response()),
        }
    }
}

async fn account(user: User) -> Result<Html<String>, Problem> {
    let nickname = user.session.get(NICKNAME)?;
    Ok(page::account(user.name.as_str(), nickname.as_deref()))
}

#[derive(Deserialize)]
struct Rename {
    #[serde(default)]
    nickname: String,
}

/// Replaces a value after reading it. If another tab has renamed in between, this one gets a 409, since
/// whoever sits before it decided on the strength of a name that is no longer there.
async fn rename(user: User, Form(form): Form<Rename>) -> Result<Redirect, Problem> {
    let before = user.session.get(NICKNAME)?;
    let nickname = form.nickname.trim().to_owned();
    if before.as_ref() != Some(&nickname) {
        user.session.insert(NICKNAME, nickname)?;
    }
    Ok(Redirect::to("/account"))
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
}

/// Lets a logged-in user do more than before.
async fn unlock(user: User, Form(form): Form<Code>) -> Result<Response, Problem> {
    if !users::is_second_factor(user.name.as_str(), &form.code) {
        let page = page::unlock(Some("That is not the code."));
        return Ok((StatusCode::FORBIDDEN, page).into_response());
    }
    user.session.insert(UNLOCKED, true)?;
    // More rights, another secret: a cookie that was seen before does not share in them.
    user.session.rotate()?;
    Ok(Redirect::to("/admin").into_response())
}

async fn admin(user: User) -> Result<Response, Problem> {
    if user.session.get(UNLOCKED)? == Some(true) {
        return Ok(page::admin(user.name.as_str()).into_response());
    }
    Ok((StatusCode::FORBIDDEN, page::unlock(None)).into_response())
}

/// What went wrong with the session in a handler, as a page.
struct Problem(SessionError);

impl<E: Into<SessionError>> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Its own response has no body, but making it reports mistakes in the program.
        explain(self.0.into_response().status().as_u16())
    }
}

/// The page for a session's status: 409, 503 or 500.
fn explain(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match status {
        StatusCode::CONFLICT => {
            "Something changed while you were at it, in another tab perhaps. Nothing was saved. \
             Please look again."
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            "We cannot reach your session right now. Please try again."
        }
        _ => "This is our mistake.",
    };
    (status, page::notice(text)).into_response()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let app = app(sessions()?);
    let listener = TcpListener::bind("127.0.0.1:3001").await?;
    announce(&listener)?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // If the signal cannot be waited for, the server stops, which shows it.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

fn sessions() -> Result<SessionManager, Box<dyn Error>> {
    // Over plain HTTP browsers drop `Secure` cookies. In production take the default.
    let cookie = CookieConfig::builder()
        .danger_insecure_for_localhost()
        .build()?;
    let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate()?);
    Ok(sessions.cookie(cookie).build()?)
}

#[expect(clippy::print_stdout, reason = "what to open in the browser")]
fn announce(listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on http://{}", listener.local_addr()?);
    Ok(())
}
