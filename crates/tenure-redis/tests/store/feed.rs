//! What Redis tells a cache, and the premises that the cache builds on: a version of Redis that behaves
//! otherwise is to be noticed here.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Create, Delete, Fed, FeedListener, Freshness, Load, Record, Renewal, SessionId,
    SessionStore, StoreErrorKind, SystemClock, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{FaultProxy, RedisServer, Traffic, records};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{holds, key, live, send};

/// Writes down what it is told; `None` stands for a loss.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Option<SessionId>>>);

impl FeedListener for Notes {
    fn changed(&self, id: SessionId) {
        self.0.lock().push(Some(id));
    }

    fn lost(&self) {
        self.0.lock().push(None);
    }
}

impl Notes {
    fn take(&self) -> Vec<Option<SessionId>> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// A node that listens, and another one.
struct Pair {
    server: RedisServer,
    here: Fed<RedisStore>,
    notes: Arc<Notes>,
    there: RedisStore,
}

impl Pair {
    async fn start() -> Self {
        Self::start_with(&[]).await
    }

    async fn start_with(arguments: &[&str]) -> Self {
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
    async fn reported(&self) -> Vec<Option<SessionId>> {
        self.here.feed.prove().await.unwrap();
        self.notes.take()
    }

    async fn changed_there(&self, base: &Record) -> Record {
        changed(&self.there, base).await
    }

    async fn changed_here(&self, base: &Record) -> Record {
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
    fed.feed.prove().await.unwrap();
    assert_eq!(notes.take(), [None], "a new connection knows nothing");
    (fed, notes)
}

#[tokio::test]
async fn an_own_write_is_not_reported_and_keeps_the_session_tracked() {
    let pair = Pair::start().await;
    let store = &pair.here.store;
    let record = live(store).await;
    let next = records::successor(&record);
    let committed = store.commit(record.version(), next.clone()).await;
    assert_eq!(committed.unwrap(), Commit::Stored);
    let later = next.lease_end().after(Duration::from_secs(1));
    assert!(store.renew(record.id(), later).await.is_ok());
    assert_eq!(pair.reported().await, []);

    // Each of the three kept the key tracked: a foreign change after it is reported.
    let changed = pair.changed_there(&next.with_lease_end(later)).await;
    assert_eq!(
        pair.reported().await,
        [Some(record.id())],
        "after a renewal"
    );
    let next = records::successor(&changed);
    assert!(store.commit(changed.version(), next.clone()).await.is_ok());
    pair.changed_there(&next).await;
    assert_eq!(pair.reported().await, [Some(record.id())], "after a commit");
    let record = live(store).await;
    pair.changed_there(&record).await;
    assert_eq!(
        pair.reported().await,
        [Some(record.id())],
        "after a creation"
    );

    assert!(
        store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .is_ok()
    );
    assert_eq!(pair.reported().await, [], "a deletion");
}

/// A push that is waited for in vain would pass the next foreign one off as an own one.
#[tokio::test]
async fn an_own_write_that_changes_nothing_hides_no_change_by_others() {
    let pair = Pair::start().await;
    let store = &pair.here.store;
    for attempt in Attempt::ALL {
        let record = live(&pair.there).await;
        let current = pair.changed_there(&record).await;
        holds(store, &current).await;
        attempt.make(store, &record, &current).await;
        let next = pair.changed_there(&current).await;
        assert_eq!(pair.reported().await, [Some(record.id())], "{attempt:?}");
        holds(store, &next).await;
        assert_eq!(pair.reported().await, []);
    }
    // Nor does it bring a report of itself.
    for attempt in Attempt::ALL {
        let record = live(&pair.there).await;
        let current = pair.changed_there(&record).await;
        holds(store, &current).await;
        attempt.make(store, &record, &current).await;
        assert_eq!(pair.reported().await, [], "{attempt:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Attempt {
    Creation,
    Commit,
    RepeatedCommit,
    Renewal,
    CommitOfAnotherThatIsGone,
    DeletionOfAnotherThatIsGone,
    DeletionOfALaterLogin,
}

impl Attempt {
    const ALL: [Self; 7] = [
        Self::Creation,
        Self::Commit,
        Self::RepeatedCommit,
        Self::Renewal,
        Self::CommitOfAnotherThatIsGone,
        Self::DeletionOfAnotherThatIsGone,
        Self::DeletionOfALaterLogin,
    ];

    async fn make(self, store: &RedisStore, old: &Record, current: &Record) {
        match self {
            Self::Creation => {
                let taken = store.create(records::successor(current)).await;
                assert_eq!(taken.unwrap(), Create::Exists);
            }
            Self::Commit => {
                let outcome = store.commit(old.version(), records::successor(old)).await;
                assert_eq!(outcome.unwrap(), Commit::Conflict(current.clone()));
            }
            Self::RepeatedCommit => {
                let outcome = store.commit(old.version(), current.clone()).await;
                assert_eq!(outcome.unwrap(), Commit::Stored);
            }
            Self::Renewal => {
                let renewal = store.renew(old.id(), current.lease_end()).await;
                assert_eq!(renewal.unwrap(), Renewal::Renewed(current.version()));
            }
            Self::CommitOfAnotherThatIsGone => {
                let gone = records::fresh(SystemClock.now());
                let outcome = store
                    .commit(gone.version(), records::successor(&gone))
                    .await;
                assert_eq!(outcome.unwrap(), Commit::Gone);
            }
            Self::DeletionOfAnotherThatIsGone => {
                let outcome = store.delete(records::random_id(), whose(old)).await;
                assert_eq!(outcome.unwrap(), Delete::Absent);
            }
            Self::DeletionOfALaterLogin => {
                let other = records::fresh(SystemClock.now());
                let outcome = store.delete(old.id(), whose(&other)).await;
                assert_eq!(outcome.unwrap(), Delete::Superseded);
            }
        }
    }
}

fn whose(record: &Record) -> Whose {
    Whose::Login(record.login().stamp)
}

#[tokio::test]
async fn an_own_write_whose_caller_has_left_is_reported() {
    let pair = Pair::start().await;
    let store = &pair.here.store;
    // The server is to know the script, so that sending the commit is all there is to do.
    let record = pair.changed_here(&live(store).await).await;
    assert_eq!(pair.reported().await, []);
    pair.server.stop();
    let next = records::successor(&record);
    let commit = store.commit(record.version(), next.clone());
    assert!(timeout(Duration::from_millis(20), commit).await.is_err());
    pair.server.cont();
    assert_eq!(pair.reported().await, [Some(record.id())]);
    // And it leaves nothing behind that would hide the next change.
    holds(store, &next).await;
    pair.changed_there(&next).await;
    assert_eq!(pair.reported().await, [Some(record.id())]);
}

/// With `NOLOOP` the server said nothing of what it forgot because of a command of this connection.
#[tokio::test]
async fn what_a_full_table_of_tracked_keys_forgets_is_reported() {
    let pair = Pair::start_with(&["--tracking-table-max-keys", "100"]).await;
    let mut sessions = Vec::new();
    for _ in 0..500 {
        sessions.push(live(&pair.there).await);
    }
    for record in &sessions {
        holds(&pair.here.store, record).await;
    }
    let forgotten = pair.reported().await.len();
    assert!(forgotten >= 400, "{forgotten}");
    assert_all_told(&pair, &sessions, forgotten).await;
}

#[tokio::test]
async fn what_a_full_table_forgets_because_of_own_writes_is_reported() {
    let pair = Pair::start_with(&["--tracking-table-max-keys", "100"]).await;
    let store = &pair.here.store;
    let mut sessions = Vec::new();
    for round in 0..500 {
        sessions.push(match round % 3 {
            0 => live(store).await,
            1 => pair.changed_here(&live(&pair.there).await).await,
            _ => {
                let record = live(&pair.there).await;
                let later = record.lease_end().after(Duration::from_secs(1));
                assert!(store.renew(record.id(), later).await.is_ok());
                record.with_lease_end(later)
            }
        });
    }
    let forgotten = pair.reported().await.len();
    assert!((400..=500).contains(&forgotten), "{forgotten}");
    assert_all_told(&pair, &sessions, forgotten).await;
}

/// Another node changes all of the sessions: together with what was reported before, that makes one
/// report for each.
async fn assert_all_told(pair: &Pair, sessions: &[Record], before: usize) {
    for record in sessions {
        pair.changed_there(record).await;
    }
    let told = pair.reported().await;
    assert_eq!(before + told.len(), sessions.len());
}

#[tokio::test]
async fn what_is_evicted_because_of_own_writes_is_reported() {
    let policy = ["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-random"];
    let pair = Pair::start_with(&policy).await;
    let store = &pair.here.store;
    let mut sessions = Vec::new();
    for _ in 0..500 {
        let record = records::padded(&records::fresh(SystemClock.now()), 8 << 10);
        assert_eq!(store.create(record.clone()).await.unwrap(), Create::Created);
        sessions.push(record);
    }
    let is_gone = |record: &&Record| send(&pair.server, &format!("EXISTS {}", key(record))) == "0";
    let gone: Vec<_> = sessions.iter().filter(is_gone).collect();
    assert!(gone.len() >= 100, "{} evicted", gone.len());
    let reported = pair.reported().await;
    for record in gone {
        assert!(reported.contains(&Some(record.id())));
    }
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
            assert!(here.feed.prove().await.is_err(), "{traffic:?}");
        }
        assert!(begun.elapsed() < Duration::from_millis(2500));
        proxy.set(Traffic::Pass);
        here.feed.prove().await.unwrap();
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
    let error = fed.feed.prove().await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    let record = live(&fed.store).await;
    holds(&fed.store, &record).await;
}
