//! One committer per session per process.
//!
//! Requests that commit to one session at the same time line up. Whoever is at the head commits
//! what all of them want with one store call, so a session that many requests write at once costs
//! fewer store calls instead of more, and requests of one node do not conflict with each other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Core,
    combine::{ChangeSet, Combined},
    events,
};
use crate::{Commit, Record, SessionId, Values, Version, entropy::random, session::SessionError};

/// The sessions that are being committed to right now.
#[derive(Debug)]
pub(super) struct Lines {
    shards: [Mutex<HashMap<SessionId, Arc<Line>>>; SHARDS],
}

/// The requests that want to commit to one session.
#[derive(Debug, Default)]
struct Line {
    waiting: Mutex<Vec<Arc<Place>>>,
    head: tokio::sync::Mutex<Head>,
}

/// A request's place in the line.
#[derive(Debug)]
struct Place {
    set: ChangeSet,
    outcome: Mutex<Option<Result<Settled, SessionError>>>,
}

/// What the committer at the head knows, and passes on to the next.
#[derive(Debug, Default)]
struct Head {
    /// What the last commit of this line stored: the best guess at what is stored now.
    newest: Option<Record>,
    /// A commit that was sent, but whose committer went away before the answer came. The next
    /// committer sends the very same one again: it recognises itself if it had happened.
    in_flight: Option<Attempt>,
}

#[derive(Debug)]
struct Attempt {
    expected: Version,
    record: Record,
    places: Vec<(Arc<Place>, Values)>,
}

/// What a request's commit came to.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    /// What is stored.
    pub(crate) record: Record,
    /// The values right after this request's own changes. Others may follow in the same commit.
    pub(crate) view: Values,
}

impl Lines {
    /// Commits a change set. `loaded` is the record it is based on.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the changes written or not, never in part; the rest of the line
    /// goes on.
    pub(super) async fn commit(
        &self,
        core: &Core,
        loaded: &Record,
        set: ChangeSet,
    ) -> Result<Settled, SessionError> {
        let id = loaded.id();
        let line = self.join(id);
        let place = Arc::new(Place {
            set,
            outcome: Mutex::new(None),
        });
        line.line.waiting.lock().push(Arc::clone(&place));
        loop {
            let mut head = line.line.head.lock().await;
            if let Some(outcome) = place.outcome.lock().take() {
                return outcome;
            }
            line.line.commit_waiting(core, loaded, &mut head).await;
        }
    }

    fn join(&self, id: SessionId) -> Membership<'_> {
        let shard = &self.shards[usize::from(id.as_bytes()[0]) % SHARDS];
        let line = Arc::clone(shard.lock().entry(id).or_default());
        Membership { shard, id, line }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

/// Keeps a line in the table for as long as anyone stands in it.
struct Membership<'a> {
    shard: &'a Mutex<HashMap<SessionId, Arc<Line>>>,
    id: SessionId,
    line: Arc<Line>,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let mut shard = self.shard.lock();
        // Joining needs the shard too, so nobody can come between the count and the removal: two
        // are this membership and the table itself.
        if Arc::strong_count(&self.line) == 2 {
            shard.remove(&self.id);
        }
    }
}

impl Line {
    /// Commits for all who wait, until each of those has an outcome.
    async fn commit_waiting(&self, core: &Core, loaded: &Record, head: &mut Head) {
        let mut attempts = 0;
        let mut retried = false;
        let mut stored = head
            .newest
            .take()
            .map_or_else(|| loaded.clone(), |newest| newer(newest, loaded));
        let mut places = Vec::new();
        loop {
            if head.in_flight.is_none() {
                self.gather(&mut places);
                match prepare(core, &stored, &places) {
                    Ok(attempt) => head.in_flight = attempt,
                    Err(error) => return settle_all(places, &error),
                }
            }
            let Some(attempt) = &head.in_flight else {
                head.newest = Some(stored);
                return;
            };
            // What was sent stays in `head` until its outcome is known: this is where a committer
            // may be dropped.
            let outcome = core
                .store
                .commit(attempt.expected, attempt.record.clone())
                .await;
            if matches!(&outcome, Err(error) if error.outcome_unknown() && !retried) {
                retried = true;
                continue;
            }
            let Some(attempt) = head.in_flight.take() else {
                return;
            };
            match outcome {
                Ok(Commit::Stored) => {
                    head.newest = Some(attempt.record.clone());
                    return attempt.settle();
                }
                Ok(Commit::Conflict(current)) => {
                    attempts += 1;
                    places = attempt.into_places();
                    events::conflict(core, &current, attempts);
                    if attempts == MOST_ATTEMPTS {
                        events::contended(core, current.id(), attempts);
                        return settle_all(places, &SessionError::Contended { attempts });
                    }
                    stored = *current;
                    pause(core, attempts).await;
                }
                Ok(Commit::Gone) => return settle_all(attempt.into_places(), &SessionError::Gone),
                Err(error) => return settle_all(attempt.into_places(), &error.into()),
            }
        }
    }

    /// Adds those who have come since, and leaves out those who have gone.
    fn gather(&self, places: &mut Vec<Arc<Place>>) {
        places.append(&mut self.waiting.lock());
        places.retain(|place| Arc::strong_count(place) > 1);
        // Within one commit, all that verified with the old secret go before whoever replaces it.
        places.sort_by_key(|place| place.set.rotation.is_some());
    }
}

/// Makes the next commit of what `places` want; those that cannot have it get their outcome.
/// `None` if nobody is left.
fn prepare(
    core: &Core,
    stored: &Record,
    places: &[Arc<Place>],
) -> Result<Option<Attempt>, SessionError> {
    let tag = u64::from_be_bytes(random(&*core.entropy)?);
    let sets = places.iter().map(|place| &place.set);
    let combined = core.terms.combine(stored, sets, tag, core.clock.now());
    let is_worth_sending = combined.has_changes();
    let Combined { record, verdicts } = combined;
    let mut taken = Vec::with_capacity(places.len());
    for (place, verdict) in places.iter().zip(verdicts) {
        match verdict {
            Ok(view) => taken.push((Arc::clone(place), view)),
            Err(error) => {
                if matches!(error, SessionError::HistoryLost) {
                    let relation = stored.lineage().relation(place.set.base.version);
                    events::history_lost(core, stored.id(), relation);
                }
                *place.outcome.lock() = Some(Err(error));
            }
        }
    }
    Ok(is_worth_sending.then(|| Attempt {
        expected: stored.version(),
        record,
        places: taken,
    }))
}

impl Attempt {
    fn settle(self) {
        for (place, view) in self.places {
            let record = self.record.clone();
            *place.outcome.lock() = Some(Ok(Settled { record, view }));
        }
    }

    fn into_places(self) -> Vec<Arc<Place>> {
        self.places.into_iter().map(|(place, _)| place).collect()
    }
}

fn settle_all(places: Vec<Arc<Place>>, error: &SessionError) {
    for place in places {
        *place.outcome.lock() = Some(Err(error.clone()));
    }
}

fn newer(newest: Record, loaded: &Record) -> Record {
    if newest.version().counter() < loaded.version().counter() {
        loaded.clone()
    } else {
        newest
    }
}

/// Lets others go first: at once after the first conflict, since that brought the current record
/// along; then for a random time that doubles, so that two committers do not stay in step.
async fn pause(core: &Core, attempts: u32) {
    if attempts < 2 {
        return;
    }
    let most = Duration::from_micros(500) * (1 << attempts.min(6));
    let share = random::<1>(&*core.entropy).map_or(1, |[byte]| u32::from(byte) + 1);
    tokio::time::sleep(most * share / 256).await;
}

/// With one committer per node, as many conflicts in a row mean dozens of nodes or a broken store.
const MOST_ATTEMPTS: u32 = 32;

/// Enough that two cores seldom meet.
const SHARDS: usize = 32;
