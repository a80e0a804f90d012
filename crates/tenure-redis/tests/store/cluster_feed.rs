//! What a cluster tells a cache, and the premises that the proof of its nodes builds on: a server that behaves
//! otherwise is to be noticed here.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::{
    Absence, Clock, Commit, Fed, FeedListener, Freshness, Load, Part, Record, SessionId,
    SessionStore, StoreError, SystemClock,
};
use tenure_redis::RedisStore;
use tenure_testing::{Program, RedisCluster, RedisServer, records};
use tokio::time::{Instant, sleep};

use crate::support::{holds, key, live, send};

#[derive(Clone, Debug, PartialEq)]
enum Note {
    Changed(SessionId),
    Lost(Part),
    /// Which of the sessions that the test has asked about.
    Left(Part, Vec<SessionId>),
}

/// Writes down what it is told.
#[derive(Debug, Default)]
struct Notes {
    heard: Mutex<Vec<Note>>,
    about: Mutex<Vec<SessionId>>,
}

impl FeedListener for Notes {
    fn changed(&self, id: SessionId) {
        self.heard.lock().push(Note::Changed(id));
    }

    fn lost(&self, part: Part) {
        self.heard.lock().push(Note::Lost(part));
    }

    fn left(&self, part: Part, has_left: &dyn Fn(SessionId) -> bool) {
        let mut ids = self.about.lock().clone();
        ids.retain(|id| has_left(*id));
        self.heard.lock().push(Note::Left(part, ids));
    }
}

/// A node that listens, and another one.
struct Pair {
    cluster: RedisCluster,
    here: Fed<RedisStore>,
    notes: Arc<Notes>,
    there: RedisStore,
}

impl Pair {
    async fn start(program: Program) -> Self {
        Self::over(RedisCluster::builder().program(program).start()).await
    }

    async fn over(cluster: RedisCluster) -> Self {
        let there = RedisStore::connect(cluster.url()).await.unwrap();
        let notes = Arc::new(Notes::default());
        let here = there.feed(Arc::clone(&notes) as _).unwrap();
        assert_eq!(here.feed.absence(), Absence::Unwatched);
        while here.feed.parts().unwrap().len() < 3 {
            sleep(Duration::from_millis(5)).await;
        }
        let pair = Self {
            cluster,
            here,
            notes,
            there,
        };
        for part in pair.here.feed.parts().unwrap() {
            pair.here.feed.prove(part).await.unwrap();
        }
        pair.take();
        pair
    }

    fn take(&self) -> Vec<Note> {
        std::mem::take(&mut *self.notes.heard.lock())
    }

    fn part(&self, record: &Record) -> Part {
        self.here.feed.standing(record.id()).part.unwrap()
    }

    /// What was reported until now: proven, not waited for.
    async fn proven(&self, part: Part) -> (Result<(), StoreError>, Vec<Note>) {
        let outcome = self.here.feed.prove(part).await;
        (outcome, self.take())
    }

    fn home(&self, record: &Record) -> (u16, usize) {
        let slot = self.cluster.slot(&key(record));
        (slot, self.cluster.owner(slot))
    }

    fn move_away(&self, record: &Record) -> usize {
        let (slot, from) = self.home(record);
        let to = (from + 1) % 3;
        self.cluster.move_slot(slot, to);
        to
    }
}

async fn changed(store: &RedisStore, base: &Record) -> Record {
    let next = records::successor(base);
    let outcome = store.commit(base.version(), next.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Stored);
    next
}

const PROGRAMS: [Program; 2] = [Program::Redis, Program::Valkey];

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_others_are_reported_by_whichever_node_has_them_and_own_ones_are_not() {
    for program in PROGRAMS {
        let pair = Pair::start(program).await;
        for _ in 0..20 {
            let record = live(&pair.there).await;
            holds(&pair.here.store, &record).await;
            let part = pair.part(&record);
            let next = changed(&pair.there, &record).await;
            let (outcome, notes) = pair.proven(part).await;
            outcome.unwrap();
            assert_eq!(notes, [Note::Changed(record.id())], "{program}");
            changed(&pair.here.store, &next).await;
            let (outcome, notes) = pair.proven(part).await;
            outcome.unwrap();
            assert_eq!(notes, [], "{program}");
        }
    }
}

/// `MIGRATE` deletes the key at the old owner, which reports that; and then the proof tells that the slot has left.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_moves_is_reported_and_its_part_forgets_it_before_the_next_proof() {
    for program in PROGRAMS {
        let pair = Pair::start(program).await;
        let record = live(&pair.there).await;
        holds(&pair.here.store, &record).await;
        pair.notes.about.lock().push(record.id());
        let (old, before) = (pair.part(&record), pair.here.feed.standing(record.id()));
        pair.move_away(&record);
        let (_, notes) = pair.proven(old).await;
        let left = Note::Left(old, vec![record.id()]);
        assert_eq!(notes, [Note::Changed(record.id()), left], "{program}");
        // Followed by the next call; and whatever was under way before is not kept.
        holds(&pair.here.store, &record).await;
        let after = pair.here.feed.standing(record.id());
        assert_ne!(after, before);
        assert_eq!(
            pair.take().last(),
            Some(&Note::Changed(record.id())),
            "a detour"
        );
        // From now on the new owner reports.
        let new = pair.part(&record);
        assert_ne!(new, old);
        holds(&pair.here.store, &record).await;
        changed(&pair.there, &record).await;
        let (outcome, notes) = pair.proven(new).await;
        outcome.unwrap();
        assert!(
            notes.contains(&Note::Changed(record.id())),
            "{program}: {notes:?}"
        );
        pair.here.feed.prove(old).await.unwrap();
    }
}

/// Why an answer that a session is not there is worth nothing beyond its time: when its slot has moved, nobody
/// reports that it comes into being.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_reports_an_absent_session_that_is_created_at_another_node() {
    for program in PROGRAMS {
        let pair = Pair::start(program).await;
        let record = records::fresh(SystemClock.now());
        pair.notes.about.lock().push(record.id());
        let old = pair.part(&record);
        let absent = pair.here.store.load(record.id(), Freshness::Latest).await;
        assert_eq!(absent.unwrap(), Load::Absent);
        let (slot, from) = pair.home(&record);
        let to = (from + 1) % 3;
        pair.cluster.begin_move(slot, to);
        assert!(pair.there.create(record.clone()).await.is_ok());
        // The node is still the owner, so it proves itself, and has said nothing.
        let (outcome, notes) = pair.proven(old).await;
        outcome.unwrap();
        assert_eq!(notes, [], "{program}: the premise");
        pair.cluster.end_move(slot, to);
        let (_, notes) = pair.proven(old).await;
        assert_eq!(notes, [Note::Left(old, vec![record.id()])], "{program}");
    }
}

/// An answer that came through `ASKING` is from another node than was named before the call.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_took_a_detour_is_reported_as_changed() {
    let pair = Pair::start(Program::Redis).await;
    let record = live(&pair.there).await;
    let (slot, from) = pair.home(&record);
    let to = (from + 1) % 3;
    pair.cluster.begin_move(slot, to);
    pair.cluster.move_keys(slot, to);
    pair.take();
    holds(&pair.here.store, &record).await;
    assert_eq!(pair.take().last(), Some(&Note::Changed(record.id())));
    let next = changed(&pair.here.store, &record).await;
    assert_eq!(pair.take().last(), Some(&Note::Changed(record.id())));
    pair.cluster.end_move(slot, to);
    holds(&pair.here.store, &next).await;
}

/// `PING` and `ROLE` go on as if nothing had happened; only that it answers for its slots does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_node_proves_nothing_and_all_that_it_had_is_forgotten() {
    for program in PROGRAMS {
        let pair = Pair::start(program).await;
        let record = loop {
            let record = live(&pair.there).await;
            if pair.home(&record).1 == 0 {
                break record;
            }
        };
        holds(&pair.here.store, &record).await;
        pair.notes.about.lock().push(record.id());
        let (old, others) = (pair.part(&record), pair.here.feed.parts().unwrap());
        send(&pair.cluster.nodes()[3], "CLUSTER FAILOVER");
        let begun = Instant::now();
        let mut notes = Vec::new();
        loop {
            let (outcome, heard) = pair.proven(old).await;
            notes.extend(heard);
            if outcome.is_err() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{program}");
            sleep(Duration::from_millis(1)).await;
        }
        assert!(
            notes.contains(&Note::Left(old, vec![record.id()])),
            "{program}: {notes:?}"
        );
        // The others go on meanwhile.
        for part in others.into_iter().filter(|part| *part != old) {
            pair.here.feed.prove(part).await.unwrap();
        }
        holds(&pair.here.store, &record).await;
        assert_ne!(pair.part(&record), old);
        pair.here.feed.prove(pair.part(&record)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_lost_by_itself_and_the_others_stay_proven() {
    let arguments = ["--cluster-require-full-coverage", "no"];
    let cluster = RedisCluster::builder().arguments(&arguments).replicas(0);
    let pair = Pair::over(cluster.start()).await;
    let parts = pair.here.feed.parts().unwrap();
    pair.cluster.nodes()[0].kill();
    let mut failed = Vec::new();
    for part in parts {
        let begun = Instant::now();
        let (outcome, notes) = pair.proven(part).await;
        if outcome.is_err() {
            failed.push(part);
        } else {
            assert!(
                !notes
                    .iter()
                    .any(|note| matches!(note, Note::Lost(it) if *it == part))
            );
        }
        assert!(begun.elapsed() < Duration::from_millis(1500));
    }
    assert_eq!(failed.len(), 1);
}

/// Such a node answers everything but questions about keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_a_cluster_that_is_down_proves_nothing() {
    let cluster = RedisCluster::builder().replicas(0).start();
    let pair = Pair::over(cluster).await;
    pair.cluster.nodes()[0].kill();
    let survivor = &pair.cluster.nodes()[1];
    while !send(survivor, "CLUSTER INFO").contains("cluster_state:fail") {
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(send(survivor, "PING"), "PONG", "the premise");
    assert!(send(survivor, "ROLE").starts_with("master"), "the premise");
    for part in pair.here.feed.parts().unwrap() {
        assert!(pair.here.feed.prove(part).await.is_err());
    }
}

/// The price of a proof: one write, two commands.
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_two_commands_at_its_node() {
    let pair = Pair::start(Program::Redis).await;
    let parts = pair.here.feed.parts().unwrap();
    pair.cluster
        .nodes()
        .iter()
        .for_each(RedisServer::reset_command_stats);
    for _ in 0..10 {
        for part in &parts {
            pair.here.feed.prove(*part).await.unwrap();
        }
    }
    for node in &pair.cluster.nodes()[..3] {
        let mut stats = node.command_stats();
        // Between the nodes.
        stats
            .retain(|name, _| !["replconf", "ping", "config|resetstat", "info"].contains(&&**name));
        // A look at the cluster, which both nodes began with, asks for the slots as well.
        let looks = stats.remove("cluster|info").unwrap_or_default();
        let expected = [("cluster|slots", 10 + looks), ("exists", 10)];
        let expected = expected.map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(stats, expected.into());
    }
}
