//! Deletions that a replica has to confirm.

use std::time::Duration;

use tenure_core::{SessionStore, StoreErrorKind, Whose};
use tenure_redis::RedisStore;
use tenure_testing::RedisServer;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{key, kill_connections, lacks, live, send};

#[tokio::test]
async fn a_confirmed_deletion_has_reached_the_replica() {
    let (primary, replica) = pair().await;
    let store = confirming(&primary).await;
    for _ in 0..20 {
        let record = live(&store).await;
        let _ = store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .unwrap();
        assert_eq!(send(&replica, &format!("EXISTS {}", key(&record))), "0");
        lacks(&store, &record).await;
    }
}

#[tokio::test]
async fn a_deletion_that_no_replica_confirms_says_so_however_often_it_is_tried() {
    let (primary, replica) = pair().await;
    let store = confirming(&primary).await;
    let record = live(&store).await;
    replica.stop();
    // The second finds nothing to delete. `WAIT` would have nothing to wait for, and confirm what
    // the replica has never heard of.
    for attempt in 0..2 {
        let begun = Instant::now();
        let error = store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .unwrap_err();
        assert_eq!(
            error.kind(),
            StoreErrorKind::NotReplicated,
            "{attempt}: {error:?}"
        );
        assert!(error.outcome_unknown());
        assert!(begun.elapsed() < Duration::from_millis(1300));
        lacks(&store, &record).await;
    }
    replica.cont();
    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
    assert_eq!(send(&replica, &format!("EXISTS {}", key(&record))), "0");
}

#[tokio::test]
async fn without_a_replica_a_deletion_that_needs_one_is_not_confirmed() {
    let primary = RedisServer::start();
    let store = confirming(&primary).await;
    let record = live(&store).await;
    let error = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotReplicated, "{error:?}");
    lacks(&store, &record).await;
}

/// Back in the pool, such a connection would make its next user wait as well.
#[tokio::test]
async fn a_dropped_deletion_leaves_no_connection_behind_that_still_waits() {
    let (primary, replica) = pair().await;
    let store = confirming(&primary).await;
    let record = live(&store).await;
    replica.stop();
    for _ in 0..5 {
        let delete = store.delete(record.id(), Whose::Login(record.login().stamp));
        assert!(timeout(Duration::from_millis(50), delete).await.is_err());
    }
    let waiting = || {
        let clients = send(&primary, "INFO clients");
        !clients.contains("blocked_clients:0\r\n")
    };
    let dropped = Instant::now();
    while waiting() {
        assert!(dropped.elapsed() < Duration::from_millis(500));
        sleep(Duration::from_millis(5)).await;
    }
    replica.cont();
    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_full_primary_still_deletes_with_confirmation() {
    let (primary, _replica) = pair().await;
    let store = confirming(&primary).await;
    let record = live(&store).await;
    send(&primary, "CONFIG SET maxmemory 1");
    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
    lacks(&store, &record).await;
}

#[tokio::test]
async fn confirming_connections_that_broke_are_made_anew() {
    let (primary, _replica) = pair().await;
    let store = confirming(&primary).await;
    for _ in 0..10 {
        let record = live(&store).await;
        let _ = store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .unwrap();
        assert!(kill_connections(&primary) > 0);
        // A creation would be interrupted if it were the first to find out.
        lacks(&store, &record).await;
    }
    let record = live(&store).await;
    primary.kill();
    sleep(Duration::from_millis(50)).await;
    let error = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
}

pub(crate) async fn confirming(primary: &RedisServer) -> RedisStore {
    let builder = RedisStore::builder(primary.url()).min_replicas(1);
    builder.connect().await.unwrap()
}

pub(crate) async fn pair() -> (RedisServer, RedisServer) {
    let primary = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
    let replica = RedisServer::start();
    send(&replica, &format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    while send(&primary, "WAIT 1 10") != "1" {
        sleep(Duration::from_millis(5)).await;
    }
    // Online is not enough: after a diskless synchronisation the stream begins with the replica's first
    // heartbeat, up to a second later.
    send(&primary, "SET streaming yes");
    while send(&replica, "EXISTS streaming") != "1" {
        sleep(Duration::from_millis(5)).await;
    }
    (primary, replica)
}
