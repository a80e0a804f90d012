//! Own writes, which the server reports as it does everybody's: none is passed on, whatever becomes of it,
//! and none hides what others do or what the server forgets.

use std::time::Duration;

use tenure_core::{
    Clock, Commit, Create, Delete, Record, Renewal, SessionStore, SystemClock, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::records;
use tokio::time::timeout;

use crate::{
    feed::Pair,
    support::{holds, key, live, send},
};

#[tokio::test]
async fn an_own_write_is_not_reported_and_keeps_the_session_tracked() {
    let pair = Pair::start().await;
    let store = &pair.here.store;
    let record = live(store).await;
    let next = records::successor(&record);
    let committed = store.commit(record.version(), next.clone()).await;
    assert_eq!(committed.unwrap(), Commit::Stored);
    let later = next.lease_end().after(Duration::from_secs(1));
    assert!(
        store
            .renew(record.id(), Whose::Login(record.login().stamp), later)
            .await
            .is_ok()
    );
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
                let renewal = store
                    .renew(
                        old.id(),
                        Whose::Login(old.login().stamp),
                        current.lease_end(),
                    )
                    .await;
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
                assert!(
                    store
                        .renew(record.id(), Whose::Login(record.login().stamp), later)
                        .await
                        .is_ok()
                );
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
