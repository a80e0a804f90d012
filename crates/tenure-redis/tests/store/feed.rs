//! What Redis tells a cache, and the premises that the cache builds on: a version of Redis that behaves
//! otherwise is to be noticed here.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Fed, FeedListener, Freshness, Load, Part, Record, SessionId, SessionStore,
    StoreErrorKind, SystemClock, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{FaultProxy, RedisServer, Traffic, records};
use tokio::time::{Instant, sleep};

use crate::support::{holds, key, live, send};

/// Writes down what it is told; `None` stands for a loss.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Option<SessionId>>>);

impl FeedListener for Notes {
    fn changed(&self, id: SessionId) {
        self.0.lock().push(Some(id));
    }

    fn lost(&self, _: Part) {
        self.0.lock().push(None);
    }
}

impl Notes {
    fn take(&self) -> Vec<Option<SessionId>> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A node that listens, and another one.
pub(crate) struct Pair {
    pub(crate) server: RedisServer,
    pub(crate) here: Fed<RedisStore>,
    notes: Arc<Notes>,
    pub(crate) there: RedisStore,
}

impl Pair {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let server = RedisServer::start_with(arguments);
        let there = RedisStore::connect(server.url()).await.unwrap();
        let (here, notes) = listening(&there).await;
        Self {
            server,
            here,
            notes,
            there,
        }
    }

    /// What was reported of changes until now: proven, not waited for.
    pub(crate) async fn reported(&self) -> Vec<Option<SessionId>> {
        self.here.feed.prove(Part::ONLY).await.unwrap();
        self.notes.take()
    }

    pub(crate) async fn changed_there(&self, base: &Record) -> Record {
        changed(&self.there, base).await
    }

    pub(crate) async fn changed_here(&self, base: &Record) -> Record {
        changed(&self.here.store, base).await
    }
}

async fn changed(store: &RedisStore, base: &Record) -> Record {
    let next = records::successor(base);
    let outcome = store.commit(base.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    next
}

async fn listening(store: &RedisStore) -> (Fed<RedisStore>, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let fed = store.feed(Arc::clone(&notes) as _).unwrap();
    fed.feed.prove(Part::ONLY).await.unwrap();
    assert_eq!(notes.take(), [None], "a new connection knows nothing");
    (fed, notes)
}

#[tokio::test]
async fn what_was_read_is_reported_once_when_another_node_changes_it() {
    let pair = Pair::start().await;
    let record = live(&pair.there).await;
    let unread = live(&pair.there).await;
    holds(&pair.here.store, &record).await;
    let next = pair.changed_there(&record).await;
    pair.changed_there(&next).await;
    pair.changed_there(&unread).await;
    // Nobody is told again before reading again, nor of what was never read.
    assert_eq!(pair.reported().await, [Some(record.id())]);
}

#[tokio::test]
async fn every_kind_of_change_is_reported() {
    let pair = Pair::start().await;
    let changes: [(&str, &[&str]); 5] = [
        ("a deletion", &["DEL", "KEY"]),
        ("an expiry", &["PEXPIRE", "KEY", "-1"]),
        ("a shorter life", &["PEXPIRE", "KEY", "100000"]),
        ("a piece", &["SETRANGE", "KEY", "0", "x"]),
        ("a replacement", &["SET", "KEY", "x"]),
    ];
    for (what, command) in changes {
        let record = live(&pair.there).await;
        holds(&pair.here.store, &record).await;
        let key = key(&record);
        let command: Vec<_> = command
            .iter()
            .map(|word| if *word == "KEY" { &*key } else { word })
            .collect();
        pair.server.command(&command);
        assert_eq!(pair.reported().await, [Some(record.id())], "{what}");
    }
    let record = live(&pair.there).await;
    holds(&pair.here.store, &record).await;
    assert!(
        pair.there
            .renew(
                record.id(),
                Whose::Login(record.login().stamp),
                record.lease_end().after(Duration::from_secs(1))
            )
            .await
            .is_ok()
    );
    // `PEXPIRE` and `SETRANGE` count as one change each.
    let reported = pair.reported().await;
    assert!(
        reported.iter().all(|id| *id == Some(record.id())),
        "{reported:?}"
    );
    assert!(!reported.is_empty(), "a renewal");
}

#[tokio::test]
async fn an_absent_session_is_reported_when_it_comes_into_being() {
    let pair = Pair::start().await;
    let record = records::fresh(SystemClock.now());
    let absent = pair.here.store.load(record.id(), Freshness::Latest).await;
    assert_eq!(absent.unwrap(), Load::Absent);
    assert!(pair.there.create(record.clone()).await.is_ok());
    assert_eq!(pair.reported().await, [Some(record.id())]);
}

/// The proof itself: without waiting for anything else, the report of a change is there when a proof
/// that was asked for after it has arrived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_comes_behind_the_reports_of_all_earlier_changes() {
    let pair = Pair::start().await;
    let mut record = live(&pair.there).await;
    for round in 0..1000 {
        holds(&pair.here.store, &record).await;
        record = pair.changed_there(&record).await;
        assert_eq!(pair.reported().await, [Some(record.id())], "round {round}");
    }
}

#[tokio::test]
async fn emptying_the_database_is_a_loss() {
    let pair = Pair::start().await;
    for command in ["FLUSHALL", "FLUSHDB"] {
        holds(&pair.here.store, &live(&pair.there).await).await;
        send(&pair.server, command);
        assert_eq!(pair.reported().await, [None], "{command}");
    }
}

/// As after a failover that left the connection open: reads go on there, and so do reports.
#[tokio::test]
async fn a_primary_that_has_become_a_replica_reports_what_it_receives() {
    let pair = Pair::start().await;
    let old = live(&pair.there).await;
    holds(&pair.here.store, &old).await;
    let primary = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let elsewhere = RedisStore::connect(primary.url()).await.unwrap();
    let record = live(&elsewhere).await;
    send(
        &pair.server,
        &format!("REPLICAOF 127.0.0.1 {}", primary.port()),
    );
    while pair
        .here
        .store
        .load(record.id(), Freshness::Latest)
        .await
        .ok()
        != Some(Load::Found(record.clone()))
    {
        sleep(Duration::from_millis(5)).await;
    }
    let reported = pair.reported().await;
    assert!(reported.contains(&None), "all that it held is replaced");
    let changed = changed(&elsewhere, &record).await;
    send(&primary, "SET behind-it yes");
    while send(&pair.server, "EXISTS behind-it") != "1" {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(pair.reported().await, [Some(record.id())]);
    holds(&pair.here.store, &changed).await;
}

#[tokio::test]
async fn a_killed_connection_is_a_loss_and_the_next_one_tracks() {
    let pair = Pair::start().await;
    let record = live(&pair.there).await;
    holds(&pair.here.store, &record).await;
    crate::support::kill_connections(&pair.server);
    let reported = pair.reported().await;
    // One for the end of the old connection, one for the beginning of the new one.
    assert!(reported.len() >= 2, "{reported:?}");
    assert!(reported.iter().all(Option::is_none), "{reported:?}");
    holds(&pair.here.store, &record).await;
    pair.changed_there(&record).await;
    assert_eq!(pair.reported().await, [Some(record.id())]);
}

#[tokio::test]
async fn a_silent_connection_proves_nothing_and_a_new_one_does() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = RedisStore::builder(proxy.url()).deadline(Duration::from_millis(500));
    let (here, notes) = listening(&store.connect().await.unwrap()).await;
    for traffic in [Traffic::BlackHole, Traffic::BlackHoleReplies] {
        proxy.set(traffic);
        let begun = Instant::now();
        for _ in 0..3 {
            assert!(here.feed.prove(Part::ONLY).await.is_err(), "{traffic:?}");
        }
        assert!(begun.elapsed() < Duration::from_millis(2500));
        proxy.set(Traffic::Pass);
        here.feed.prove(Part::ONLY).await.unwrap();
        assert!(notes.take().contains(&None), "a new connection");
    }
}

/// Two caches of one process, or a cache and a program that uses the store beside it: each handle with a
/// feed has a connection of its own, so that it is told of the others' writes.
#[tokio::test]
async fn other_handles_of_the_same_process_count_as_others() {
    let pair = Pair::start().await;
    let (second, _) = listening(&pair.here.store).await;
    let record = live(&pair.there).await;
    holds(&pair.here.store, &record).await;
    let next = records::successor(&record);
    assert!(second.store.commit(record.version(), next).await.is_ok());
    assert_eq!(pair.reported().await, [Some(record.id())]);
}

#[tokio::test]
async fn a_server_that_forbids_tracking_serves_and_proves_nothing() {
    let server = RedisServer::start();
    let acl = "ACL SETUSER app on >secret ~tenure:* +@all -client|tracking";
    assert_eq!(send(&server, acl), "OK");
    let url = format!("redis://app:secret@{}", server.address());
    let store = RedisStore::connect(url).await.unwrap();
    let fed = store.feed(Arc::new(Notes::default())).unwrap();
    let error = fed.feed.prove(Part::ONLY).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    let record = live(&fed.store).await;
    holds(&fed.store, &record).await;
}
