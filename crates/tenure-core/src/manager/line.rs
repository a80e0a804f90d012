//! One committer per session per process.
//!
//! Requests that commit to one session at the same time line up. Whoever is at the head commits
//! what all of them want with one store call, so a session that many requests write at once costs
//! fewer store calls instead of more, and requests of one node do not conflict with each other.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    Core,
    combine::{ChangeSet, Combined},
    events,
};
use crate::{
    Commit, Record, SessionId, StoreError, Values, Version, changes::SessionError, entropy::random,
    model::BySession,
};

/// The sessions that are being committed to right now.
#[derive(Debug)]
pub(super) struct Lines {
    shards: [Mutex<BySession<Arc<Line>>>; SHARDS],
}

/// The requests that want to commit to one session.
#[derive(Debug, Default)]
struct Line {
    waiting: Mutex<Vec<Arc<Place>>>,
    head: tokio::sync::Mutex<Head>,
}

/// A request's place in the line.
#[derive(Debug)]
pub(super) struct Place {
    /// The record that the changes are based on.
    loaded: Record,
    pub(super) set: ChangeSet,
    outcome: Mutex<Option<Result<Settled, SessionError>>>,
}

/// What the committer at the head knows, and passes on to the next. Everything that must survive a
/// committer that is dropped is here, not in its own variables.
#[derive(Debug, Default)]
struct Head {
    /// The newest record that is known to have been stored: the best guess at what is stored now.
    newest: Option<Record>,
    /// Those whose changes are not in a commit yet.
    places: Vec<Arc<Place>>,
    /// A commit that was sent and whose outcome is not known yet. If its committer goes away, the
    /// next one sends the very same commit again: it recognises itself if it had happened.
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
    /// Commits what one request wants.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the changes written or not, never in part; the rest of the line
    /// goes on.
    pub(super) async fn commit(
        &self,
        core: &Core,
        place: &Arc<Place>,
    ) -> Result<Settled, SessionError> {
        let line = self.join(place.id());
        line.line.waiting.lock().push(Arc::clone(place));
        loop {
            let mut head = line.line.head.lock().await;
            if let Some(outcome) = place.outcome.lock().take() {
                return outcome;
            }
            line.line.commit_waiting(core, &mut head).await;
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
    shard: &'a Mutex<BySession<Arc<Line>>>,
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
    async fn commit_waiting(&self, core: &Core, head: &mut Head) {
        let mut attempts = 0;
        let mut retried = false;
        loop {
            if head.in_flight.is_none() {
                head.admit(std::mem::take(&mut *self.waiting.lock()));
                head.prepare(core);
            }
            let Some(attempt) = &head.in_flight else {
                return;
            };
            let commit = core.store.commit(attempt.expected, attempt.record.clone());
            let outcome = commit.await;
            if matches!(&outcome, Err(error) if error.outcome_unknown() && !retried) {
                retried = true;
                continue;
            }
            let Some(current) = head.take_outcome(outcome) else {
                return;
            };
            attempts += 1;
            events::conflict(core, current, attempts);
            if attempts == MOST_ATTEMPTS {
                return head.give_up(core, attempts);
            }
            pause(core, attempts).await;
        }
    }
}

impl Head {
    /// Takes in those who have come. What they have loaded may be newer than what is known here, if
    /// another node has committed since.
    fn admit(&mut self, arrivals: Vec<Arc<Place>>) {
        for place in &arrivals {
            let known = self
                .newest
                .as_ref()
                .map(|newest| newest.version().counter());
            if known.is_none_or(|known| known < place.loaded.version().counter()) {
                self.newest = Some(place.loaded.clone());
            }
        }
        if self.places.is_empty() {
            self.places = arrivals;
        } else {
            self.places.extend(arrivals);
        }
    }

    /// Makes the next commit of what all places want. Those that cannot have it get their outcome.
    fn prepare(&mut self, core: &Core) {
        // Leave out those who have gone: nobody else holds their place.
        self.places.retain(|place| Arc::strong_count(place) > 1);
        // Within one commit, all that verified with the old secret go before whoever replaces it.
        self.places
            .sort_by_key(|place| place.set.rotation.is_some());
        let Some(stored) = &self.newest else { return };
        let tag = match random(&*core.entropy) {
            Ok(bytes) => u64::from_be_bytes(bytes),
            Err(error) => return settle_all(self.places.drain(..), &error.into()),
        };
        let sets = self.places.iter().map(|place| &place.set);
        let Combined { record, verdicts } = core.terms.combine(stored, sets, tag, core.clock.now());
        let expected = stored.version();
        let relation = |place: &Place| stored.lineage().relation(place.set.base.version);
        let mut taken = Vec::with_capacity(self.places.len());
        for (place, verdict) in self.places.drain(..).zip(verdicts) {
            match verdict {
                Ok(view) => taken.push((place, view)),
                Err(error) => {
                    if matches!(error, SessionError::HistoryLost) {
                        events::history_lost(core, record.id(), relation(&place));
                    }
                    place.settle(Err(error));
                }
            }
        }
        self.in_flight = (!taken.is_empty()).then_some(Attempt {
            expected,
            record,
            places: taken,
        });
    }

    /// Takes in what the store said to the commit in flight. Returns what is stored now if somebody
    /// else was faster; everybody else in the commit has an outcome then or is back in `places`.
    fn take_outcome(&mut self, outcome: Result<Commit, StoreError>) -> Option<&Record> {
        let attempt = self.in_flight.take()?;
        match outcome {
            Ok(Commit::Stored(_)) => {
                for (place, view) in attempt.places {
                    let record = attempt.record.clone();
                    place.settle(Ok(Settled { record, view }));
                }
                self.newest = Some(attempt.record);
                None
            }
            Ok(Commit::Conflict(current)) => {
                self.places
                    .extend(attempt.places.into_iter().map(|(place, _)| place));
                Some(self.newest.insert(current))
            }
            Ok(Commit::Gone) => {
                settle_all(attempt.into_places(), &SessionError::Gone);
                None
            }
            Err(error) => {
                settle_all(attempt.into_places(), &error.into());
                None
            }
        }
    }

    fn give_up(&mut self, core: &Core, attempts: u32) {
        if let Some(newest) = &self.newest {
            events::contended(core, newest.id(), attempts);
        }
        settle_all(self.places.drain(..), &SessionError::Contended { attempts });
    }
}

impl Place {
    /// For changes that are based on `loaded`.
    pub(super) fn new(loaded: Record, set: ChangeSet) -> Self {
        Self {
            loaded,
            set,
            outcome: Mutex::new(None),
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.loaded.id()
    }

    fn settle(&self, outcome: Result<Settled, SessionError>) {
        *self.outcome.lock() = Some(outcome);
    }
}

impl Attempt {
    fn into_places(self) -> impl Iterator<Item = Arc<Place>> {
        self.places.into_iter().map(|(place, _)| place)
    }
}

fn settle_all(places: impl Iterator<Item = Arc<Place>>, error: &SessionError) {
    for place in places {
        place.settle(Err(error.clone()));
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
