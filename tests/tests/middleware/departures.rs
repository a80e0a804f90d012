//! Clients that go away in the middle of a request.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use tenure_axum::{MemoryStore, Session, SessionError, SessionLayer};
use tenure_testing::{Moment, SlowStore, Verb};
use tenure_tests::Browser;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::timeout,
};

use crate::app::{count, manager};

/// Says when its handler runs, and when it was dropped.
#[derive(Default)]
struct Signals {
    begun: Notify,
    dropped: Notify,
}

struct Dropped(Arc<Signals>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.notify_one();
    }
}

/// Changes the session and waits for ever.
async fn hang(State(signals): State<Arc<Signals>>, session: Session) -> Result<(), SessionError> {
    let _dropped = Dropped(Arc::clone(&signals));
    session.insert("visits", 100_u64)?;
    signals.begun.notify_one();
    std::future::pending().await
}

async fn read(session: Session) -> Result<String, SessionError> {
    let visits = session.get::<u64>("visits")?;
    Ok(visits.unwrap_or_default().to_string())
}

async fn serve(store: SlowStore<MemoryStore>, signals: Arc<Signals>) -> SocketAddr {
    let app = Router::new()
        .route("/", get(count))
        .route("/hang", get(hang))
        .route("/read", get(read))
        .with_state(signals)
        .layer(SessionLayer::new(manager(store)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Sends a request on a connection of its own.
async fn begin(address: SocketAddr, path: &str, browser: &Browser) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let cookie = browser.cookie().unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\ncookie: session={cookie}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_during_the_handler_leaves_nothing_behind() {
    let (store, signals) = (SlowStore::new(MemoryStore::new()), Arc::default());
    let address = serve(store, Arc::clone(&signals)).await;
    let mut browser = Browser::new();
    browser.get(address, "/").await.ok();
    for _ in 0..20 {
        let stream = begin(address, "/hang", &browser).await;
        signals.begun.notified().await;
        drop(stream);
        timeout(LIMIT, signals.dropped.notified()).await.unwrap();
    }
    assert_eq!(browser.get(address, "/read").await.number(), 1);
}

/// The commit is under way when the client leaves: it happens entirely or not at all, never twice, and the
/// next request, which has the cookie from before, goes on from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_during_the_commit_is_committed_once_or_not_at_all() {
    let (store, signals) = (SlowStore::new(MemoryStore::new()), Arc::default());
    let address = serve(store.clone(), signals).await;
    let mut browser = Browser::new();
    browser.get(address, "/").await.ok();
    let mut visits = 1;
    for moment in [Moment::BeforeCall, Moment::AfterCall] {
        let gate = store.hold(Verb::Commit, moment);
        let stream = begin(address, "/", &browser).await;
        gate.arrivals(1).await;
        drop(stream);
        gate.open();
        // Its own page may still show the number from before: it is a preview.
        browser.get(address, "/").await.ok();
        let before = std::mem::replace(&mut visits, browser.get(address, "/read").await.number());
        // What has not reached the store may be dropped with its request; what has, is there.
        let both = visits == before + 2;
        let only_ours = visits == before + 1 && moment == Moment::BeforeCall;
        assert!(both || only_ours, "{moment:?}: {before} became {visits}");
    }
}

const LIMIT: Duration = Duration::from_secs(10);
