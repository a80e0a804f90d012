//! What is sent, and what lies at the server afterwards.

use std::{collections::BTreeMap, time::Duration};

use tenure_core::{
    Commit, Freshness, Load, Renewal, SessionStore, StoreErrorKind, Timestamp, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};

use crate::support::{holds, key, live, send};

#[tokio::test]
async fn every_verb_is_one_command() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    // The first use of each script sends all of it.
    use_every_verb(&store).await;
    server.reset_command_stats();
    for _ in 0..10 {
        use_every_verb(&store).await;
    }
    let mut stats = server.command_stats();
    stats.remove("config|resetstat");
    let expected = [
        ("del", 10),
        ("evalsha", 40),
        ("get", 10),
        // Within the scripts. Each reads the key after it has written.
        ("exists", 40),
        ("getrange", 40),
        ("pexpire", 10),
        ("set", 20),
        ("setrange", 10),
    ];
    let expected: BTreeMap<_, _> = expected
        .map(|(name, calls)| (name.to_owned(), calls))
        .into();
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_flushed_script_cache_is_filled_again_by_the_next_call() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    use_every_verb(&store).await;
    send(&server, "SCRIPT FLUSH");
    server.reset_command_stats();
    use_every_verb(&store).await;
    use_every_verb(&store).await;
    let stats = server.command_stats();
    assert_eq!(stats["eval"], 4, "one for each script");
    assert_eq!(stats["evalsha"], 8);
}

#[tokio::test]
async fn the_key_is_the_prefix_and_the_id_and_lives_as_long_as_the_lease() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(server.url()).prefix("shop:sessions");
    let store = builder.connect().await.unwrap();
    let record = live(&store).await;
    let time_to_live = || {
        let left = send(
            &server,
            &format!("PTTL shop:sessions:{}", record.id().as_uuid()),
        );
        Duration::from_millis(left.parse().unwrap())
    };
    let is_about = |expected: Duration| {
        let left = time_to_live();
        assert!(
            left <= expected && left + Duration::from_secs(10) > expected,
            "{left:?}"
        );
    };
    let idle = record.lease_end().since(record.created_at());
    is_about(idle);

    let more = Duration::from_secs(600);
    let renewal = store
        .renew(
            record.id(),
            Whose::Login(record.login().stamp),
            record.lease_end().after(more),
        )
        .await
        .unwrap();
    assert_eq!(renewal, Renewal::Renewed(record.version()));
    is_about(idle + more);

    let shorter = record.created_at().after(Duration::from_secs(100));
    let next = records::successor(&record).with_lease_end(shorter);
    assert_eq!(
        store.commit(record.version(), next.clone()).await.unwrap(),
        Commit::Stored
    );
    is_about(Duration::from_secs(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_tasks_that_share_a_store_and_a_session_none_loses_a_commit() {
    let server = RedisServer::start();
    let builder = RedisStore::builder(server.url()).deadline(Duration::from_secs(20));
    let store = builder.connect().await.unwrap();
    let record = live(&store).await;
    let tasks = (0..TASKS).map(|_| {
        let (store, mut base) = (store.clone(), record.clone());
        tokio::spawn(async move {
            for _ in 0..COMMITS {
                loop {
                    let next = records::successor(&base);
                    match store.commit(base.version(), next.clone()).await.unwrap() {
                        Commit::Stored => break base = next,
                        Commit::Overtaken(_) => panic!("it was sent once"),
                        Commit::Conflict(current) => base = current,
                        Commit::Gone => panic!("the session is gone"),
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let Load::Found(found) = store.load(record.id(), Freshness::Latest).await.unwrap() else {
        panic!("the session is gone");
    };
    assert_eq!(found.version().counter(), 1 + TASKS * COMMITS);
}

const TASKS: u64 = 64;
const COMMITS: u64 = 10;

#[tokio::test]
async fn a_key_of_another_type_is_corrupt_and_is_left_alone() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let record = records::fresh(NOW);
    let key = key(&record);
    send(&server, &format!("RPUSH {key} element"));
    let corrupt = StoreErrorKind::Corrupt;
    let outcome = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(outcome.unwrap_err().kind(), corrupt);
    let outcome = store.create(record.clone()).await;
    assert_eq!(outcome.unwrap_err().kind(), corrupt);
    let outcome = store
        .commit(record.version(), records::successor(&record))
        .await;
    assert_eq!(outcome.unwrap_err().kind(), corrupt);
    let outcome = store
        .renew(
            record.id(),
            Whose::Login(record.login().stamp),
            record.absolute_end(),
        )
        .await;
    assert_eq!(outcome.unwrap_err().kind(), corrupt);
    assert_eq!(send(&server, &format!("LLEN {key}")), "1");
}

#[tokio::test]
async fn a_stored_record_above_the_limit_is_not_decoded() {
    let server = RedisServer::start();
    let generous = RedisStore::connect(server.url()).await.unwrap();
    let record = live(&generous).await;
    let next = records::padded(&records::successor(&record), 4096);
    let outcome = generous.commit(record.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);

    let builder = RedisStore::builder(server.url()).max_record_bytes(2048);
    let strict = builder.connect().await.unwrap();
    let outcome = strict.load(record.id(), Freshness::Latest).await;
    assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::TooLarge);
    let outcome = strict
        .commit(record.version(), records::successor(&record))
        .await;
    assert_eq!(
        outcome.unwrap_err().kind(),
        StoreErrorKind::TooLarge,
        "a conflict"
    );
}

#[tokio::test]
async fn missing_rights_are_refusals_and_cost_nothing_else() {
    let server = RedisServer::start();
    // Also without INFO, which is asked at each connection.
    send(
        &server,
        "ACL SETUSER reader on >secret ~tenure:* +get +client +hello",
    );
    let url = server.url().replace("//", "//reader:secret@");
    let store = RedisStore::connect(url).await.unwrap();
    let record = records::fresh(NOW);
    let outcome = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(outcome.unwrap(), Load::Absent);
    let outcome = store.create(record.clone()).await;
    assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Refused);
    let outcome = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await;
    assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Refused);
}

async fn use_every_verb(store: &RedisStore) {
    let record = live(store).await;
    holds(store, &record).await;
    let next = records::successor(&record);
    let outcome = store.commit(record.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    let outcome = store
        .renew(
            record.id(),
            Whose::Login(record.login().stamp),
            record.absolute_end(),
        )
        .await;
    assert_eq!(outcome.unwrap(), Renewal::Renewed(next.version()));
    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
}

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
