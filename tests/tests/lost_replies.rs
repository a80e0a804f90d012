//! Writes whose replies are lost, while others write on.
//!
//! A commit that was sent again after eight commits of others was once taken for a stale one, and applied a
//! second time; or answered with "nothing was written" for what was written. One that recognised itself
//! after a login once set a cookie with the secret that the login had replaced.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use tenure_core::{MemoryStore, Session, SessionError, SessionManager, StoreErrorKind};
use tenure_testing::{FaultyStore, Moment, SlowStore, Verb};
use tenure_tests::{Visitor, random_key};

/// Two nodes on one store. What the first sends waits at a gate until the second has done its part, and
/// its reply is lost.
struct World {
    here: SessionManager,
    there: SessionManager,
    slow: SlowStore<MemoryStore>,
    faulty: FaultyStore<SlowStore<MemoryStore>>,
}

impl World {
    fn new() -> Self {
        let (memory, keys) = (MemoryStore::new(), random_key());
        let slow = SlowStore::new(memory.clone());
        let faulty = FaultyStore::new(slow.clone());
        let node = |store| SessionManager::builder(store, keys.parse().unwrap());
        Self {
            here: node(faulty.clone()).build().unwrap(),
            there: SessionManager::builder(memory, keys.parse().unwrap())
                .build()
                .unwrap(),
            slow,
            faulty,
        }
    }

    async fn visitor(&self) -> Visitor {
        let mut visitor = Visitor::new(self.there.clone());
        visitor
            .request(async |session| session.insert("x", 1).unwrap())
            .await;
        visitor
    }

    /// Makes a request here whose commit happens and whose reply is lost, and in between whatever the other
    /// node is to do.
    async fn lose(
        &self,
        visitor: &Visitor,
        change: impl FnOnce(&Session),
        meanwhile: impl AsyncFnOnce(Visitor),
    ) -> (Visitor, Option<SessionError>) {
        let lost = StoreErrorKind::Interrupted;
        self.faulty
            .fail_next(1, Verb::Commit, Moment::AfterCall, lost);
        let gate = self.slow.hold(Verb::Commit, Moment::AfterCall);
        let mut sender = visitor.at(&self.here);
        let (handle, session) = sender.load().await;
        change(&session);
        let sending = tokio::spawn(async move {
            let finish = sender.finish(&handle).await;
            (sender, finish.refusal)
        });
        gate.arrivals(1).await;
        meanwhile(visitor.at(&self.there)).await;
        gate.open();
        let outcome = sending.await.unwrap();
        assert_eq!(self.faulty.pending_faults(), 0);
        outcome
    }
}

fn increment(session: &Session) {
    session
        .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
        .unwrap();
}

async fn increment_often(mut visitor: Visitor, times: u64) {
    for _ in 0..times {
        visitor.request(async |session| increment(session)).await;
    }
}

async fn value(visitor: &Visitor, key: &str) -> Option<u64> {
    visitor.load().await.1.get(key).unwrap()
}

#[tokio::test]
async fn a_commit_is_applied_once_however_many_others_follow_before_it_is_sent_again() {
    for others in [0, 1, 6, 7, 8, 20] {
        let world = World::new();
        let visitor = world.visitor().await;
        let meanwhile = async |there| increment_often(there, others).await;
        let (_, refusal) = world.lose(&visitor, increment, meanwhile).await;
        assert_eq!(
            value(&visitor, "n").await,
            Some(1 + others),
            "{others} others"
        );
        // As long as the lineage remembers it, the outcome is known.
        if others < 8 {
            assert!(refusal.is_none(), "{others} others: {refusal:?}");
        } else {
            assert_unknown(refusal);
        }
    }
}

#[tokio::test]
async fn what_was_written_is_never_said_to_be_a_conflict() {
    let world = World::new();
    let visitor = world.visitor().await;
    let replace = |session: &Session| {
        let x: u64 = session.get("x").unwrap().unwrap();
        session.insert("x", x + 41).unwrap();
    };
    let meanwhile = async |there| increment_often(there, 8).await;
    let (_, refusal) = world.lose(&visitor, replace, meanwhile).await;
    assert_eq!(value(&visitor, "x").await, Some(42));
    assert_unknown(refusal);
}

fn assert_unknown(refusal: Option<SessionError>) {
    let refusal = refusal.expect("an outcome that is unknown");
    assert_eq!(refusal.status(), 503);
    assert!(
        matches!(&refusal, SessionError::Store(error) if error.outcome_unknown()),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn a_commit_that_recognises_itself_below_a_login_sets_no_cookie() {
    let world = World::new();
    let visitor = world.visitor().await;
    let mut jar = None;
    let login = async |mut there: Visitor| {
        there
            .request(async |session| session.login("ada").unwrap())
            .await;
        jar = Some(there);
    };
    let (late, refusal) = world.lose(&visitor, increment, login).await;
    assert!(refusal.is_none(), "{refusal:?}");
    let browser = jar.unwrap();
    let (_, session) = browser.load().await;
    assert_eq!(session.principal().unwrap(), "ada");
    assert_eq!(session.get::<u64>("n").unwrap(), Some(1));
    // The late response has left the old cookie as it was.
    let (_, session) = late.load().await;
    assert!(session.principal().is_none());
}

#[tokio::test]
async fn a_second_attempt_that_is_refused_leaves_the_outcome_of_the_first_unknown() {
    let faulty = FaultyStore::new(MemoryStore::new());
    let manager = SessionManager::builder(faulty.clone(), random_key().parse().unwrap())
        .build()
        .unwrap();
    let mut visitor = Visitor::new(manager);
    visitor.request(async |session| increment(session)).await;
    let (lost, down) = (StoreErrorKind::Interrupted, StoreErrorKind::Unavailable);
    faulty.fail_next(1, Verb::Commit, Moment::AfterCall, lost);
    faulty.fail_next(1, Verb::Commit, Moment::BeforeCall, down);
    let (handle, session) = visitor.load().await;
    increment(&session);
    assert_unknown(visitor.finish(&handle).await.refusal);
    assert_eq!(value(&visitor, "n").await, Some(2), "it had happened");
}

#[tokio::test]
async fn what_was_written_before_a_logout_is_not_said_to_be_unwritten_after_it() {
    let world = World::new();
    let visitor = world.visitor().await;
    let logout = async |mut there: Visitor| {
        assert_eq!(value(&there, "n").await, Some(1), "somebody has seen it");
        there
            .request(async |session| session.destroy().unwrap())
            .await;
    };
    let (_, refusal) = world.lose(&visitor, increment, logout).await;
    assert_unknown(refusal);
}
