//! A primary that sentinels watch: it is replaced, and does not know it.

use std::{sync::Arc, time::Duration};

use tenure_core::{
    Commit, FeedListener, Freshness, Load, Part, Record, SessionId, SessionStore, StoreErrorKind,
    Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{Program, RedisSentinels, records};
use tokio::time::{Instant, sleep};

use crate::support::{holds, live, send};

#[derive(Debug)]
struct Deaf;

impl FeedListener for Deaf {
    fn changed(&self, _: SessionId) {}
    fn lost(&self, _: Part) {}
}

/// Commits until one is stored.
async fn committed(store: &RedisStore, base: &Record) -> Record {
    let next = records::successor(base);
    loop {
        match store.commit(base.version(), next.clone()).await {
            Ok(outcome) => {
                assert_eq!(outcome, Commit::Stored);
                return next;
            }
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// The scripts that a node has carried out.
fn writes(watched: &RedisSentinels, node: usize) -> u64 {
    let stats = watched.nodes()[node].command_stats();
    stats.get("evalsha").copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_that_sentinels_name_is_asked_and_each_verb_is_one_command() {
    for program in [Program::Redis, Program::Valkey] {
        let watched = RedisSentinels::builder().program(program).start();
        let store = RedisStore::connect(watched.url()).await.unwrap();
        let record = live(&store).await;
        let record = committed(&store, &record).await;
        watched.nodes()[0].reset_command_stats();
        holds(&store, &record).await;
        committed(&store, &record).await;
        let stats = watched.nodes()[0].command_stats();
        assert_eq!(
            (stats["get"], stats["evalsha"]),
            (1, 1),
            "{program}: {stats:?}"
        );
    }
}

/// Even then the old primary takes writes for ten seconds, which are all lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_replaced_on_purpose_is_not_written_to_beyond_one_beat() {
    for program in [Program::Redis, Program::Valkey] {
        let watched = Arc::new(RedisSentinels::builder().program(program).start());
        let store = RedisStore::connect(watched.url()).await.unwrap();
        let mut record = live(&store).await;
        let failing = Arc::clone(&watched);
        let failover = tokio::task::spawn_blocking(move || failing.fail_over());
        while !failover.is_finished() {
            let next = records::successor(&record);
            record = match store.commit(record.version(), next.clone()).await {
                Ok(Commit::Stored) => next,
                // What the old primary took is lost.
                Ok(_) | Err(_) => live(&store).await,
            };
        }
        // Most sentinels name another one.
        let new = failover.await.unwrap();
        let (known, before) = (Instant::now(), writes(&watched, 0));
        let mut last_to_the_old = (before, Duration::ZERO);
        let mut lost = 0;
        while known.elapsed() < Duration::from_secs(3) {
            let next = records::successor(&record);
            match store.commit(record.version(), next.clone()).await {
                Ok(Commit::Stored) => record = next,
                // What the old primary took is lost.
                Ok(_) | Err(_) => {
                    lost += 1;
                    record = live(&store).await;
                }
            }
            let count = writes(&watched, 0);
            if count > last_to_the_old.0 {
                last_to_the_old = (count, known.elapsed());
            }
        }
        let (count, at) = last_to_the_old;
        println!(
            "{program}: {} writes to the old primary since most knew, the last {at:?} after; {lost} lost",
            count - before
        );
        assert!(at < Duration::from_millis(1000), "beyond one beat: {at:?}");
        assert!(writes(&watched, new) > 0);
        assert!(
            send(&watched.nodes()[0], "ROLE").starts_with("master"),
            "the premise"
        );
        holds(&store, &record).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_is_replaced_and_calls_fail_as_ones_that_were_not_carried_out() {
    let watched = RedisSentinels::start();
    let store = RedisStore::connect(watched.url()).await.unwrap();
    let record = live(&store).await;
    // On both replicas.
    send(&watched.nodes()[0], "WAIT 2 1000");
    let record = committed(&store, &record).await;
    sleep(Duration::from_millis(100)).await;
    watched.nodes()[0].kill();
    let killed = Instant::now();
    loop {
        match store.load(record.id(), Freshness::Latest).await {
            Ok(found) => break assert_eq!(found, Load::Found(record.clone())),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
        assert!(killed.elapsed() < Duration::from_secs(20));
        sleep(Duration::from_millis(10)).await;
    }
    println!("served again after {:?}", killed.elapsed());
    committed(&store, &record).await;
}

/// Its connections stay open, it says that it is the primary, and answers what it knew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_primary_proves_nothing_and_is_not_asked_any_more() {
    let watched = RedisSentinels::start();
    let store = RedisStore::connect(watched.url()).await.unwrap();
    let fed = store.feed(Arc::new(Deaf)).unwrap();
    fed.feed.prove(Part::ONLY).await.unwrap();
    let record = live(&fed.store).await;
    sleep(Duration::from_millis(100)).await;
    watched.nodes()[0].stop();
    watched.wait_until_named(|primary| primary != 0);
    // Nobody has called meanwhile, so this store has not heard of it.
    watched.nodes()[0].cont();
    assert!(
        send(&watched.nodes()[0], "ROLE").starts_with("master"),
        "the premise"
    );
    let old = watched.nodes()[0].command_stats();
    // Old or new, but never proven by the old one's answer.
    fed.feed.prove(Part::ONLY).await.unwrap_err();
    fed.feed.prove(Part::ONLY).await.unwrap();
    let next = committed(&fed.store, &record).await;
    let next = committed(&store, &next).await;
    holds(&fed.store, &next).await;
    let new = watched.nodes()[0].command_stats();
    assert_eq!(new.get("evalsha"), old.get("evalsha"));
    assert_eq!(new.get("get"), old.get("get"));
}

/// As on the wrong side of a partition: nobody can tell whether there is another primary.
#[tokio::test(flavor = "multi_thread")]
async fn one_sentinel_of_three_is_enough_to_serve_and_not_to_prove() {
    let watched = RedisSentinels::start();
    let store = RedisStore::connect(watched.url()).await.unwrap();
    let fed = store.feed(Arc::new(Deaf)).unwrap();
    fed.feed.prove(Part::ONLY).await.unwrap();
    watched.sentinels()[0].kill();
    fed.feed.prove(Part::ONLY).await.unwrap();
    watched.sentinels()[1].kill();
    let error = fed.feed.prove(Part::ONLY).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
    let record = live(&fed.store).await;
    holds(&fed.store, &record).await;
    let late = RedisStore::connect(watched.url()).await.unwrap();
    holds(&late, &record).await;
    watched.sentinels()[0].restart();
    fed.feed.prove(Part::ONLY).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_rights_are_enough_and_sentinels_have_their_own() {
    let watched = RedisSentinels::start();
    for node in watched.nodes() {
        let rights = "+get +eval +evalsha +set +setrange +getrange +exists +pexpire +del";
        send(
            node,
            &format!("ACL SETUSER app on >secret ~tenure:* {rights}"),
        );
    }
    for sentinel in watched.sentinels() {
        let rights = "+sentinel|get-master-addr-by-name +sentinel|master";
        send(sentinel, &format!("ACL SETUSER watcher on >other {rights}"));
    }
    let url = watched.url();
    let url = url.replace("://", "://app:secret@");
    let url = url.replace('#', "?sentinel_user=watcher&sentinel_pass=other#");
    let store = RedisStore::connect(url).await.unwrap();
    let record = committed(&store, &live(&store).await).await;
    let _ = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_sentinels_do_not_know_is_a_fault_at_once() {
    let watched = RedisSentinels::start();
    let url = watched.url().replace(RedisSentinels::NAME, "other");
    assert!(RedisStore::connect(url).await.is_err());
}
