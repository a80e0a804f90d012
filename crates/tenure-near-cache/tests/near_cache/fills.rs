//! Answers that were overtaken by a change while they were under way, and what is known after a
//! write.

use tenure_core::{Clock, Commit, Load, Record, Renewal, SessionStore, StoreErrorKind, Whose};
use tenure_testing::{Moment, Verb, records};

use crate::support::{MILLISECOND, Node, STALENESS, World, found};

/// Asserts that the next load is answered from memory, or that it is not.
async fn assert_cached(node: &Node, seen: &Record, expected: &Load, is_cached: bool) {
    let loads = node.loads();
    assert_eq!(node.load(seen).await, *expected);
    assert_eq!(node.loads() == loads, is_cached, "asked the store");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_a_change_has_overtaken_is_returned_but_not_kept() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let loading = node.loading(&old);
    gate.arrivals(1).await;
    let new = world.changed(&old).await;
    gate.open();
    assert_eq!(loading.await.unwrap(), found(&old));
    assert_eq!(node.cache.metrics().dirty_fills, 1);
    assert_cached(&node, &old, &found(&new), false).await;
    assert_cached(&node, &old, &found(&new), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_begins_after_the_change_does_not_share_the_one_from_before() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let before = node.loading(&old);
    gate.arrivals(1).await;
    let new = world.changed(&old).await;
    let after = node.loading(&old);
    gate.arrivals(2).await;
    gate.open();
    assert_eq!(before.await.unwrap(), found(&old));
    assert_eq!(after.await.unwrap(), found(&new));
    assert_cached(&node, &old, &found(&new), true).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_loss_of_the_feed_is_not_kept() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let loading = node.loading_latest(record.id());
    gate.arrivals(1).await;
    world.elsewhere.lose();
    gate.open();
    assert_eq!(loading.await.unwrap(), found(&record));
    assert_cached(&node, &record, &found(&record), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_kept() {
    let world = World::new();
    let (node, base) = (world.node(), world.stored().await);
    let next = node.commits(&base).await;
    assert_cached(&node, &base, &found(&next), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_creation_is_kept() {
    let world = World::new();
    let (node, record) = (world.node(), records::fresh(world.clock.now()));
    assert!(node.cache.create(record.clone()).await.is_ok());
    assert_cached(&node, &record, &found(&record), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_does_not_put_the_state_from_before_a_commit_back() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let loading = node.loading(&old);
    gate.arrivals(1).await;
    let new = node.commits(&old).await;
    gate.open();
    assert_eq!(loading.await.unwrap(), found(&old));
    assert_cached(&node, &old, &found(&new), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_another_one_has_overtaken_is_not_kept() {
    let world = World::new();
    let (node, base) = (world.node(), world.stored().await);
    let ours = records::successor(&base);
    let gate = node.gates().hold(Verb::Commit, Moment::AfterCall);
    let committing = node.committing(&base, &ours);
    gate.arrivals(1).await;
    let theirs = world.changed(&ours).await;
    gate.open();
    assert_eq!(committing.await.unwrap(), Commit::Stored);
    assert_cached(&node, &base, &found(&theirs), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_caller_has_left_takes_the_old_state_out() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    let new = records::successor(&old);
    let gate = node.gates().hold(Verb::Commit, Moment::AfterCall);
    let committing = node.committing(&old, &new);
    gate.arrivals(1).await;
    committing.abort();
    assert!(committing.await.unwrap_err().is_cancelled());
    assert_cached(&node, &old, &found(&new), false).await;
}

/// The feed is about what others change: its proofs say nothing of a write of this node that has happened
/// and whose reply has not been taken in, for as long as that may be.
#[tokio::test(start_paused = true)]
async fn no_proof_keeps_the_old_state_alive_while_a_write_is_under_way() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    let new = records::successor(&old);
    let gate = node.gates().hold(Verb::Commit, Moment::AfterCall);
    let committing = node.committing(&old, &new);
    gate.arrivals(1).await;
    assert_cached(&node, &old, &found(&old), true).await;
    tokio::time::sleep(STALENESS).await;
    assert_cached(&node, &old, &found(&new), false).await;
    gate.open();
    assert_eq!(committing.await.unwrap(), Commit::Stored);
    assert_cached(&node, &old, &found(&new), true).await;
    tokio::time::sleep(2 * STALENESS).await;
    assert_cached(&node, &old, &found(&new), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_reply_is_lost_takes_the_old_state_out() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    let new = records::successor(&old);
    let lost = StoreErrorKind::TimedOut;
    node.faults()
        .fail_next(1, Verb::Commit, Moment::AfterCall, lost);
    let outcome = node.cache.commit(old.version(), new.clone()).await;
    assert_eq!(outcome.unwrap_err().kind(), lost);
    assert_cached(&node, &old, &found(&new), false).await;
}

/// The seeded bug: after the lost reply others commit. To keep the repetition's own record would bring the
/// older state back, with nobody left to report it; what is kept is what the store has.
#[tokio::test(start_paused = true)]
async fn of_a_repeated_commit_on_which_others_have_built_theirs_is_kept() {
    let world = World::new();
    let (node, base) = (world.node(), world.stored().await);
    let ours = records::successor(&base);
    let lost = StoreErrorKind::Interrupted;
    node.faults()
        .fail_next(1, Verb::Commit, Moment::AfterCall, lost);
    assert!(
        node.cache
            .commit(base.version(), ours.clone())
            .await
            .is_err()
    );
    let theirs = world.changed(&ours).await;
    let outcome = node.cache.commit(base.version(), ours.clone()).await;
    assert_eq!(outcome.unwrap(), Commit::Overtaken(theirs.clone()));
    assert_cached(&node, &ours, &found(&theirs), true).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_conflict_tells_is_kept() {
    let world = World::new();
    let (node, base) = (world.node(), world.stored().await);
    let theirs = world.changed(&base).await;
    let ours = records::successor(&base);
    let outcome = node.cache.commit(base.version(), ours).await.unwrap();
    assert_eq!(outcome, Commit::Conflict(theirs.clone()));
    assert_cached(&node, &base, &found(&theirs), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_renewed_lease_is_kept_with_the_session() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    node.finds(&record, &record).await;
    let lease_end = record.lease_end().after(MILLISECOND);
    let renewal = node
        .cache
        .renew(record.id(), Whose::Login(record.login().stamp), lease_end)
        .await
        .unwrap();
    assert_eq!(renewal, Renewal::Renewed(record.version()));
    let renewed = record.clone().with_lease_end(lease_end);
    assert_cached(&node, &record, &found(&renewed), true).await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_meets_another_version_does_not_renew_the_cached_one() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    world.elsewhere.silence();
    let new = world.changed(&old).await;
    let lease_end = old.lease_end().after(MILLISECOND);
    let renewal = node
        .cache
        .renew(old.id(), Whose::Login(old.login().stamp), lease_end)
        .await
        .unwrap();
    assert_eq!(renewal, Renewal::Renewed(new.version()));
    let renewed = new.clone().with_lease_end(new.lease_end().max(lease_end));
    assert_cached(&node, &old, &found(&renewed), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_deleted_session_stays_deleted_without_asking() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    node.finds(&record, &record).await;
    let gate = node.gates().hold(Verb::Load, Moment::AfterCall);
    let loading = node.loading_latest(record.id());
    gate.arrivals(1).await;
    assert!(
        node.cache
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .is_ok()
    );
    gate.open();
    assert_eq!(loading.await.unwrap(), found(&record));
    // Whatever others report, and however long ago it was: nothing comes back under this id.
    assert_cached(&node, &record, &Load::Absent, true).await;
    let _ = world
        .elsewhere
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
    world.elsewhere.silence();
    tokio::time::sleep(10 * STALENESS).await;
    assert_cached(&node, &record, &Load::Absent, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_failed_leaves_nothing_to_believe() {
    let world = World::new();
    for (moment, is_gone) in [(Moment::BeforeCall, false), (Moment::AfterCall, true)] {
        let (node, record) = (world.node(), world.stored().await);
        node.finds(&record, &record).await;
        node.faults()
            .fail_next(1, Verb::Delete, moment, StoreErrorKind::Interrupted);
        assert!(
            node.cache
                .delete(record.id(), Whose::Login(record.login().stamp))
                .await
                .is_err()
        );
        let expected = if is_gone {
            Load::Absent
        } else {
            found(&record)
        };
        assert_cached(&node, &record, &expected, false).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_deleted_elsewhere_is_absent_at_once() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    node.finds(&record, &record).await;
    let _ = world
        .elsewhere
        .delete(record.id(), Whose::Login(record.login().stamp))
        .await
        .unwrap();
    assert_cached(&node, &record, &Load::Absent, false).await;
}

#[tokio::test(start_paused = true)]
async fn writes_of_one_node_reach_the_other_s_cache() {
    let world = World::new();
    let (here, there) = (world.node(), world.node());
    let mut record = world.stored().await;
    let first = record.clone();
    for _ in 0..10 {
        there.finds(&first, &record).await;
        record = here.commits(&record).await;
        there.finds(&first, &record).await;
        record = there.commits(&record).await;
        here.finds(&first, &record).await;
    }
    assert!(
        there
            .cache
            .delete(record.id(), Whose::Login(record.login().stamp))
            .await
            .is_ok()
    );
    assert_eq!(here.load(&first).await, Load::Absent);
}
