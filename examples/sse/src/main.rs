//! Server-sent events: a stream that outlives its response's head, and what it may do with the session.
//!
//! ```console
//! $ cargo run -p sse
//! listening on http://127.0.0.1:3004
//! ```
//!
//! Open that address in two tabs and add something in one of them; the other shows it. Or watch a stream
//! and add from elsewhere:
//!
//! ```console
//! $ curl -c jar -b jar http://127.0.0.1:3004/          # begins nothing: no cookie yet
//! $ curl -c jar -b jar -d '' http://127.0.0.1:3004/add
//! $ curl -N -b jar http://127.0.0.1:3004/events &
//! $ curl -c jar -b jar -d '' http://127.0.0.1:3004/add
//! $ curl -c jar -b jar -d '' http://127.0.0.1:3004/end
//! ```
//!
//! # What to look for
//!
//! - A session is committed before the head of the response leaves, and a stream begins after that. So
//!   the handler can still say 409 or 503, and the cookie comes with the head, before the first event.
//! - The handler of a stream changes the session **before it returns**: [`events`]. If the stream is to
//!   tell what was committed, the handler calls `commit().await` itself.
//! - A change from within the stream is an error that says so: nobody would commit it any more, and no
//!   cookie could tell the browser of it. Nothing is lost silently.
//! - What the stream itself has to change later, it changes in a session that was **detached** from the
//!   response, with a commit of its own each time: [`count`].
//! - What the visitor changes is a request of its own, made by the page ([`add`], [`end`]). It gets a status
//!   and a cookie of its own.
//! - A stream may go on **reading**: what was loaded, for as long as it likes, and with `refresh().await`
//!   what others have committed since. That asks the store each time, so the pace matters, and renews
//!   no lease: a session whose only sign of life is a stream expires.
//! - When the session has ended, `refresh` says so, and the stream should end too.
//!
//! Over HTTP/1.1 browsers open six connections to a host. Each tab's stream is one of them.

mod page;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, error::Error, time::Duration};

use axum::{
    Router,
    http::StatusCode,
    response::{
        Html,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use futures_util::{Stream, StreamExt, stream};
use tenure_axum::{
    CookieConfig, Key, KeyRing, MemoryStore, Refusal, Session, SessionError, SessionLayer,
    SessionManager,
};
use tokio::{
    net::TcpListener,
    time::{Interval, MissedTickBehavior, interval},
};

/// How often something was added.
const ADDED: Key<u64> = Key::new("added");

/// How many streams the session has opened.
const STREAMS: Key<u64> = Key::new("streams");

/// How many streams have begun to tell.
const TOLD: Key<u64> = Key::new("told");

fn app(sessions: SessionManager, pace: Duration) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/events", get(move |session| events(session, pace)))
        .route("/add", post(add))
        .route("/end", post(end))
        .layer(SessionLayer::new(sessions))
}

/// The page, for everyone. Visitors who have no session get none by looking at it.
async fn home(session: Option<Session>) -> Result<Html<String>, SessionError> {
    let added = session.map(|session| session.get(ADDED)).transpose()?;
    Ok(page::home(added.flatten().unwrap_or_default()))
}

async fn add(session: Session) -> Result<StatusCode, SessionError> {
    session.update(ADDED, |added| added.unwrap_or(0) + 1)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn end(session: Session) -> Result<StatusCode, SessionError> {
    session.destroy()?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells what others add to the session, for as long as it lives.
async fn events(
    session: Session,
    pace: Duration,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, SessionError> {
    session.update(STREAMS, |streams| streams.unwrap_or(0) + 1)?;
    // The layer would commit this in a moment anyway. Committed here, the stream can tell what came of
    // it, and a failure is an ordinary response still.
    session.commit().await?;
    let streams = session.get(STREAMS)?.unwrap_or_default();
    let version = session.version().map_or(0, |version| version.counter());
    let opened = format!("stream number {streams}, from version {version} on");

    let first = {
        let session = session.clone();
        // Evaluated by the stream, when the head has left.
        let late = stream::once(async move {
            let became = format!("{}; {}", late(&session), count(&session).await);
            Event::default().event("late").data(became)
        });
        stream::iter([Event::default().event("opened").data(opened)]).chain(late)
    };
    let watch = Watch::new(session, pace);
    let changes = stream::unfold(Some(watch), |watch| async { Some(watch?.next().await) });
    let events = first.chain(changes).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// What becomes of a change that comes when the response has begun.
fn late(session: &Session) -> String {
    match session.update(TOLD, |told| told.unwrap_or(0) + 1) {
        Ok(told) => format!("{told} streams have told something"),
        Err(refusal) => refusal.to_string(),
    }
}

/// The same change where it can be made: behind the response, and committed by the stream itself.
async fn count(session: &Session) -> String {
    let Some(session) = session.detach() else {
        return "there is no session".to_owned();
    };
    let told = session.update(TOLD, |told| told.unwrap_or(0) + 1);
    match (told, session.commit().await) {
        (Ok(told), Ok(())) => format!("{told} streams have told something"),
        (Err(refusal), _) | (_, Err(refusal)) => refusal.to_string(),
    }
}

/// A stream's view of its session.
struct Watch {
    session: Session,
    pace: Interval,
    told: Option<u64>,
}

impl Watch {
    fn new(session: Session, pace: Duration) -> Self {
        let mut pace = interval(pace);
        // A visitor who was slow to read is not told everything at once.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let told = None;
        Self {
            session,
            pace,
            told,
        }
    }

    /// The next event, and the view for those after it; none if it is the last.
    async fn next(mut self) -> (Event, Option<Self>) {
        loop {
            self.pace.tick().await;
            match self.added().await {
                Ok(added) if self.told == Some(added) => {}
                Ok(added) => {
                    self.told = Some(added);
                    let event = Event::default().event("added").data(added.to_string());
                    return (event, Some(self));
                }
                // The store is out of reach; it is asked again.
                Err(refusal) if refusal.status() == 503 => {}
                // The session has ended, or its secret was replaced by a login and this stream is
                // no longer its holder's.
                Err(refusal) => {
                    let event = Event::default().event("ended").data(refusal.to_string());
                    return (event, None);
                }
            }
        }
    }

    /// How much was added, by whomever.
    async fn added(&self) -> Result<u64, Refusal> {
        self.session.refresh().await?;
        Ok(self.session.get(ADDED)?.unwrap_or_default())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let app = app(sessions()?, Duration::from_secs(1));
    let listener = TcpListener::bind("127.0.0.1:3004").await?;
    announce(&listener)?;
    // Without a graceful shutdown, which would wait for streams that never end.
    axum::serve(listener, app).await?;
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
