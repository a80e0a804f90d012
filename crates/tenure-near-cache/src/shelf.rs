//! What is cached, and which calls are under way that may add to it or spoil it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use quick_cache::sync::Cache;
use tenure_core::{
    Absence, Clock, Feed, FeedListener, Freshness, Load, Part, Record, Relation, SessionId,
    Standing, Timestamp, Version,
};
use tokio::time::Instant;

use crate::{
    events,
    flight::{Flight, WeakFlight},
    metrics::Counters,
    proofs::Proofs,
    verdict::{Answer, Entry, Limits, Miss, Present, judge},
    weight::Weight,
};

/// The cached answers of one store.
///
/// Every change of an entry is made under the lock of its calls, so that an invalidation cannot slip
/// in between the look at a call's marks and the insertion of its answer. Reading needs no lock of
/// ours.
pub(crate) struct Shelf {
    entries: Cache<SessionId, Entry, Weight>,
    calls: Box<[Mutex<CallsBySession>]>,
    proofs: Proofs,
    /// Who answers for which session, if that is not always the same part. Not owned: the feed owns its listener.
    parts: OnceLock<Weak<dyn Feed>>,
    absence: OnceLock<Absence>,
    clock: Arc<dyn Clock>,
    pub(crate) limits: Limits,
    pub(crate) counters: Counters,
}

/// Nobody can choose ids that collide, so the hash is one for speed, as the cache's own.
type CallsBySession = HashMap<SessionId, Calls, foldhash::fast::RandomState>;

/// The calls about one session that are under way.
#[derive(Default)]
struct Calls {
    under_way: usize,
    /// How many of them write.
    writing: usize,
    /// Up to when all changes were known as the first of those began.
    proven_before: Option<Instant>,
    /// Counts what may have changed the session since the first of them began. A call during which
    /// this has moved may bring an answer from before the change: it is dirty.
    changes: u64,
    /// The load that others may wait for.
    flight: Option<(Instant, WeakFlight)>,
}

impl Shelf {
    pub(crate) fn new(max_bytes: u64, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let typical = usize::try_from(max_bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self {
            entries: Cache::with_weighter(typical.max(1), max_bytes, Weight),
            calls: (0..SHARDS).map(|_| Mutex::default()).collect(),
            proofs: Proofs::new(),
            parts: OnceLock::new(),
            absence: OnceLock::new(),
            clock,
            limits,
            counters: Counters::default(),
        }
    }

    /// Takes in by which feed the store reports. Once, before the first call.
    pub(crate) fn listen_to(&self, feed: &Arc<dyn Feed>) {
        let _ = self.absence.set(feed.absence());
        if feed.parts().is_some() {
            self.proofs.prepare_for_parts();
            let _ = self.parts.set(Arc::downgrade(feed));
        }
    }

    /// The cached answer, if it may be given.
    pub(crate) fn look_up(&self, id: SessionId, demand: Freshness) -> Result<Load, Miss> {
        let part = match self.parts.get() {
            None => Part::ONLY,
            Some(_) => self.entries.get(&id).ok_or(Miss::Unknown)?.part,
        };
        // Before the entry is read: a proof that comes later says nothing of an entry that may have
        // been taken away meanwhile.
        let proven = self.proven(part);
        let entry = self.entries.get(&id).ok_or(Miss::Unknown)?;
        if entry.part != part {
            return Err(Miss::Unknown);
        }
        let present = Present {
            proven,
            absence: self.absence.get().copied().unwrap_or(Absence::Watched),
            now: Instant::now(),
            time: self.clock.now(),
        };
        judge(&entry, demand, present, self.limits)?;
        Ok(match entry.answer {
            Answer::Live(record) => Load::Found(record),
            Answer::Absent | Answer::Deleted => Load::Absent,
        })
    }

    /// The present, on the clock by which sessions end.
    pub(crate) fn time(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn proven(&self, part: Part) -> Option<Instant> {
        self.proofs.of(part)
    }

    /// The oldest of the parts' proofs, as of the last beat.
    pub(crate) fn least_proven(&self) -> Option<Instant> {
        let feed = self.parts.get().and_then(Weak::upgrade);
        match feed.and_then(|feed| feed.parts()) {
            None => self.proven(Part::ONLY),
            Some(parts) => {
                let proofs = parts.into_iter().map(|part| self.proven(part));
                proofs.min().flatten()
            }
        }
    }

    /// Takes in that every change of this part from before `asked` has been reported.
    pub(crate) fn prove(&self, part: Part, asked: Instant) {
        self.proofs.advance(part, asked);
    }

    fn standing(&self, id: SessionId) -> Standing {
        match self.parts.get() {
            None => Standing::ONLY,
            Some(feed) => feed.upgrade().map_or(NOBODY, |feed| feed.standing(id)),
        }
    }

    /// Begins a call that reads.
    pub(crate) fn read(self: &Arc<Self>, id: SessionId) -> Ticket {
        // Not under the lock, which reports take.
        let standing = self.standing(id);
        self.open(self.shard(id).entry(id).or_default(), id, standing, false)
    }

    /// Begins a call that writes: unless it [keeps](Ticket::keep) an answer, what it leaves behind is
    /// unknown. Until then, what is cached is [held](Entry::held).
    pub(crate) fn write(self: &Arc<Self>, id: SessionId) -> Ticket {
        let standing = self.standing(id);
        let mut shard = self.shard(id);
        let calls = shard.entry(id).or_default();
        if calls.writing == 0 {
            calls.proven_before = standing.part.and_then(|part| self.proven(part));
            if let Some(entry) = self.entries.peek(&id) {
                self.entries.insert(id, calls.hold(entry));
            }
        }
        calls.writing += 1;
        self.open(calls, id, standing, true)
    }

    /// Joins the load of a session that is under way, if its answer will be new enough, or else
    /// begins one. Tells whether it was joined.
    pub(crate) fn fly(
        self: &Arc<Self>,
        id: SessionId,
        begin: impl FnOnce(Ticket) -> Flight,
    ) -> (Flight, bool) {
        let standing = self.standing(id);
        let mut shard = self.shard(id);
        let calls = shard.entry(id).or_default();
        if let Some(flight) = calls.flight(self.limits.max_staleness) {
            self.counters.shared_loads.add();
            return (flight, true);
        }
        let ticket = self.open(calls, id, standing, false);
        let asked = ticket.asked;
        let flight = begin(ticket);
        calls.flight = flight.downgrade().map(|weak| (asked, weak));
        (flight, false)
    }

    fn open(
        self: &Arc<Self>,
        calls: &mut Calls,
        id: SessionId,
        standing: Standing,
        spoils: bool,
    ) -> Ticket {
        calls.under_way += 1;
        Ticket {
            shelf: Arc::clone(self),
            id,
            asked: Instant::now(),
            standing,
            changes: calls.changes,
            writes: spoils,
            spoils,
            answer: None,
        }
    }

    fn settle(&self, ticket: &mut Ticket) {
        let id = ticket.id;
        let has_stood = self.standing(id) == ticket.standing;
        let part = ticket.standing.part.filter(|_| has_stood);
        let mut shard = self.shard(id);
        let Some(calls) = shard.get_mut(&id) else {
            return;
        };
        let is_clean = calls.changes == ticket.changes;
        if ticket.spoils {
            calls.spoil();
        }
        calls.writing -= usize::from(ticket.writes);
        match ticket.answer.take() {
            // Final, so nobody's proofs matter.
            Some(Answer::Deleted) => {
                let entry = Entry::new(Answer::Deleted, Instant::now(), Part::ONLY);
                self.insert(id, entry);
            }
            Some(answer) if is_clean && part.is_some() => {
                let entry = Entry::new(answer, ticket.asked, part.unwrap_or_default());
                let is_held = calls.writing > 0;
                self.insert(id, if is_held { calls.hold(entry) } else { entry });
            }
            answer => {
                if answer.is_some() {
                    self.counters.dirty_fills.add();
                }
                if ticket.spoils {
                    self.remove(id);
                }
            }
        }
        calls.under_way -= 1;
        if calls.under_way == 0 {
            shard.remove(&id);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, CallsBySession> {
        // Ids are random, so any byte of one is.
        let index = usize::from(id.as_bytes()[15]) % SHARDS;
        self.calls[index].lock()
    }

    fn remove(&self, id: SessionId) {
        self.entries.remove_if(&id, |entry| !entry.is_final());
    }

    fn insert(&self, id: SessionId, new: Entry) {
        if let Some(old) = self.entries.peek(&id) {
            if old.outranks(&new) {
                return;
            }
            if old.version().is_some() && old.version() == new.version() {
                self.counters.revalidations.add();
            }
        }
        self.entries.insert(id, new);
    }
}

impl FeedListener for Shelf {
    fn changed(&self, id: SessionId) {
        self.counters.invalidations.add();
        let mut shard = self.shard(id);
        if let Some(calls) = shard.get_mut(&id) {
            calls.spoil();
        }
        self.remove(id);
    }

    fn lost(&self, part: Part) {
        self.counters.losses.add();
        for shard in &self.calls {
            // Those of other parts as well: it costs them a fill.
            shard.lock().values_mut().for_each(Calls::spoil);
        }
        // Afterwards, so that what a clean call has just inserted goes too.
        if self.parts.get().is_none() {
            self.entries.clear();
        } else {
            self.entries
                .retain(|_, entry| entry.part != part || entry.is_final());
        }
        events::emptied(part);
    }

    fn left(&self, part: Part, has_left: &dyn Fn(SessionId) -> bool) {
        for shard in &self.calls {
            for (id, calls) in shard.lock().iter_mut() {
                if has_left(*id) {
                    calls.spoil();
                }
            }
        }
        self.entries
            .retain(|id, entry| entry.part != part || entry.is_final() || !has_left(*id));
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Calls {
    /// An entry to which later proofs do not apply.
    fn hold(&self, entry: Entry) -> Entry {
        let held = Some(self.proven_before.unwrap_or(entry.asked));
        Entry { held, ..entry }
    }

    /// The answers of all calls that are under way may be from before a change.
    fn spoil(&mut self) {
        self.changes += 1;
        self.flight = None;
    }

    /// The load to wait for. As with an entry, what counts is when the store was asked. One that has arrived
    /// is none: what it brought is cached, or was not worth it.
    fn flight(&self, max_staleness: Duration) -> Option<Flight> {
        let (asked, flight) = self.flight.as_ref()?;
        let is_fresh = asked.elapsed() < max_staleness;
        let flight = is_fresh.then(|| flight.upgrade()).flatten();
        flight.filter(|flight| flight.peek().is_none())
    }
}

/// A call under way. Dropping it ends the call; what it has kept by then is cached, unless the
/// session may have changed meanwhile.
#[must_use = "a call ends when its ticket is dropped"]
#[derive(Debug)]
pub(crate) struct Ticket {
    shelf: Arc<Shelf>,
    id: SessionId,
    asked: Instant,
    /// Who was to answer when the call began.
    standing: Standing,
    /// What [`Calls::changes`] was when the call began.
    changes: u64,
    /// Whether it was begun as one that writes.
    writes: bool,
    /// Whether the call makes other answers about the session worthless.
    spoils: bool,
    answer: Option<Answer>,
}

impl Ticket {
    /// Ends the call with what is stored now.
    pub(crate) fn keep(mut self, answer: Answer) {
        self.answer = Some(answer);
    }

    /// Ends a call that wrote nothing with what it has read.
    pub(crate) fn keep_read(mut self, answer: Answer) {
        self.spoils = false;
        self.answer = Some(answer);
    }

    /// Ends a call that found the session in a state that is not cached.
    pub(crate) fn spoil(mut self) {
        self.spoils = true;
    }

    /// The cached version of the session and its record, to be kept again with another lease.
    pub(crate) fn cached(&self) -> Option<Record> {
        match self.shelf.entries.peek(&self.id)?.answer {
            Answer::Live(record) => Some(record),
            Answer::Absent | Answer::Deleted => None,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        Arc::clone(&self.shelf).settle(self);
    }
}

impl Entry {
    const fn new(answer: Answer, asked: Instant, part: Part) -> Self {
        Self {
            answer,
            asked,
            held: None,
            part,
        }
    }

    const fn is_final(&self) -> bool {
        matches!(self.answer, Answer::Deleted)
    }

    fn version(&self) -> Option<Version> {
        match &self.answer {
            Answer::Live(record) => Some(record.version()),
            Answer::Absent | Answer::Deleted => None,
        }
    }

    /// Whether this stays although `new` was answered later. Answers overtake each other where no
    /// feed marks them as dirty.
    fn outranks(&self, new: &Self) -> bool {
        match (&self.answer, &new.answer) {
            (Answer::Live(old), Answer::Live(new)) => {
                old.lineage().relation(new.version()) == Relation::Ahead
            }
            (Answer::Live(_), _) | (_, Answer::Deleted) => false,
            (Answer::Absent | Answer::Deleted, _) => self.asked > new.asked,
        }
    }
}

/// What the number of entries is estimated by, which the cache sizes its tables for.
const TYPICAL_BYTES: u64 = 1024;

/// When the feed is gone, nobody keeps anything.
const NOBODY: Standing = Standing {
    part: None,
    moves: 0,
};

/// So many that calls about different sessions rarely meet.
const SHARDS: usize = 64;
