//! An app in this process that sets each kind of session cookie.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Path,
    response::Html,
    routing::{MethodRouter, get},
};
use tenure_axum::{
    CookieConfig, CookieConfigBuilder, KeyRing, Lifetimes, MemoryStore, SameSite, Session,
    SessionError, SessionLayer, SessionManager,
};
use tenure_core::{Clock, SystemClock};
use tenure_testing::ManualClock;
use tokio::{net::TcpListener, task::JoinSet};

/// A session manager for each [`Kind`].
#[derive(Debug)]
pub(crate) struct App {
    address: SocketAddr,
    clock: ManualClock,
    /// Ends with the app.
    _server: JoinSet<()>,
}

/// Which cookie a part of the app uses, by the name of its folder.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// As the defaults are, but for plain HTTP.
    Ordinary,
    /// With `CookieConfigBuilder::persistent`.
    Persistent,
    /// The same, with a lease of a few seconds and the system's clock.
    Brief,
    /// For pages in frames of other sites.
    Embedded,
    /// The same, with `CookieConfigBuilder::partitioned`.
    Partitioned,
}

impl App {
    pub(crate) async fn start() -> Self {
        let clock = ManualClock::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut router = Router::new().route("/around/{folder}", around(address.port()));
        for kind in Kind::ALL {
            let sessions = SessionLayer::new(kind.manager(&clock));
            router = router.nest(kind.folder(), routes().layer(sessions));
        }
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            clock,
            _server: server,
        }
    }

    /// The address of a page. Browsers take every name below `localhost` for this machine, and for a
    /// site of its own.
    pub(crate) fn url(&self, host: &str, kind: Kind, page: &str) -> String {
        let port = self.address.port();
        format!("http://{host}:{port}{}/{page}", kind.folder())
    }

    /// A page of that site with a frame around the visit counter of `embedded.localhost`.
    pub(crate) fn page_around(&self, host: &str, kind: Kind) -> String {
        format!(
            "http://{host}:{}/around{}",
            self.address.port(),
            kind.folder()
        )
    }

    /// The clock of all session managers and stores but `Brief`'s. It stands still until a test moves it.
    pub(crate) const fn clock(&self) -> &ManualClock {
        &self.clock
    }
}

impl Kind {
    /// The name of its cookie.
    pub(crate) const fn cookie_name(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Persistent => "persistent",
            Self::Brief => "brief",
            Self::Embedded => "__Host-embedded",
            Self::Partitioned => "__Host-partitioned",
        }
    }

    const fn folder(self) -> &'static str {
        match self {
            Self::Ordinary => "/ordinary",
            Self::Persistent => "/persistent",
            Self::Brief => "/brief",
            Self::Embedded => "/embedded",
            Self::Partitioned => "/partitioned",
        }
    }

    fn manager(self, clock: &ManualClock) -> SessionManager {
        let (lifetimes, clock): (_, Arc<dyn Clock>) = match self {
            Self::Brief => (Lifetimes::new(BRIEF, IDLE), Arc::new(SystemClock)),
            _ => (Lifetimes::new(IDLE, ABSOLUTE), Arc::new(clock.clone())),
        };
        let store = MemoryStore::builder().clock(Arc::clone(&clock)).build();
        SessionManager::builder(store, KeyRing::generate().unwrap())
            .cookie(self.cookie().build().unwrap())
            .lifetimes(lifetimes.unwrap())
            .clock(clock)
            .build()
            .unwrap()
    }

    fn cookie(self) -> CookieConfigBuilder {
        let cookie = CookieConfig::builder().name(self.cookie_name());
        match self {
            Self::Ordinary => cookie.danger_insecure_for_localhost(),
            Self::Persistent | Self::Brief => cookie.danger_insecure_for_localhost().persistent(),
            // `Secure` as in production: browsers trust localhost without TLS.
            Self::Embedded => cookie.same_site(SameSite::None),
            Self::Partitioned => cookie.same_site(SameSite::None).partitioned(),
        }
    }

    const ALL: [Self; 5] = [
        Self::Ordinary,
        Self::Persistent,
        Self::Brief,
        Self::Embedded,
        Self::Partitioned,
    ];
}

fn routes() -> Router {
    Router::new()
        .route("/visit", get(visit))
        .route("/read", get(read))
        .route("/login", get(log_in))
        .route("/login-remembered", get(log_in_remembered))
        .route("/logout", get(log_out))
}

async fn visit(session: Session) -> Result<String, SessionError> {
    let visits = session.update("visits", |visits: Option<u64>| visits.unwrap_or(0) + 1)?;
    Ok(format!("visit {visits}"))
}

/// Says who is there, and changes nothing.
async fn read(session: Session) -> String {
    let user = session.principal();
    let user = user.as_ref().map_or("nobody", |user| user.as_str());
    format!("here is {user}")
}

async fn log_in(session: Session) -> Result<(), SessionError> {
    Ok(session.login("ada")?)
}

async fn log_in_remembered(session: Session) -> Result<(), SessionError> {
    Ok(session.login_remembered("ada")?)
}

async fn log_out(session: Session) -> Result<(), SessionError> {
    Ok(session.destroy()?)
}

fn around(port: u16) -> MethodRouter {
    get(move |folder: Path<String>| async move {
        let page = format!("http://embedded.localhost:{port}/{}/visit", *folder);
        Html(format!(
            "<!doctype html><title>around</title><iframe src=\"{page}\"></iframe>"
        ))
    })
}

pub(crate) const IDLE: Duration = Duration::from_secs(60 * 60);
pub(crate) const ABSOLUTE: Duration = Duration::from_secs(90 * 60);
const BRIEF: Duration = Duration::from_secs(3);
