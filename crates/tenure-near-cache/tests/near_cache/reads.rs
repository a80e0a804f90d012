//! Which loads reach the store.

use std::time::Duration;

use tenure_core::{Clock, Freshness, Load, MemoryStore, SessionStore, StoreErrorKind, SystemClock};
use tenure_near_cache::NearCache;
use tenure_testing::{Moment, SpyStore, Verb, records};
use tokio::task::yield_now;

use crate::support::{MILLISECOND, STALENESS, World, found};

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_change_is_asked_for_once() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    for _ in 0..100 {
        node.finds(&record, &record).await;
    }
    assert_eq!(node.loads(), 1);
    let metrics = node.cache.metrics();
    assert_eq!((metrics.hits, metrics.misses.unknown), (99, 1));
}

#[tokio::test(start_paused = true)]
async fn a_change_elsewhere_is_seen_by_the_next_load() {
    let world = World::new();
    let (node, mut record) = (world.node(), world.stored().await);
    let first = record.clone();
    for loads in 1..10 {
        node.finds(&first, &record).await;
        node.finds(&first, &record).await;
        assert_eq!(node.loads(), loads);
        record = world.changed(&record).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_has_seen_a_newer_version_is_never_given_an_older_one() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    world.elsewhere.silence();
    let new = world.changed(&old).await;
    node.finds(&old, &old).await;
    node.finds(&new, &new).await;
    // Nor is anybody else from then on.
    node.finds(&old, &new).await;
    assert_eq!(node.loads(), 2);
    assert_eq!(node.cache.metrics().misses.behind, 1);
}

#[tokio::test(start_paused = true)]
async fn a_version_of_another_history_is_judged_by_the_store() {
    let world = World::new();
    let (node, base) = (world.node(), world.stored().await);
    let record = node.commits(&base).await;
    let fork = records::successor(&base);
    node.finds(&fork, &record).await;
    assert_eq!(node.loads(), 1);
    assert_eq!(node.cache.metrics().misses.forked, 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_asked_for_again_after_the_revalidation_bound_though_the_feed_lives() {
    let world = World::new();
    let node = world.node_with(|builder| builder.revalidate_after(Duration::from_secs(30)));
    let record = world.stored().await;
    node.finds(&record, &record).await;
    tokio::time::sleep(Duration::from_secs(29)).await;
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 1);
    tokio::time::sleep(Duration::from_secs(1)).await;
    node.finds(&record, &record).await;
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 2);
    let metrics = node.cache.metrics();
    assert_eq!((metrics.misses.aged, metrics.revalidations), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn without_a_feed_an_answer_is_used_up_to_the_staleness_bound() {
    let store = SpyStore::new(MemoryStore::new());
    let (log, cache) = (store.log(), NearCache::new(store));
    let record = records::fresh(SystemClock.now());
    assert!(cache.create(record.clone()).await.is_ok());
    let read = || cache.load(record.id(), Freshness::AtLeast(record.version()));
    for loads in 0..3 {
        tokio::time::sleep(STALENESS - MILLISECOND).await;
        assert_eq!(read().await.unwrap(), found(&record));
        assert_eq!(log.count(Verb::Load), loads);
        tokio::time::sleep(MILLISECOND).await;
        assert_eq!(read().await.unwrap(), found(&record));
        assert_eq!(log.count(Verb::Load), loads + 1);
    }
    assert_eq!(cache.metrics().proof_age, None);
}

#[tokio::test(start_paused = true)]
async fn the_latest_state_is_always_asked_for_and_kept() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    world.elsewhere.silence();
    let new = world.changed(&old).await;
    let latest = node.cache.load(old.id(), Freshness::Latest).await;
    assert_eq!(latest.unwrap(), found(&new));
    node.finds(&old, &new).await;
    assert_eq!(node.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_strict_cache_asks_for_everything() {
    let world = World::new();
    let node = world.node_with(|builder| builder.max_staleness(Duration::ZERO));
    let record = world.stored().await;
    for loads in 1..10 {
        node.finds(&record, &record).await;
        assert_eq!(node.loads(), loads);
        tokio::time::sleep(STALENESS).await;
    }
    let age = node.cache.metrics().proof_age;
    assert_eq!(
        age, None,
        "the feed was asked for proof, which is of no use"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_lease_has_passed_is_asked_for() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    node.finds(&record, &record).await;
    let lease = record.lease_end().since(record.created_at());
    world.clock.advance(lease - MILLISECOND);
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 1);
    world.clock.advance(MILLISECOND);
    assert!(matches!(node.load(&record).await, Load::Expired(_)));
    assert_eq!(node.loads(), 2);
    assert_eq!(node.cache.metrics().misses.ended, 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_is_asked_for_once_until_it_comes_into_being() {
    let world = World::new();
    let (node, record) = (world.node(), records::fresh(world.clock.now()));
    for _ in 0..10 {
        assert_eq!(node.load(&record).await, Load::Absent);
    }
    assert_eq!(node.loads(), 1);
    assert!(world.elsewhere.create(record.clone()).await.is_ok());
    node.finds(&record, &record).await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_misses_of_one_session_share_one_load() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::BeforeCall);
    let readers: Vec<_> = (0..50).map(|_| node.loading(&record)).collect();
    gate.arrivals(1).await;
    while node.cache.metrics().shared_loads < 49 {
        yield_now().await;
    }
    gate.open();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), found(&record));
    }
    assert_eq!(node.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_shared_load_that_left_before_the_browser_s_commit_is_not_believed() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    world.elsewhere.silence();
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let first = node.loading(&old);
    gate.arrivals(1).await;
    let new = world.changed(&old).await;
    let second = node.loading(&new);
    while node.cache.metrics().shared_loads < 1 {
        yield_now().await;
    }
    gate.open();
    assert_eq!(first.await.unwrap(), found(&old));
    assert_eq!(second.await.unwrap(), found(&new));
    assert_eq!(node.loads(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_left_too_long_ago_is_not_shared() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::BeforeCall);
    let first = node.loading(&record);
    gate.arrivals(1).await;
    tokio::time::sleep(STALENESS).await;
    let second = node.loading(&record);
    gate.arrivals(2).await;
    gate.open();
    assert_eq!(first.await.unwrap(), second.await.unwrap());
    assert_eq!(node.cache.metrics().shared_loads, 0);
}

/// Who came in the middle of a load has waited less than its deadline, and would be answered with 503 for
/// somebody else's time-out. They ask once more, together.
#[tokio::test(start_paused = true)]
async fn who_joins_a_load_does_not_share_its_time_out() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    // A write keeps the session's calls alive beyond the load that fails.
    let writes = node.gates().hold(Verb::Commit, Moment::BeforeCall);
    let next = records::successor(&record);
    let committing = node.committing(&record, &next);
    writes.arrivals(1).await;
    let gate = node.gates().hold(Verb::Load, Moment::BeforeCall);
    let timed_out = StoreErrorKind::TimedOut;
    node.faults()
        .fail_next(1, Verb::Load, Moment::AfterCall, timed_out);
    let first = tokio::spawn({
        let (cache, id) = (node.cache.clone(), record.id());
        let floor = Freshness::AtLeast(record.version());
        async move { cache.load(id, floor).await }
    });
    gate.arrivals(1).await;
    let readers: Vec<_> = (0..50).map(|_| node.loading(&record)).collect();
    while node.cache.metrics().shared_loads < 50 {
        yield_now().await;
    }
    gate.admit_one();
    assert_eq!(first.await.unwrap().unwrap_err().kind(), timed_out);
    gate.arrivals(2).await;
    while node.cache.metrics().shared_loads < 50 + 49 {
        yield_now().await;
    }
    gate.open();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), found(&record));
    }
    assert_eq!(node.loads(), 2);
    writes.open();
    assert!(committing.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_load_that_everybody_has_left_is_begun_anew() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::BeforeCall);
    let abandoned = node.loading(&record);
    gate.arrivals(1).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    gate.open();
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 2);
    assert_eq!(node.cache.metrics().shared_loads, 0);
}
