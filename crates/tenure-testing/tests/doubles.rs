//! The stores that spy, fail and wait do what they say, alone and around each other.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the steps that tests share fail like the tests themselves"
)]

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, LoginStamp, MemoryStore, Record, Renewal,
    SessionStore, StoreErrorKind, Whose,
};
use tenure_testing::{
    FaultyStore, Fixture, ManualClock, Moment, Outcome, Planted, SlowStore, SpyStore, Verb,
    records, store_conformance,
};

/// A double without instructions is a store like the one inside it.
mod without_instructions {
    use super::{Doubles, store_conformance};

    store_conformance!(Doubles::start());
}

#[tokio::test]
async fn a_spy_writes_every_outcome_down() {
    let clock = ManualClock::new();
    let store = SpyStore::new(MemoryStore::builder().clock(clock.clone()).build());
    let log = store.log();
    let record = records::fresh(clock.now());
    let (id, version) = (record.id(), record.version());
    let next = records::successor(&record);
    let later = record.lease_end();

    let _ = store.load(id, Freshness::Latest).await.unwrap();
    let _ = store.create(record.clone()).await.unwrap();
    let _ = store
        .create(records::fresh_under(id, clock.now()))
        .await
        .unwrap();
    let _ = store.load(id, Freshness::AtLeast(version)).await.unwrap();
    let _ = store.commit(version, next.clone()).await.unwrap();
    let _ = store
        .commit(version, records::successor(&record))
        .await
        .unwrap();
    let _ = store
        .renew(id, Whose::Login(record.login().stamp), later)
        .await
        .unwrap();
    clock.set(later);
    let _ = store.load(id, Freshness::Latest).await.unwrap();
    let _ = store
        .delete(id, Whose::Login(record.login().stamp))
        .await
        .unwrap();
    let _ = store
        .renew(id, Whose::Login(record.login().stamp), later)
        .await
        .unwrap();
    let _ = store.commit(version, next.clone()).await.unwrap();

    assert_eq!(
        log.outcomes(),
        [
            (Verb::Load, Outcome::Absent),
            (Verb::Create, Outcome::Created),
            (Verb::Create, Outcome::Exists),
            (Verb::Load, Outcome::Found),
            (Verb::Commit, Outcome::Stored),
            (Verb::Commit, Outcome::Conflict),
            (Verb::Renew, Outcome::Renewed),
            (Verb::Load, Outcome::Expired),
            // The memory store has collected it.
            (Verb::Delete, Outcome::Absent),
            (Verb::Renew, Outcome::Gone),
            (Verb::Commit, Outcome::Gone),
        ]
    );
    let calls = log.calls();
    assert_eq!(calls[0].freshness(), Some(Freshness::Latest));
    assert_eq!(calls[3].freshness(), Some(Freshness::AtLeast(version)));
    assert_eq!(calls[4].version(), Some(next.version()));
    assert!(calls.iter().all(|call| call.id() == Some(id)));
    assert_eq!((log.count(Verb::Load), log.len()), (3, 11));
    log.clear();
    assert!(log.is_empty());
}

#[tokio::test]
async fn a_spy_tells_what_was_overtaken_and_what_was_superseded() {
    let store = SpyStore::new(MemoryStore::new());
    let log = store.log();
    let first = live(&store).await;
    let second = records::successor(&first);
    let third = records::successor(&second);
    for (base, next) in [(&first, &second), (&second, &third), (&first, &second)] {
        let _ = store.commit(base.version(), next.clone()).await.unwrap();
    }
    for whose in [NOBODY, Whose::Login(first.login().stamp)] {
        let _ = store.delete(first.id(), whose).await.unwrap();
    }
    let outcomes = log
        .outcomes()
        .into_iter()
        .skip(1)
        .map(|(_, outcome)| outcome);
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        [
            Outcome::Stored,
            Outcome::Stored,
            Outcome::Overtaken,
            Outcome::Superseded,
            Outcome::Deleted
        ]
    );
}

#[tokio::test]
async fn a_spy_shows_neither_ids_nor_user_data() {
    let store = SpyStore::new(MemoryStore::new());
    let record = live(&store).await;
    let shown = format!("{store:?} {:?}", store.log());
    assert!(shown.contains("Created"), "{shown}");
    for hidden in [
        record.id().as_uuid().to_string().as_str(),
        "ada",
        "theme",
        "dark",
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}

#[tokio::test]
async fn a_spy_tells_dropped_calls_from_pending_ones() {
    let slow = SlowStore::new(MemoryStore::new());
    let store = SpyStore::new(slow.clone());
    let gate = slow.hold(Verb::Delete, Moment::BeforeCall);
    {
        let mut call = pin!(store.delete(records::random_id(), NOBODY));
        poll_once(call.as_mut()).await;
        assert_eq!(store.log().outcomes(), [(Verb::Delete, Outcome::Pending)]);
    }
    assert_eq!(store.log().outcomes(), [(Verb::Delete, Outcome::Dropped)]);

    // A call from before a clearing leaves the entries from after it alone.
    let mut call = pin!(store.delete(records::random_id(), NOBODY));
    poll_once(call.as_mut()).await;
    store.log().clear();
    let _ = store
        .load(records::random_id(), Freshness::Latest)
        .await
        .unwrap();
    gate.open();
    let _ = call.await.unwrap();
    assert_eq!(store.log().outcomes(), [(Verb::Load, Outcome::Absent)]);
}

#[tokio::test]
async fn a_fault_before_the_call_leaves_the_store_untouched() {
    let store = SpyStore::new(FaultyStore::new(MemoryStore::new()));
    let record = live(&store).await;
    let next = records::successor(&record);
    let faults = store.inner();
    faults.fail_next(
        2,
        Verb::Commit,
        Moment::BeforeCall,
        StoreErrorKind::Unavailable,
    );
    for left in [1, 0] {
        let error = store
            .commit(record.version(), next.clone())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert_eq!(faults.pending_faults(), left);
        assert_eq!(loaded(&store, &record).await, record);
    }
    let outcome = store.commit(record.version(), next.clone()).await.unwrap();
    assert_eq!(outcome, Commit::Stored);
    let failed = Outcome::Failed(StoreErrorKind::Unavailable);
    assert!(store.log().outcomes().contains(&(Verb::Commit, failed)));
}

#[tokio::test]
async fn a_fault_after_the_call_hides_what_has_happened() {
    let store = FaultyStore::new(MemoryStore::new());
    let record = live(&store).await;
    let next = records::successor(&record);
    store.fail_next(1, Verb::Commit, Moment::AfterCall, StoreErrorKind::TimedOut);
    let error = store
        .commit(record.version(), next.clone())
        .await
        .unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!(loaded(&store, &record).await, next);

    store.fail_next(
        1,
        Verb::Delete,
        Moment::AfterCall,
        StoreErrorKind::Interrupted,
    );
    store
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap_err();
    let outcome = store.load(record.id(), Freshness::Latest).await.unwrap();
    assert_eq!(outcome, Load::Absent);
}

#[tokio::test]
async fn scripts_run_in_order_and_each_verb_has_its_own() {
    let store = FaultyStore::new(MemoryStore::new());
    let record = live(&store).await;
    let renew = || {
        store.renew(
            record.id(),
            Whose::Login(record.login().stamp),
            record.lease_end(),
        )
    };
    store.pass_next(1, Verb::Renew);
    store.fail_next(1, Verb::Renew, Moment::AfterCall, StoreErrorKind::TimedOut);
    store.fail_next(
        usize::MAX,
        Verb::Renew,
        Moment::BeforeCall,
        StoreErrorKind::Refused,
    );
    assert_eq!(renew().await.unwrap(), Renewal::Renewed(record.version()));
    assert_eq!(renew().await.unwrap_err().kind(), StoreErrorKind::TimedOut);
    for _ in 0..3 {
        assert_eq!(renew().await.unwrap_err().kind(), StoreErrorKind::Refused);
    }
    assert_eq!(loaded(&store, &record).await, record);
    store.heal();
    assert_eq!(store.pending_faults(), 0);
    assert_eq!(renew().await.unwrap(), Renewal::Renewed(record.version()));
}

#[tokio::test]
async fn a_gate_holds_calls_on_the_side_that_it_says() {
    for moment in [Moment::BeforeCall, Moment::AfterCall] {
        let store = SlowStore::new(MemoryStore::new());
        let record = live(&store).await;
        let gate = store.hold(Verb::Delete, moment);
        let deleting = tokio::spawn({
            let (store, record) = (store.clone(), record.clone());
            async move {
                store
                    .delete(record.id(), Whose::Login(record.login().stamp))
                    .await
            }
        });
        gate.arrivals(1).await;
        let meanwhile = store.load(record.id(), Freshness::Latest).await.unwrap();
        let still_there = moment == Moment::BeforeCall;
        assert_eq!(
            matches!(meanwhile, Load::Found(_)),
            still_there,
            "{moment:?}"
        );
        assert!(!deleting.is_finished());
        gate.open();
        assert_eq!(deleting.await.unwrap().unwrap(), Delete::Deleted);
        let after = store.load(record.id(), Freshness::Latest).await.unwrap();
        assert_eq!(after, Load::Absent);
    }
}

#[tokio::test]
async fn a_gate_admits_one_call_at_a_time_and_all_when_it_is_dropped() {
    let store = SlowStore::new(MemoryStore::new());
    let gate = store.hold(Verb::Load, Moment::BeforeCall);
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let store = store.clone();
        loads.spawn(async move { store.load(records::random_id(), Freshness::Latest).await });
    }
    gate.arrivals(3).await;
    assert!(loads.try_join_next().is_none());
    gate.admit_one();
    assert_eq!(
        loads.join_next().await.unwrap().unwrap().unwrap(),
        Load::Absent
    );
    assert!(loads.try_join_next().is_none());
    // Other verbs pass, and so do calls on the store inside.
    live(&store).await;
    let _ = store
        .inner()
        .load(records::random_id(), Freshness::Latest)
        .await
        .unwrap();
    drop(gate);
    assert_eq!(loads.join_all().await.len(), 2);
    let _ = store
        .load(records::random_id(), Freshness::Latest)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_second_gate_takes_the_place_of_the_first() {
    let store = SlowStore::new(MemoryStore::new());
    let first = store.hold(Verb::Delete, Moment::BeforeCall);
    let delete = || {
        let store = store.clone();
        tokio::spawn(async move { store.delete(records::random_id(), NOBODY).await })
    };
    let early = delete();
    first.arrivals(1).await;
    let second = store.hold(Verb::Delete, Moment::BeforeCall);
    let late = delete();
    second.arrivals(1).await;
    assert_eq!((first.arrived(), second.arrived()), (1, 1));
    first.open();
    let _ = early.await.unwrap().unwrap();
    assert!(!late.is_finished());
    second.open();
    let _ = late.await.unwrap().unwrap();
}

async fn live(store: &impl SessionStore) -> Record {
    let record = records::fresh(tenure_core::SystemClock.now());
    assert_eq!(store.create(record.clone()).await.unwrap(), Create::Created);
    record
}

async fn loaded(store: &impl SessionStore, record: &Record) -> Record {
    match store.load(record.id(), Freshness::Latest).await.unwrap() {
        Load::Found(found) => found,
        outcome => panic!("{outcome:?}"),
    }
}

async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) {
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

struct Doubles {
    store: SpyStore<FaultyStore<SlowStore<MemoryStore>>>,
    clock: ManualClock,
}

impl Doubles {
    fn start() -> Self {
        let clock = ManualClock::new();
        let memory = MemoryStore::builder()
            .clock(clock.clone())
            .max_record_bytes(MAX_RECORD_BYTES)
            .build();
        Self {
            store: SpyStore::new(FaultyStore::new(SlowStore::new(memory))),
            clock,
        }
    }
}

impl Fixture for Doubles {
    type Store = SpyStore<FaultyStore<SlowStore<MemoryStore>>>;

    fn store(&self) -> &Self::Store {
        &self.store
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn max_record_bytes(&self) -> usize {
        MAX_RECORD_BYTES
    }

    async fn plant(&self, _: tenure_core::SessionId, _: &[u8]) -> Planted {
        Planted::Unrepresentable
    }
}

const MAX_RECORD_BYTES: usize = 64 << 10;

const NOBODY: Whose = Whose::Login(LoginStamp::NOBODY);
