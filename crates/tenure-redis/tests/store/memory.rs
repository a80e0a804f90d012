//! A server at its memory limit, and servers that throw sessions away instead.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tenure_core::{Commit, Freshness, Load, Renewal, SessionStore, StoreErrorKind, Whose};
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};
use tracing::subscriber::DefaultGuard;

use crate::support::{holds, kill_connections, lacks, live, send};

#[tokio::test]
async fn a_full_server_takes_no_new_data_but_still_reads_renews_and_deletes() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let record = live(&store).await;
    let committed = records::successor(&record);
    let outcome = store.commit(record.version(), committed.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    send(&server, "CONFIG SET maxmemory 1");

    let new = records::fresh(record.created_at());
    let error = store.create(new.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}");
    let next = records::successor(&committed);
    let error = store.commit(committed.version(), next).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Full, "{error:?}");
    holds(&store, &committed).await;

    let later = record.lease_end().after(Duration::from_secs(60));
    let outcome = store
        .renew(record.id(), Whose::Login(record.login().stamp), later)
        .await;
    assert_eq!(outcome.unwrap(), Renewal::Renewed(committed.version()));
    let found = store.load(record.id(), Freshness::Latest).await;
    let Load::Found(renewed) = found.unwrap() else {
        panic!("the session has ended");
    };
    assert_eq!(renewed.lease_end(), later);

    // What needs no room is answered as ever: retries, conflicts, sessions that are gone.
    let outcome = store.commit(record.version(), committed.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    let outcome = store
        .commit(record.version(), records::successor(&record))
        .await;
    assert_eq!(outcome.unwrap(), Commit::Conflict(renewed));
    let outcome = store.commit(new.version(), records::successor(&new)).await;
    assert_eq!(outcome.unwrap(), Commit::Gone);

    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
    lacks(&store, &record).await;
    send(&server, "CONFIG SET maxmemory 0");
    live(&store).await;
}

#[tokio::test]
async fn a_policy_that_evicts_sessions_is_warned_of_at_each_connection() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let (log, _guard) = capture();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let record = live(&store).await;
    holds(&store, &record).await;
    assert_eq!(log.warnings_of("noeviction"), 1);
    kill_connections(&server);
    holds(&store, &record).await;
    holds(&store, &record).await;
    assert_eq!(log.warnings_of("noeviction"), 2);
}

#[tokio::test]
async fn a_server_that_evicts_nothing_is_not_warned_of() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let (log, _guard) = capture();
    let store = RedisStore::connect(server.url()).await.unwrap();
    live(&store).await;
    assert_eq!(log.warnings_of(""), 0);
}

/// Everything that is logged on this thread until the guard is dropped. The tests above run on a
/// single thread, tasks included.
fn capture() -> (Log, DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn warnings_of(&self, text: &str) -> usize {
        let bytes = self.0.lock().unwrap();
        let lines = std::str::from_utf8(&bytes).unwrap().lines();
        lines
            .filter(|line| line.contains(" WARN ") && line.contains(text))
            .count()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
