//! What the feed proves, and what follows when it falls silent.

use std::{sync::mpsc, thread};

use tokio::{
    runtime::{Builder, Runtime},
    time::sleep,
};

use crate::support::{MILLISECOND, STALENESS, World};

#[tokio::test(start_paused = true)]
async fn a_feed_that_is_alive_proves_answers_of_any_age_below_the_revalidation_bound() {
    let world = World::new();
    let (node, record) = (world.node(), world.stored().await);
    node.finds(&record, &record).await;
    for _ in 0..29 {
        sleep(STALENESS).await;
        node.finds(&record, &record).await;
    }
    assert_eq!(node.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_feed_proves_nothing_and_hits_come_back_with_it() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    sleep(STALENESS).await;
    world.elsewhere.silence();
    let new = world.changed(&old).await;
    // At worst the last proof is from just now.
    sleep(STALENESS).await;
    node.finds(&old, &new).await;
    assert_eq!(node.cache.metrics().misses.unproven, 1);
    assert!(node.cache.metrics().proof_age.unwrap() >= STALENESS);
    world.elsewhere.deliver();
    sleep(STALENESS).await;
    let loads = node.loads();
    node.finds(&old, &new).await;
    sleep(STALENESS).await;
    node.finds(&old, &new).await;
    // The report of the change that was held back took the entry out once more.
    assert_eq!(node.loads(), loads + 1);
}

/// The seeded bug: taken at the answer, the proof would cover a time in which a change may have been
/// made after the store put the answer into the stream.
#[tokio::test(start_paused = true)]
async fn a_proof_counts_from_when_it_was_asked_for() {
    let world = World::new();
    world.elsewhere.delay_proofs(STALENESS * 3 / 4);
    let (node, record) = (world.node(), world.stored().await);
    // The first proof is asked for now and arrives after three quarters of the bound, when the next
    // one is asked for.
    node.finds(&record, &record).await;
    sleep(STALENESS - MILLISECOND).await;
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 1);
    sleep(MILLISECOND).await;
    node.finds(&record, &record).await;
    assert_eq!(node.loads(), 2, "no proof is from less than the bound ago");
    assert_eq!(node.cache.metrics().misses.unproven, 1);
}

#[tokio::test(start_paused = true)]
async fn a_loss_of_the_feed_empties_the_cache() {
    let world = World::new();
    let (node, old) = (world.node(), world.stored().await);
    node.finds(&old, &old).await;
    world.elsewhere.silence();
    let new = world.changed(&old).await;
    world.elsewhere.lose();
    let metrics = node.cache.metrics();
    assert_eq!((metrics.entries, metrics.bytes, metrics.losses), (0, 0, 1));
    node.finds(&old, &new).await;
}

/// As under actix, where each worker has a runtime of its own.
#[test]
fn a_runtime_that_blocks_after_the_first_load_does_not_stop_the_proofs() {
    let world = World::new();
    let home = runtime();
    let node = home.block_on(async { world.node() });
    let record = home.block_on(world.stored());
    thread::scope(|scope| {
        let (node, record) = (&node, &record);
        let (is_blocked, blocked) = mpsc::channel();
        let (release, released) = mpsc::channel();
        scope.spawn(move || {
            runtime().block_on(async {
                node.finds(record, record).await;
                is_blocked.send(()).unwrap();
                released.recv().unwrap();
            });
        });
        // Not within the runtime, whose paused clock would run ahead meanwhile.
        blocked.recv().unwrap();
        home.block_on(async {
            for _ in 0..10 {
                sleep(STALENESS).await;
                node.finds(record, record).await;
            }
        });
        release.send(()).unwrap();
    });
    assert_eq!(node.loads(), 1);
}

/// As with servers that are tested or reloaded: the runtime on which the cache was first used ends,
/// and the cache is used on another one.
#[test]
fn a_cache_outlives_the_runtime_on_which_it_began() {
    let world = World::new();
    let first = runtime();
    let node = first.block_on(async { world.node() });
    let record = first.block_on(async {
        let record = world.stored().await;
        node.finds(&record, &record).await;
        record
    });
    drop(first);
    runtime().block_on(async {
        for _ in 0..10 {
            sleep(STALENESS).await;
            node.finds(&record, &record).await;
        }
        // One to find that nothing is proven any more; it starts the pulse again.
        assert!(node.loads() <= 2, "{} loads", node.loads());
    });
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}
