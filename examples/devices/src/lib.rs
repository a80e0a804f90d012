//! "My devices": where a user is logged in, and how to end it there, on axum.
//!
//! ```console
//! $ cargo run -p devices
//! listening on http://127.0.0.1:3003
//! ```
//!
//! Open that address in two browsers, log in to both as `ada`, and end one from the other.
//!
//! # What to look for
//!
//! - The session manager is given a [login index](tenure_axum::SessionManagerBuilder::login_index); the list is
//!   [`logins_of`](tenure_axum::LoginIndex::logins_of).
//! - A login takes a [fence](tenure_axum::LoginIndex::fence) before the password is looked at: whoever knows only
//!   the old password is not logged in by it, however slow their request is.
//! - Ending one login or all others asks for the password once more (OWASP ASVS 7.5.2). It has happened when the page
//!   is there again.
//! - At most three devices at a time: a fourth login ends the oldest one.
//! - What the list shows of browsers is their own word, and is escaped.

mod page;

use axum::{
    Form, Router,
    extract::State,
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use tenure_axum::{
    ClientInfo, CookieConfig, KeyRing, LoginName, LoginOptions, MemoryStore, OnLimit, Principal,
    Session, SessionError, SessionLayer, SessionManager,
};
use tower_http::csrf::CsrfLayer;

/// The app's routes.
pub fn app(sessions: SessionManager) -> Router {
    let layer =
        SessionLayer::new(sessions.clone()).on_refusal(|refusal| explain(refusal).into_response());
    Router::new()
        .route("/", get(home))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/end", post(end))
        .route("/end-others", post(end_others))
        .layer(layer)
        .layer(CsrfLayer::new())
        .with_state(sessions)
}

/// The app's session manager.
///
/// # Errors
///
/// Settings that contradict each other, or a random generator that fails.
pub fn sessions() -> Result<SessionManager, Box<dyn std::error::Error>> {
    let store = MemoryStore::new();
    // Over plain HTTP browsers drop `Secure` cookies. In production take the default.
    let cookie = CookieConfig::builder()
        .danger_insecure_for_localhost()
        .build()?;
    let sessions = SessionManager::builder(store.clone(), KeyRing::generate()?)
        .cookie(cookie)
        .login_index(store)
        .max_sessions(3, OnLimit::EndOldest)
        .client_info(ClientInfo::UserAgent)
        .build()?;
    Ok(sessions)
}

async fn home(
    State(sessions): State<SessionManager>,
    session: Session,
) -> Result<Html<String>, Problem> {
    show(&sessions, &session, None).await
}

/// The list, or the login form for those whom nobody knows.
async fn show(
    sessions: &SessionManager,
    session: &Session,
    mistake: Option<&str>,
) -> Result<Html<String>, Problem> {
    let Some(user) = session.principal() else {
        return Ok(page::login(mistake));
    };
    let (mut devices, mut after) = (Vec::new(), None);
    loop {
        let page = sessions.index().logins_of(&user, after).await?;
        devices.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(page::devices(
        user.as_str(),
        session.id(),
        &devices,
        mistake,
    ))
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
}

async fn log_in(
    State(sessions): State<SessionManager>,
    session: Session,
    Form(form): Form<Credentials>,
) -> Result<Response, Problem> {
    if !is_a_name(&form.user) {
        return Ok(wrong(page::login(Some("No such user name and password."))));
    }
    let fence = sessions.index().fence(&form.user).await?;
    if !is_right(&form.user, &form.password) {
        return Ok(wrong(page::login(Some("No such user name and password."))));
    }
    session.login_with(&form.user, LoginOptions::new().fence(fence))?;
    Ok(Redirect::to("/").into_response())
}

async fn log_out(session: Session) -> Result<Redirect, Problem> {
    session.destroy()?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct End {
    login: String,
    #[serde(default)]
    password: String,
}

async fn end(
    State(sessions): State<SessionManager>,
    session: Session,
    Form(form): Form<End>,
) -> Result<Response, Problem> {
    let Some(user) = session.principal() else {
        return Ok(Redirect::to("/").into_response());
    };
    if !is_right(user.as_str(), &form.password) {
        let page = show(&sessions, &session, Some("That is not the password.")).await?;
        return Ok(wrong(page));
    }
    // A name that is none, or that of somebody else's login, ends nothing.
    if let Ok(login) = form.login.parse::<LoginName>() {
        sessions.index().end(&user, login).await?;
    }
    Ok(Redirect::to("/").into_response())
}

#[derive(Deserialize)]
struct Password {
    #[serde(default)]
    password: String,
}

async fn end_others(
    State(sessions): State<SessionManager>,
    session: Session,
    Form(form): Form<Password>,
) -> Result<Response, Problem> {
    let Some(user) = session.principal() else {
        return Ok(Redirect::to("/").into_response());
    };
    if !is_right(user.as_str(), &form.password) {
        let page = show(&sessions, &session, Some("That is not the password.")).await?;
        return Ok(wrong(page));
    }
    session.end_others().await?;
    Ok(Redirect::to("/").into_response())
}

/// A stand-in for a user table. A real one keeps a slow, salted hash of each password.
fn is_right(user: &str, password: &str) -> bool {
    matches!(
        (user, password),
        ("ada", "analytical-engine") | ("grace", "nanoseconds")
    )
}

/// Whether there can be such a user: what is entered may be anything.
fn is_a_name(user: &str) -> bool {
    Principal::new(user).is_ok()
}

fn wrong(page: Html<String>) -> Response {
    (StatusCode::UNAUTHORIZED, page).into_response()
}

/// What went wrong with the session in a handler, as a page.
struct Problem(SessionError);

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        Self(error)
    }
}

impl From<tenure_axum::Refusal> for Problem {
    fn from(error: tenure_axum::Refusal) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.0.into_response().status();
        (
            status,
            page::notice("That did not work. Please look again."),
        )
            .into_response()
    }
}

/// The page for changes that could not be committed.
fn explain(refusal: &tenure_axum::Refusal) -> impl IntoResponse + use<> {
    let status =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = match refusal {
        tenure_axum::Refusal::LoginRefused(refusal) => format!("You are not logged in: {refusal}."),
        _ => "Nothing was saved. Please look again.".to_owned(),
    };
    (status, page::notice(&text))
}
