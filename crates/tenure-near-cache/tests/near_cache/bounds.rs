//! How much is kept.

use tenure_core::{Clock, Load, LoginStamp, SessionStore, Whose};
use tenure_testing::records;

use crate::support::{World, found};

const MAX_BYTES: u64 = 1 << 20;

#[tokio::test(start_paused = true)]
async fn the_bound_holds_under_ten_times_as_many_sessions() {
    let world = World::new();
    let node = world.node_with(|builder| builder.max_bytes(MAX_BYTES));
    let mut sessions = Vec::new();
    for _ in 0..10 * MAX_BYTES / 1024 {
        let record = records::padded(&records::fresh(world.clock.now()), 1024);
        assert!(node.cache.create(record.clone()).await.is_ok());
        assert!(node.cache.metrics().bytes <= MAX_BYTES);
        sessions.push(record);
    }
    let metrics = node.cache.metrics();
    assert!(metrics.bytes > MAX_BYTES / 2, "{metrics:?}");
    for record in &sessions {
        node.finds(record, record).await;
    }
    assert!(node.cache.metrics().bytes <= MAX_BYTES);
}

#[tokio::test(start_paused = true)]
async fn sessions_that_are_not_there_are_bounded_too() {
    let world = World::new();
    let node = world.node_with(|builder| builder.max_bytes(MAX_BYTES));
    for _ in 0..20_000 {
        let record = records::fresh(world.clock.now());
        assert_eq!(node.load(&record).await, Load::Absent);
        assert!(
            node.cache
                .delete(records::random_id(), Whose::Login(LoginStamp::NOBODY))
                .await
                .is_ok()
        );
    }
    assert!(node.cache.metrics().bytes <= MAX_BYTES);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_grows_beyond_the_bound_leaves_its_old_state_nowhere() {
    let world = World::new();
    let node = world.node_with(|builder| builder.max_bytes(64 << 10));
    let small = world.stored().await;
    node.finds(&small, &small).await;
    let large = records::padded(&records::successor(&small), 128 << 10);
    let outcome = node.cache.commit(small.version(), large.clone()).await;
    assert!(outcome.is_ok());
    for _ in 0..3 {
        assert_eq!(node.load(&small).await, found(&large));
    }
    assert_eq!(node.loads(), 4);
}
