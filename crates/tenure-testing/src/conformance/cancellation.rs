use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use tenure_core::{Clock, Freshness, Load, Record, Renewal, SessionId, SessionStore};

use super::{Fixture, steps};
use crate::records;

/// A load that is dropped at any await takes nothing with it: every later load answers, and with
/// the asked session.
pub async fn a_dropped_load_leaves_the_store_usable(fixture: impl Fixture) {
    let (first, second) = (steps::live(&fixture).await, steps::live(&fixture).await);
    for polls in POLLS {
        for (freshness, asked) in [
            (Freshness::Latest, &first),
            (Freshness::AtLeast(second.version()), &second),
        ] {
            let load = fixture.store().load(asked.id(), freshness);
            if let Some(outcome) = poll_at_most(polls, load).await {
                let outcome = steps::no_fault("load", outcome);
                assert_eq!(outcome, Load::Found(asked.clone()), "a load");
            }
            // A reply to the dropped call would be taken for the reply to one of these.
            steps::holds(&fixture, &second).await;
            steps::holds(&fixture, &first).await;
            steps::absent(&fixture, records::random_id()).await;
        }
    }
}

/// A dropped creation has stored the record or nothing. Nobody makes it again.
pub async fn a_dropped_creation_has_happened_or_not(fixture: impl Fixture) {
    let bystander = steps::live(&fixture).await;
    for polls in POLLS {
        let record = records::fresh(fixture.clock().now());
        let create = fixture.store().create(record.clone());
        let outcome = poll_at_most(polls, create).await;
        steps::holds(&fixture, &bystander).await;
        match steps::load(&fixture, record.id()).await {
            Load::Found(found) => steps::same(&found, &record),
            Load::Absent if outcome.is_none() => {}
            other => panic!("after a dropped creation the session was loaded as {other:?}"),
        }
    }
}

/// A dropped commit leaves the old record or the new one; made again, it is `Stored`.
pub async fn a_dropped_commit_has_happened_or_not(fixture: impl Fixture) {
    let bystander = steps::live(&fixture).await;
    let mut stored = steps::live(&fixture).await;
    for polls in POLLS {
        let next = records::successor(&stored)
            .with_values(records::values([("polls", &polls.to_string())]));
        let commit = fixture.store().commit(stored.version(), next.clone());
        let outcome = poll_at_most(polls, commit).await;
        steps::holds(&fixture, &bystander).await;
        old_or_new(&fixture, &stored, &next, outcome.is_some()).await;
        stored = steps::committed(&fixture, &stored, next).await;
        steps::holds(&fixture, &stored).await;
    }
}

/// A dropped renewal leaves the old lease or the new one; made again, it succeeds.
pub async fn a_dropped_renewal_has_happened_or_not(fixture: impl Fixture) {
    let bystander = steps::live(&fixture).await;
    let mut stored = steps::live(&fixture).await;
    for polls in POLLS {
        let later = stored.lease_end().after(Duration::from_secs(60));
        let renewed = stored.clone().with_lease_end(later);
        let renew = fixture
            .store()
            .renew(stored.id(), steps::theirs(&stored), later);
        let outcome = poll_at_most(polls, renew).await;
        steps::holds(&fixture, &bystander).await;
        old_or_new(&fixture, &stored, &renewed, outcome.is_some()).await;
        let retried = steps::renew(&fixture, &stored, later).await;
        assert_eq!(retried, Renewal::Renewed(stored.version()), "the retry");
        steps::holds(&fixture, &renewed).await;
        stored = renewed;
    }
}

/// A dropped deletion has removed the record or left it as it was; made again, it removes it.
pub async fn a_dropped_deletion_has_happened_or_not(fixture: impl Fixture) {
    let bystander = steps::live(&fixture).await;
    for polls in POLLS {
        let record = steps::live(&fixture).await;
        let delete = fixture.store().delete(record.id(), steps::theirs(&record));
        let outcome = poll_at_most(polls, delete).await;
        steps::holds(&fixture, &bystander).await;
        match steps::load(&fixture, record.id()).await {
            Load::Absent => {}
            Load::Found(found) if outcome.is_none() => steps::same(&found, &record),
            other => panic!("after a dropped deletion the session was loaded as {other:?}"),
        }
        steps::deleted(&fixture, &record).await;
        steps::absent(&fixture, record.id()).await;
        absent_for_good(&fixture, record.id()).await;
    }
}

/// The state after a dropped write; a call that was never dropped must have left the new one.
async fn old_or_new(fixture: &impl Fixture, old: &Record, new: &Record, finished: bool) {
    let found = steps::found(fixture, old.id()).await;
    if finished || found != *old {
        steps::same(&found, new);
    }
}

/// Asks once more after other traffic: a late effect of the dropped call would show now.
async fn absent_for_good(fixture: &impl Fixture, id: SessionId) {
    steps::live(fixture).await;
    steps::absent(fixture, id).await;
}

/// Polls a future at most so often, each time only when it asked to be, then drops it.
pub(crate) async fn poll_at_most<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Never polled, dropped at the first await, at later ones, and in an order that lets short lives
/// follow long ones.
pub(crate) const POLLS: [u32; 24] = [
    0, 1, 2, 1, 3, 0, 1, 4, 2, 5, 1, 1, 6, 3, 2, 0, 1, 8, 2, 1, 16, 1, 3, 1,
];
