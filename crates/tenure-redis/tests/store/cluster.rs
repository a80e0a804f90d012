//! A cluster: slots that change hands, and nodes that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionStore, StoreErrorKind,
    SystemClock, Whose,
};
use tenure_redis::{ConnectError, RedisStore};
use tenure_testing::{Program, RedisCluster, RedisServer, records};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use crate::support::{holds, key, lacks, live, send};

/// A store that knows the cluster as it is. One that was redirected before looks anew behind its calls, and may learn
/// from that what the next call is to be redirected for.
async fn store(cluster: &RedisCluster) -> RedisStore {
    RedisStore::connect(cluster.url()).await.unwrap()
}

/// The slot of a session and the node that answers for it.
fn home_of(cluster: &RedisCluster, record: &Record) -> (u16, usize) {
    let slot = cluster.slot(&key(record));
    (slot, cluster.owner(slot))
}

/// A session on each of the nodes that began as primaries.
async fn one_on_each(cluster: &RedisCluster, store: &RedisStore) -> Vec<Record> {
    let mut records = vec![None, None, None];
    while records.iter().any(Option::is_none) {
        let record = live(store).await;
        let (_, owner) = home_of(cluster, &record);
        records[owner] = Some(record);
    }
    records.into_iter().flatten().collect()
}

/// How often nodes have sent somebody elsewhere.
fn errors(cluster: &RedisCluster, code: &str) -> u64 {
    let prefix = format!("errorstat_{code}:count=");
    let count = |node: &RedisServer| {
        let stats = send(node, "INFO errorstats");
        let count = stats.lines().find_map(|line| line.strip_prefix(&prefix));
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    cluster
        .nodes()
        .iter()
        .filter(|node| node.is_running())
        .map(count)
        .sum()
}

fn reset(cluster: &RedisCluster) {
    cluster
        .nodes()
        .iter()
        .for_each(RedisServer::reset_command_stats);
}

async fn committed(store: &RedisStore, base: &Record) -> Record {
    let next = records::successor(base);
    let outcome = store.commit(base.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_spread_and_every_verb_is_one_command() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    let records = one_on_each(&cluster, &store).await;
    for record in &records {
        holds(&store, record).await;
        // The first use of each script sends all of it.
        let absent = records::random_id();
        let _ = store
            .delete(absent, Whose::Login(record.login().stamp))
            .await
            .unwrap();
    }
    for record in &records {
        let next = committed(&store, record).await;
        renewed(&store, &next).await;
        deleted(&store, &next).await;
    }
    let records = one_on_each(&cluster, &store).await;
    let deletions = one_on_each(&cluster, &store).await;
    for record in deletions {
        deleted(&store, &record).await;
    }
    reset(&cluster);
    for record in &records {
        holds(&store, record).await;
        let next = committed(&store, record).await;
        renewed(&store, &next).await;
        deleted(&store, &next).await;
    }
    for node in &cluster.nodes()[..3] {
        let stats = node.command_stats();
        assert_eq!((stats["get"], stats["evalsha"]), (1, 3), "{stats:?}");
        assert!(!stats.contains_key("eval"), "{stats:?}");
    }
    assert_eq!(errors(&cluster, "MOVED"), 0);
}

async fn renewed(store: &RedisStore, record: &Record) {
    let end = record.lease_end();
    let renewal = store
        .renew(record.id(), Whose::Login(record.login().stamp), end)
        .await;
    assert_eq!(renewal.unwrap(), Renewal::Renewed(record.version()));
}

async fn deleted(store: &RedisStore, record: &Record) {
    let deletion = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await;
    assert_eq!(deletion.unwrap(), Delete::Deleted);
}

/// Rule 1: at once, and only the first call goes the long way.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_has_moved_is_followed_by_the_first_call_and_known_to_the_next() {
    let cluster = RedisCluster::start();
    for record in one_on_each(&cluster, &store(&cluster).await).await {
        let store = store(&cluster).await;
        let (slot, from) = home_of(&cluster, &record);
        cluster.move_slot(slot, (from + 1) % 3);
        reset(&cluster);
        let next = committed(&store, &record).await;
        holds(&store, &next).await;
        holds(&store, &next).await;
        assert_eq!(errors(&cluster, "MOVED"), 1);
    }
}

/// Rule 3: what is not there any more is asked for at the new owner, in one write with `ASKING`, and with the
/// script's text: the new owner has never seen it.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_on_its_way_is_served_by_both() {
    let cluster = RedisCluster::start();
    for here in one_on_each(&cluster, &store(&cluster).await).await {
        let store = store(&cluster).await;
        let (slot, from) = home_of(&cluster, &here);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, to);
        reset(&cluster);
        // It is still where it was.
        let here = committed(&store, &here).await;
        assert_eq!(errors(&cluster, "ASK"), 0);
        cluster.move_keys(slot, to);
        let gone = committed(&store, &here).await;
        holds(&store, &gone).await;
        renewed(&store, &gone).await;
        assert_eq!(errors(&cluster, "ASK"), 3);
        let asking = cluster.nodes()[to].command_stats();
        assert_eq!((asking["asking"], asking["eval"], asking["get"]), (3, 2, 1));
        assert!(!asking.contains_key("evalsha"), "{asking:?}");
        deleted(&store, &gone).await;
        lacks(&store, &gone).await;
        // Nothing of this was a reason to look for the slots anew.
        let slots = |node: &RedisServer| node.command_stats().contains_key("cluster|slots");
        assert!(!cluster.nodes().iter().any(slots));
        assert_eq!(errors(&cluster, "MOVED"), 0);
        cluster.end_move(slot, to);
        lacks(&store, &gone).await;
        assert_eq!(errors(&cluster, "MOVED"), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_created_in_a_slot_that_is_on_its_way() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    for _ in 0..3 {
        let record = records::fresh(SystemClock.now());
        let (slot, from) = home_of(&cluster, &record);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, to);
        lacks(&store, &record).await;
        let created = store.create(record.clone()).await;
        assert_eq!(created.unwrap(), Create::Created);
        holds(&store, &record).await;
        let again = store.create(record.clone()).await;
        assert_eq!(again.unwrap(), Create::Exists);
        cluster.end_move(slot, to);
        holds(&store, &record).await;
    }
}

/// Commits to a session, one after the other, until it is told to stop.
struct Writer {
    store: RedisStore,
    record: Record,
    retried: u32,
    slowest: Duration,
}

impl Writer {
    fn start(store: &RedisStore, record: Record, stop: &Arc<AtomicBool>) -> JoinHandle<Self> {
        let (store, stop) = (store.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let mut writer = Self {
                store,
                record,
                retried: 0,
                slowest: Duration::ZERO,
            };
            while !stop.load(Ordering::Relaxed) {
                writer.commit().await;
            }
            writer
        })
    }

    async fn commit(&mut self) {
        let next = records::successor(&self.record);
        let begun = Instant::now();
        loop {
            match self.store.commit(self.record.version(), next.clone()).await {
                Ok(outcome) => break assert_eq!(outcome, Commit::Stored),
                Err(error) => {
                    assert!(error.is_retryable(), "{error:?}");
                    self.retried += 1;
                }
            }
        }
        self.slowest = self.slowest.max(begun.elapsed());
        self.record = next;
    }
}

/// `MIGRATE` is atomic for each key: each commit happens once, on one of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_commit_is_lost_or_doubled_while_slots_move_back_and_forth() {
    for program in [Program::Redis, Program::Valkey] {
        let cluster = RedisCluster::builder().program(program).start();
        let cluster = Arc::new(cluster);
        let store = store(&cluster).await;
        let stop = Arc::new(AtomicBool::new(false));
        let sessions = one_on_each(&cluster, &store).await;
        let slots: Vec<_> = sessions.iter().map(|it| home_of(&cluster, it).0).collect();
        let writers = sessions.into_iter();
        let writers: Vec<_> = writers.map(|it| Writer::start(&store, it, &stop)).collect();
        let moving = Arc::clone(&cluster);
        spawn_blocking(move || {
            for round in 0..10 {
                for slot in &slots {
                    let from = moving.owner(*slot);
                    moving.move_slot(*slot, (from + 1 + round % 2) % 3);
                }
            }
        })
        .await
        .unwrap();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            let writer = writer.await.unwrap();
            assert!(writer.record.version().counter() > 100);
            assert_eq!(writer.retried, 0, "{program}: a move is no fault");
            holds(&writer.store, &writer.record).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_failover_costs_no_commit_and_no_error() {
    for program in [Program::Redis, Program::Valkey] {
        let cluster = RedisCluster::builder().program(program).start();
        let store = store(&cluster).await;
        let stop = Arc::new(AtomicBool::new(false));
        let sessions = one_on_each(&cluster, &store).await.into_iter();
        let writers: Vec<_> = sessions
            .map(|it| Writer::start(&store, it, &stop))
            .collect();
        sleep(Duration::from_millis(200)).await;
        send(&cluster.nodes()[3], "CLUSTER FAILOVER");
        let begun = Instant::now();
        while !send(&cluster.nodes()[3], "ROLE").starts_with("master") {
            assert!(begun.elapsed() < Duration::from_secs(20));
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(500)).await;
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            let writer = writer.await.unwrap();
            holds(&writer.store, &writer.record).await;
            assert_eq!(writer.retried, 0, "{program}");
            println!("{program}: slowest commit {:?}", writer.slowest);
        }
    }
}

/// Rules 5, 6 and 8: the other nodes' sessions are served as if nothing were the matter, and those of the dead one
/// are as soon as its replica takes over; also if it was the only one that the store was told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_primary_takes_no_other_s_sessions_along_and_its_replica_is_found() {
    let arguments = ["--cluster-require-full-coverage", "no"];
    let cluster = RedisCluster::builder().arguments(&arguments).start();
    let url = format!("redis-cluster://{}", cluster.nodes()[0].address());
    let store = RedisStore::connect(url).await.unwrap();
    let sessions = one_on_each(&cluster, &store).await;
    let [dead, ..] = &*sessions else {
        unreachable!()
    };
    cluster.nodes()[0].kill();
    let killed = Instant::now();
    let mut served_others = 0;
    loop {
        for other in &sessions[1..] {
            let begun = Instant::now();
            holds(&store, other).await;
            assert!(
                begun.elapsed() < Duration::from_millis(500),
                "{:?}",
                begun.elapsed()
            );
            served_others += 1;
        }
        let begun = Instant::now();
        match store.load(dead.id(), Freshness::Latest).await {
            Ok(found) => break assert_eq!(found, Load::Found(dead.clone())),
            Err(error) => {
                assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
                assert!(begun.elapsed() < Duration::from_millis(1300));
            }
        }
        assert!(killed.elapsed() < Duration::from_secs(20));
    }
    println!(
        "served again after {:?}; {served_others} loads of others",
        killed.elapsed()
    );
    assert!(served_others > 20);
    committed(&store, dead).await;
}

/// A hung node says nothing, and least of all that it has been replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_is_left_for_its_replica() {
    let cluster = RedisCluster::start();
    let builder = RedisStore::builder(cluster.url()).deadline(Duration::from_millis(500));
    let store = builder.connect().await.unwrap();
    let sessions = one_on_each(&cluster, &store).await;
    cluster.nodes()[1].stop();
    let stopped = Instant::now();
    while store
        .load(sessions[1].id(), Freshness::Latest)
        .await
        .is_err()
    {
        assert!(stopped.elapsed() < Duration::from_secs(20));
    }
    println!("served again after {:?}", stopped.elapsed());
    holds(&store, &sessions[1]).await;
    cluster.nodes()[1].cont();
    cluster.wait_until_replicated();
    committed(&store, &sessions[1]).await;
}

/// Rule 2: however many calls fail, a cluster that is down is asked for its slots a few times a second; and they
/// fail as calls that were not carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_down_is_not_stormed() {
    let cluster = RedisCluster::builder().replicas(0).start();
    let store = store(&cluster).await;
    let sessions = one_on_each(&cluster, &store).await;
    cluster.nodes()[0].kill();
    let down = || send(&cluster.nodes()[1], "CLUSTER INFO").contains("cluster_state:fail");
    while !down() {
        sleep(Duration::from_millis(20)).await;
    }
    reset_running(&cluster);
    let begun = Instant::now();
    let calls = (0..400).map(|index| {
        let (store, record) = (store.clone(), sessions[index % 3].clone());
        tokio::spawn(async move {
            let next = records::successor(&record);
            let error = store.commit(record.version(), next).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
            assert!(!error.outcome_unknown());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let asked = |node: &RedisServer| {
        let stats = node.command_stats();
        stats.get("cluster|slots").copied().unwrap_or_default()
    };
    let running = cluster.nodes().iter().filter(|node| node.is_running());
    let asked: u64 = running.map(asked).sum();
    println!(
        "asked for the slots {asked} times within {:?}",
        begun.elapsed()
    );
    assert!((1..=40).contains(&asked), "{asked}");
    // The second half of rule 4: nothing goes on behind the deadline.
    assert!(begun.elapsed() < Duration::from_secs(3));
}

fn reset_running(cluster: &RedisCluster) {
    let running = cluster.nodes().iter().filter(|node| node.is_running());
    running.for_each(RedisServer::reset_command_stats);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_tells_of_the_cluster_as_well() {
    let cluster = RedisCluster::start();
    let url = format!("redis-cluster://{}", cluster.nodes()[4].address());
    let store = RedisStore::connect(url).await.unwrap();
    for record in one_on_each(&cluster, &store).await {
        committed(&store, &record).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_confirmed_by_the_replica_of_its_primary() {
    let cluster = RedisCluster::start();
    let builder = RedisStore::builder(cluster.url()).min_replicas(1);
    let store = builder.connect().await.unwrap();
    let (first, second) = (
        one_on_each(&cluster, &store).await,
        one_on_each(&cluster, &store).await,
    );
    for (owner, record) in first.iter().enumerate() {
        deleted(&store, record).await;
        let replica = &cluster.nodes()[3 + owner];
        assert!(!send(replica, "KEYS *").contains(&key(record)));
    }
    for (owner, record) in second.iter().enumerate() {
        let (slot, from) = home_of(&cluster, record);
        // The slot is on its way, and the session has arrived; on the second round it is not there at all.
        let to = (from + 1) % 3;
        cluster.begin_move(slot, to);
        cluster.move_keys(slot, to);
        deleted(&store, record).await;
        let absent = store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await;
        assert_eq!(absent.unwrap(), Delete::Absent, "{owner}");
        cluster.end_move(slot, to);
        let absent = store
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await;
        assert_eq!(absent.unwrap(), Delete::Absent, "{owner}");
    }
    cluster.nodes()[3].stop();
    let record = one_on_first(&cluster, &store).await;
    let deletion = store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await;
    assert_eq!(deletion.unwrap_err().kind(), StoreErrorKind::NotReplicated);
    cluster.nodes()[3].cont();
}

async fn one_on_first(cluster: &RedisCluster, store: &RedisStore) -> Record {
    loop {
        let record = live(store).await;
        if home_of(cluster, &record).1 == 0 {
            return record;
        }
    }
}

#[tokio::test]
async fn a_url_of_the_wrong_kind_says_which_is_right() {
    let cluster = RedisCluster::builder().replicas(0).start();
    let single = RedisStore::connect(cluster.nodes()[0].url()).await.unwrap();
    let mut advice = None;
    while advice.is_none() {
        let record = records::fresh(SystemClock.now());
        advice = single.create(record).await.err();
    }
    let said = std::error::Error::source(&advice.unwrap())
        .unwrap()
        .to_string();
    assert!(said.contains("use a `redis-cluster://` URL"), "{said}");

    let database = format!("{}/1", cluster.nodes()[0].url());
    let said = refused(RedisStore::connect(database).await);
    assert!(said.contains("`redis-cluster://` URL"), "{said}");

    let server = RedisServer::start();
    let url = format!("redis-cluster://{}", server.address());
    let said = refused(RedisStore::connect(url).await);
    assert!(said.contains("use a `redis://` URL"), "{said}");
}

fn refused(outcome: Result<RedisStore, ConnectError>) -> String {
    let mut said = String::new();
    let error = outcome.unwrap_err();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = source {
        said.push_str(&error.to_string());
        source = error.source();
    }
    said
}

/// What the documentation says are the least rights, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_least_rights_are_enough() {
    let cluster = RedisCluster::start();
    for node in cluster.nodes() {
        let rights = "+get +eval +evalsha +set +setrange +getrange +exists +pexpire +del +asking +cluster|slots";
        send(
            node,
            &format!("ACL SETUSER app on >secret ~tenure:* {rights}"),
        );
    }
    let url = cluster.url().replace("://", "://app:secret@");
    let store = RedisStore::connect(url).await.unwrap();
    for record in one_on_each(&cluster, &store).await {
        let (slot, from) = home_of(&cluster, &record);
        let to = (from + 1) % 3;
        cluster.begin_move(slot, to);
        cluster.move_keys(slot, to);
        let record = committed(&store, &record).await;
        cluster.end_move(slot, to);
        renewed(&store, &record).await;
        deleted(&store, &record).await;
    }
}

/// Rule 5: a caller that leaves, or many of them, leave nothing behind that others trip over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_dropped_on_their_way_leave_the_store_usable() {
    let cluster = RedisCluster::start();
    let store = store(&cluster).await;
    let sessions = one_on_each(&cluster, &store).await;
    for round in 0..200_u64 {
        let record = &sessions[usize::try_from(round % 3).unwrap()];
        if round % 20 == 0 {
            let (slot, from) = home_of(&cluster, record);
            cluster.move_slot(slot, (from + 1) % 3);
        }
        let load = store.load(record.id(), Freshness::Latest);
        let _ = timeout(Duration::from_micros(round * 5), load).await;
    }
    for record in &sessions {
        holds(&store, record).await;
    }
}
