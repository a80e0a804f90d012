//! One committer per session per process.
//!
//! Requests that commit to one session at the same time line up. Whoever is at the head commits
//! what all of them want with one store call, so a session that many requests write at once costs
//! fewer store calls instead of more, and requests of one node do not conflict with each other.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use parking_lot::Mutex;

use super::{
    Core,
    attempt::{Attempt, Judged},
    combine::{ChangeSet, Combined},
    events,
};
use crate::{
    Commit, Record, SessionId, StoreError,
    changes::{SessionError, drop_guarded},
    entropy::random,
    model::{BySession, Edits},
};

/// The sessions that are being committed to right now.
#[derive(Debug)]
pub(super) struct Lines {
    shards: [Mutex<BySession<Slot>>; SHARDS],
}

/// A line, and how many requests stand in it.
#[derive(Debug, Default)]
struct Slot {
    line: Arc<Line>,
    members: usize,
}

/// The requests that want to commit to one session.
#[derive(Default)]
struct Line {
    waiting: Mutex<Vec<Arc<Place>>>,
    head: Mutex<Head>,
    round: Mutex<Option<WeakShared<BoxFuture<'static, Ended>>>>,
}

/// The work of the committer at the head. Everybody in the line polls it, so that it goes on although
/// one of them is kept waiting somewhere else, or leaves. It waits for the store and for nothing else: a timer
/// would belong to the runtime of whoever polled it first.
type Round = Shared<BoxFuture<'static, Ended>>;

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All who were in it have their outcome.
    Settled,
    /// Others were faster so many times in a row that a pause is due before the next round.
    Outrun { conflicts: u32 },
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
/// round that nobody polls any more is here, not in its own variables.
#[derive(Debug, Default)]
struct Head {
    /// The newest record that is known to have been stored: the best guess at what is stored now.
    newest: Option<Record>,
    /// Those whose changes are not in a commit yet.
    places: Vec<Arc<Place>>,
    /// A commit that was sent and whose outcome is not known yet. If its round is given up, the next one
    /// sends the very same commit again: it recognises itself if it had happened.
    in_flight: Option<Attempt>,
    /// How many times in a row others have been faster.
    conflicts: u32,
}

/// What a request's commit came to.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    /// What is stored.
    pub(crate) record: Record,
    /// What the request's own changes came to. Others may have followed in the same commit.
    pub(crate) own: Edits,
}

impl Lines {
    /// Commits what one request wants.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the changes written or not, never in part; the rest of the line
    /// goes on. So it does if the future is kept and not polled.
    pub(super) async fn commit(
        &self,
        core: &Arc<Core>,
        place: &Arc<Place>,
    ) -> Result<Settled, SessionError> {
        let line = self.join(place.id());
        line.line.waiting.lock().push(Arc::clone(place));
        loop {
            if let Some(outcome) = place.outcome.lock().take() {
                return outcome;
            }
            if let Ended::Outrun { conflicts } = line.line.round(core).await {
                pause(core, conflicts / CONFLICTS_PER_PAUSE).await;
            }
        }
    }

    /// How many lines there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    fn join(&self, id: SessionId) -> Membership<'_> {
        let shard = &self.shards[usize::from(id.as_bytes()[0]) % SHARDS];
        let mut slots = shard.lock();
        let slot = slots.entry(id).or_default();
        slot.members += 1;
        let line = Arc::clone(&slot.line);
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
    shard: &'a Mutex<BySession<Slot>>,
    id: SessionId,
    line: Arc<Line>,
}

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        let mut slots = self.shard.lock();
        let Some(slot) = slots.get_mut(&self.id) else {
            return;
        };
        slot.members -= 1;
        if slot.members == 0 {
            let left = slots.remove(&self.id);
            // What stands in it is the application's in part, and may take its time.
            drop(slots);
            drop(left);
        }
    }
}

impl Line {
    /// The round under way, or a new one.
    fn round(self: &Arc<Self>, core: &Arc<Core>) -> Round {
        let mut round = self.round.lock();
        let under_way = round.as_ref().and_then(WeakShared::upgrade);
        if let Some(under_way) = under_way.filter(|round| round.peek().is_none()) {
            return under_way;
        }
        let (line, core) = (Arc::clone(self), Arc::clone(core));
        let begun = async move { line.commit_waiting(&core).await };
        let begun = begun.boxed().shared();
        *round = begun.downgrade();
        begun
    }

    /// Commits for all who wait, until each of those has an outcome.
    ///
    /// A round that follows another one lets whoever else is ready go first: more of this node's requests join
    /// it, and another node that has just lost gets its turn.
    ///
    /// After a conflict the very next thing is another commit, onto the record that came along with it.
    /// Any pause between learning what is stored and using it would give another node the time to store
    /// something else, and a node that pauses would lose against one that does not, for ever. Now and then there
    /// is one all the same, between two rounds, so that two nodes do not keep in step; the commit after it finds out what is stored by
    /// then, and the one after that uses it.
    async fn commit_waiting(&self, core: &Core) -> Ended {
        let mut has_repeated = false;
        let follows_another = self.head.lock().newest.is_some();
        if follows_another {
            yield_once().await;
        }
        loop {
            let (expected, record) = {
                // Held while code of the application is replayed. Nobody else takes it: rounds come one
                // after the other.
                let mut head = self.head.lock();
                if head.in_flight.is_none() {
                    head.admit(std::mem::take(&mut *self.waiting.lock()));
                    head.prepare(core);
                }
                let Some(attempt) = &mut head.in_flight else {
                    return Ended::Settled;
                };
                attempt.begin()
            };
            let outcome = core.commit(expected, record).await;
            if matches!(&outcome, Err(error) if error.outcome_unknown() && !has_repeated) {
                has_repeated = true;
                continue;
            }
            let mut head = self.head.lock();
            let conflicts = head.take_in(core, outcome);
            if conflicts == 0 {
                return Ended::Settled;
            }
            if conflicts.is_multiple_of(CONFLICTS_PER_PAUSE) {
                return Ended::Outrun { conflicts };
            }
        }
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line")
            .field("waiting", &self.waiting.lock().len())
            .finish_non_exhaustive()
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
                Ok(own) => taken.push((place, own)),
                Err(error) => {
                    if matches!(error, SessionError::HistoryLost) {
                        events::history_lost(core, record.id(), relation(&place));
                    }
                    place.settle(Err(error));
                }
            }
        }
        self.in_flight = (!taken.is_empty()).then(|| Attempt::new(expected, record, taken));
    }

    /// Takes in what the store said to the commit in flight. Returns how many times in a row others have
    /// been faster; zero if there is nothing to go on with.
    fn take_in(&mut self, core: &Core, outcome: Result<Commit, StoreError>) -> u32 {
        let judged = self.in_flight.take().map(|attempt| attempt.judge(outcome));
        let conflicts = std::mem::take(&mut self.conflicts);
        match judged {
            Some(Judged::Settled(newest)) => self.newest = newest.or(self.newest.take()),
            Some(Judged::Conflict { current, places }) => {
                let conflicts = conflicts + 1;
                events::conflict(core, &current, conflicts);
                self.newest = Some(current);
                self.places.extend(places);
                if conflicts < MOST_CONFLICTS {
                    self.conflicts = conflicts;
                } else {
                    self.give_up(core, conflicts);
                }
            }
            None => {}
        }
        self.conflicts
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

    pub(super) fn settle(&self, outcome: Result<Settled, SessionError>) {
        *self.outcome.lock() = Some(outcome);
    }
}

impl Drop for Place {
    /// A request that has left leaves its place to whoever commits.
    fn drop(&mut self) {
        drop_guarded(std::mem::take(&mut self.set.changes));
    }
}

pub(super) fn settle_all(places: impl Iterator<Item = Arc<Place>>, error: &SessionError) {
    for place in places {
        place.settle(Err(error.clone()));
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets others go first, for a random time that doubles with each pause.
async fn pause(core: &Core, pauses: u32) {
    let most = Duration::from_micros(500) * (1 << pauses.min(6));
    let share = random::<1>(&*core.entropy).map_or(1, |[byte]| u32::from(byte) + 1);
    tokio::time::sleep(most * share / 256).await;
}

/// Of two nodes that commit at the same time one has a conflict, by chance; so many in a row mean dozens
/// of nodes or a broken store. Mostly the deadline comes first.
const MOST_CONFLICTS: u32 = 256;

/// Seldom enough that pauses cost next to nothing.
const CONFLICTS_PER_PAUSE: u32 = 16;

/// Enough that two cores seldom meet.
const SHARDS: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn whoever_is_the_last_to_leave_takes_the_line_out_of_the_table() {
        const ROUNDS: u64 = 20_000;
        let (lines, gate) = (Lines::default(), Barrier::new(2));
        let run = || {
            for round in 0..ROUNDS {
                let mut id = [0; 16];
                id[..8].copy_from_slice(&round.to_le_bytes());
                let member = lines.join(SessionId::from_bytes(id));
                gate.wait();
                drop(member);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(run);
            scope.spawn(run);
        });
        assert_eq!(
            lines.len(),
            0,
            "of {ROUNDS} lines that two left at the same time"
        );
    }
}
