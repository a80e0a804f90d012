use std::{future::Future, sync::Arc};

use tenure_core::{Clock, Commit, Create, Freshness, Load, Record, Renewal, SessionStore};
use tokio::{
    sync::Barrier,
    task::{JoinSet, yield_now},
};

use super::{Fixture, steps};
use crate::records;

/// However many commits start from one version at a time, one is `Stored`, and the others conflict
/// with exactly that one's record.
pub async fn of_concurrent_commits_from_one_version_exactly_one_is_stored(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let base = steps::live(&*fixture).await;
        let outcomes = at_once(&fixture, {
            let base = base.clone();
            move |fixture, writer| {
                let base = base.clone();
                async move {
                    let ours = counted(&base, writer);
                    let outcome = steps::commit(&*fixture, base.version(), &ours).await;
                    (ours, outcome)
                }
            }
        })
        .await;
        let mut winners = outcomes.iter().filter(|(_, outcome)| is_stored(outcome));
        let (Some((winner, _)), None) = (winners.next(), winners.next()) else {
            let stored = outcomes.iter().filter(|(_, outcome)| is_stored(outcome));
            panic!(
                "of {TASKS} concurrent commits {} were stored",
                stored.count()
            );
        };
        for (_, outcome) in &outcomes {
            if !is_stored(outcome) {
                steps::conflicts_with(outcome, winner);
            }
        }
        steps::holds(&*fixture, winner).await;
    }
}

/// However many creations meet under one id, one is `Created`, and its record is the one stored.
pub async fn of_concurrent_creations_under_one_id_exactly_one_happens(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let id = records::random_id();
        let outcomes = at_once(&fixture, move |fixture, _| async move {
            let ours = records::fresh_under(id, fixture.clock().now());
            let outcome = steps::create(&*fixture, &ours).await;
            (ours, outcome)
        })
        .await;
        let created: Vec<_> = outcomes
            .iter()
            .filter(|(_, outcome)| *outcome == Create::Created)
            .collect();
        assert_eq!(created.len(), 1, "of {TASKS} concurrent creations");
        steps::holds(&*fixture, &created[0].0).await;
    }
}

/// A commit that arrives several times at once, as after a time-out and a retry, is `Stored` for
/// each sender, and happens once.
pub async fn a_commit_that_is_sent_twice_at_once_happens_once(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let base = steps::live(&*fixture).await;
        let next = counted(&base, 1);
        let (expected, sent) = (base.version(), next.clone());
        let outcomes = at_once(&fixture, move |fixture, _| {
            let sent = sent.clone();
            async move { steps::commit(&*fixture, expected, &sent).await }
        })
        .await;
        let stored = outcomes.iter().all(is_stored);
        assert!(stored, "one commit, sent by {TASKS} tasks: {outcomes:?}");
        steps::holds(&*fixture, &next).await;
    }
}

/// Tasks that read, add one and commit, again on a conflict, lose no addition.
pub async fn concurrent_updates_are_all_kept(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    let first = steps::live(&*fixture).await;
    let id = first.id();
    at_once(&fixture, move |fixture, _| async move {
        for _ in 0..UPDATES_PER_TASK {
            let mut current = steps::found(&*fixture, id).await;
            loop {
                let next = counted(&current, count(&current) + 1);
                // Between reading and writing the others get their turn, even if the store never waits.
                yield_now().await;
                match steps::commit(&*fixture, current.version(), &next).await {
                    Commit::Stored => break,
                    Commit::Conflict(newer) => {
                        assert!(
                            newer.version().counter() > current.version().counter(),
                            "a conflict with an older record: the loop would never end"
                        );
                        current = newer;
                    }
                    Commit::Overtaken(_) => panic!("a commit that was made once was overtaken"),
                    Commit::Gone => panic!("a live session is gone"),
                }
            }
        }
    })
    .await;
    let last = steps::found(&*fixture, id).await;
    let updates = TASKS * UPDATES_PER_TASK;
    assert_eq!(
        count(&last),
        updates,
        "updates that were acknowledged and kept"
    );
    let commits = last.version().counter() - first.version().counter();
    assert_eq!(
        usize::try_from(commits),
        Ok(updates),
        "commits that the version counted"
    );
}

/// A deletion among commits and renewals is the end: whatever was on its way finds nothing, and
/// nothing is there afterwards.
pub async fn a_deletion_among_concurrent_commits_is_final(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let base = steps::live(&*fixture).await;
        let id = base.id();
        at_once(&fixture, move |fixture, task| {
            let base = base.clone();
            async move {
                match task % 4 {
                    0 => steps::deleted(&*fixture, &base).await,
                    1 => {
                        let outcome = steps::renew(&*fixture, &base, base.absolute_end()).await;
                        // Which of the two it is, the race decides.
                        assert_ne!(outcome, Renewal::Superseded);
                    }
                    _ => commit_until_gone(&*fixture, base, task).await,
                }
            }
        })
        .await;
        steps::absent(&*fixture, id).await;
    }
}

/// Answers are not mixed up: concurrent loads of many sessions return each its own.
pub async fn concurrent_loads_never_answer_with_another_session(fixture: impl Fixture) {
    let fixture = Arc::new(fixture);
    let mut sessions = Vec::new();
    for number in 0..SESSIONS {
        let record = counted(&steps::live(&*fixture).await, number);
        let base = steps::found(&*fixture, record.id()).await;
        sessions.push(steps::committed(&*fixture, &base, record).await);
    }
    let sessions: Arc<[Record]> = sessions.into();
    at_once(&fixture, move |fixture, task| {
        let sessions = Arc::clone(&sessions);
        async move {
            // A stride of its own lets each task meet the others at different sessions.
            for expected in sessions
                .iter()
                .cycle()
                .step_by(1 + task)
                .take(sessions.len())
            {
                let freshness = Freshness::AtLeast(expected.version());
                let outcome = fixture.store().load(expected.id(), freshness).await;
                match steps::no_fault("load", outcome) {
                    Load::Found(found) => {
                        assert!(found.id() == expected.id(), "another session was answered");
                        steps::same(&found, expected);
                    }
                    outcome => panic!("a live session was loaded as {outcome:?}"),
                }
            }
        }
    })
    .await;
}

/// Runs `task` in [`TASKS`] tasks that start together, and returns what each made of it.
pub(crate) async fn at_once<F, M, T>(fixture: &Arc<F>, task: M) -> Vec<T::Output>
where
    F: Fixture,
    M: Fn(Arc<F>, usize) -> T,
    T: Future<Output: Send> + Send + 'static,
{
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for number in 0..TASKS {
        let start = Arc::clone(&start);
        let body = task(Arc::clone(fixture), number);
        tasks.spawn(async move {
            start.wait().await;
            body.await
        });
    }
    tasks.join_all().await
}

/// Ends, since some other task deletes the session, or fails after far more commits than could fit
/// before that.
async fn commit_until_gone(fixture: &impl Fixture, base: Record, task: usize) {
    let mut current = base;
    for _ in 0..MOST_COMMITS {
        let next = counted(&current, task);
        current = match steps::commit(fixture, current.version(), &next).await {
            Commit::Stored => next,
            Commit::Conflict(newer) | Commit::Overtaken(newer) => newer,
            Commit::Gone => return,
        };
        // A store that never waits would keep its thread, and the deletion from running at all.
        yield_now().await;
    }
    panic!("a deleted session still takes commits");
}

fn is_stored(outcome: &Commit) -> bool {
    *outcome == Commit::Stored
}

fn counted(base: &Record, count: usize) -> Record {
    let count = count.to_string();
    records::successor(base).with_values(records::values([("count", &count)]))
}

fn count(record: &Record) -> usize {
    let bytes = record.values().get("count").unwrap_or_default();
    str::from_utf8(&bytes)
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or_default()
}

pub(crate) const TASKS: usize = 16;
const UPDATES_PER_TASK: usize = 25;
const ROUNDS: usize = 8;
const SESSIONS: usize = 64;
const MOST_COMMITS: usize = 10_000;
