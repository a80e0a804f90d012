//! The four rules of parts, against a model: two servers between which a session moves, a shelf, and whoever
//! changes the session at the server that has it. Nothing is served that is older than the bound, whatever the
//! order of events; and each rule is needed, since without it something is.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tenure_core::{
    Absence, Clock, Feed, FeedListener, Freshness, Load, Part, Record, SessionId, Standing,
    StoreError,
};
use tenure_testing::{ManualClock, records};
use tokio::time::{Instant, advance};

use crate::{
    shelf::{Shelf, Ticket},
    verdict::{Answer, Limits},
};

/// What a store of the model leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// Answers that took a detour are not reported.
    DetoursAreKept,
    /// Who answers is not compared before and after.
    StandingsAreEqual,
    /// What has left a part is not forgotten before its next proof.
    NothingLeaves,
    /// A proof of one part counts for the other.
    ProofsAreShared,
    /// A new connection begins without a loss.
    LossesAreSilent,
    /// Sessions that are not there count as watched.
    AbsencesAreWatched,
}

#[derive(Debug)]
struct Routes {
    /// Where the client takes the session to be.
    owner: AtomicUsize,
    moves: AtomicU64,
    mistake: Mistake,
}

impl Feed for Routes {
    fn prove(&self, _: Part) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    fn parts(&self) -> Option<Vec<Part>> {
        Some(PARTS.to_vec())
    }

    fn standing(&self, _: SessionId) -> Standing {
        if self.mistake == Mistake::StandingsAreEqual {
            return Standing::ONLY;
        }
        Standing {
            part: Some(PARTS[self.owner.load(Ordering::Relaxed)]),
            moves: self.moves.load(Ordering::Relaxed),
        }
    }

    fn absence(&self) -> Absence {
        if self.mistake == Mistake::AbsencesAreWatched {
            Absence::Watched
        } else {
            Absence::Unwatched
        }
    }
}

/// A connection to one of the servers: what was sent, and what comes back.
#[derive(Default)]
struct Line {
    sent: VecDeque<Ask>,
    stream: VecDeque<Item>,
    /// Whether the server reports the next change here.
    is_tracked: bool,
}

enum Ask {
    Load(Ticket, Detour),
    /// Whoever was sent by the owner is served, once.
    Asking(Ticket),
    Proof(Instant),
}

#[derive(Clone, Copy, PartialEq)]
enum Detour {
    No,
    Yes,
}

enum Item {
    Answer(Ticket, Option<usize>, Detour),
    Moved(Ticket),
    SentOn(Ticket),
    Proof(Instant, IsOwner),
    Push,
}

#[derive(Clone, Copy, PartialEq)]
enum IsOwner {
    No,
    Yes,
}

struct World {
    shelf: Arc<Shelf>,
    routes: Arc<Routes>,
    /// Keeps the shelf's feed alive.
    _feed: Arc<dyn Feed>,
    lines: [Line; 2],
    /// Which server has the slot.
    owner: usize,
    /// Where the session is; the other one while the slot is on its way.
    holder: usize,
    /// Its versions, and the one that is stored.
    versions: Vec<Record>,
    stored: Option<usize>,
    /// When it became what it is: how long which state has been over.
    ended: Vec<(Option<usize>, Instant)>,
    proven: [Option<Instant>; 2],
}

impl World {
    fn new(mistake: Mistake) -> Self {
        let clock = ManualClock::new();
        let mut versions = vec![records::fresh(clock.now())];
        for _ in 0..6 {
            let next = records::successor(&versions[versions.len() - 1]);
            versions.push(next);
        }
        let limits = Limits {
            max_staleness: DELTA,
            revalidate_after: 1000 * DELTA,
        };
        let shelf = Arc::new(Shelf::new(1 << 20, limits, Arc::new(clock)));
        let routes = Arc::new(Routes {
            owner: AtomicUsize::new(0),
            moves: AtomicU64::new(0),
            mistake,
        });
        let feed = Arc::clone(&routes) as Arc<dyn Feed>;
        shelf.listen_to(&feed);
        Self {
            shelf,
            routes,
            _feed: feed,
            lines: Default::default(),
            owner: 0,
            holder: 0,
            versions,
            stored: None,
            ended: Vec::new(),
            proven: [None; 2],
        }
    }

    fn id(&self) -> SessionId {
        self.versions[0].id()
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.routes.mistake == mistake
    }

    fn load(&mut self) {
        let ticket = self.shelf.read(self.id());
        let owner = self.routes.owner.load(Ordering::Relaxed);
        self.lines[owner]
            .sent
            .push_back(Ask::Load(ticket, Detour::No));
    }

    fn ask_for_proof(&mut self, at: usize) {
        self.lines[at].sent.push_back(Ask::Proof(Instant::now()));
    }

    /// A server takes its next command.
    fn carry_out(&mut self, at: usize) {
        let item = match self.lines[at].sent.pop_front() {
            None => return,
            Some(Ask::Proof(asked)) => {
                let is_owner = if self.owner == at {
                    IsOwner::Yes
                } else {
                    IsOwner::No
                };
                Item::Proof(asked, is_owner)
            }
            Some(Ask::Load(ticket, detour)) if self.owner == at => {
                if self.holder != at {
                    Item::SentOn(ticket)
                } else {
                    self.lines[at].is_tracked = true;
                    Item::Answer(ticket, self.stored, detour)
                }
            }
            Some(Ask::Asking(ticket)) if self.holder == at => {
                self.lines[at].is_tracked = true;
                Item::Answer(ticket, self.stored, Detour::Yes)
            }
            Some(Ask::Load(ticket, _) | Ask::Asking(ticket)) => Item::Moved(ticket),
        };
        self.lines[at].stream.push_back(item);
    }

    /// The driver takes the next item of a stream.
    fn receive(&mut self, at: usize) {
        match self.lines[at].stream.pop_front() {
            None => {}
            Some(Item::Push) => self.shelf.changed(self.id()),
            Some(Item::Moved(ticket)) => {
                let owner = 1 - at;
                if self.routes.owner.swap(owner, Ordering::Relaxed) != owner {
                    self.routes.moves.fetch_add(1, Ordering::Relaxed);
                }
                self.lines[owner]
                    .sent
                    .push_back(Ask::Load(ticket, Detour::Yes));
            }
            Some(Item::SentOn(ticket)) => self.lines[1 - at].sent.push_back(Ask::Asking(ticket)),
            Some(Item::Answer(ticket, stored, detour)) => {
                if detour == Detour::Yes && !self.has(Mistake::DetoursAreKept) {
                    self.shelf.changed(self.id());
                }
                ticket.keep(match stored {
                    Some(version) => Answer::Live(self.versions[version].clone()),
                    None => Answer::Absent,
                });
            }
            Some(Item::Proof(asked, is_owner)) => {
                // The node is proven for other slots that it has.
                if is_owner == IsOwner::No && !self.has(Mistake::NothingLeaves) {
                    self.shelf.left(PARTS[at], &|_| true);
                }
                self.proven[at] = Some(asked);
                if self.has(Mistake::ProofsAreShared) {
                    self.shelf.prove(PARTS[1 - at], asked);
                }
                self.shelf.prove(PARTS[at], asked);
            }
        }
    }

    fn change(&mut self) {
        let next = self.stored.map_or(0, |version| version + 1);
        if next < self.versions.len() {
            self.ended.push((self.stored, Instant::now()));
            self.stored = Some(next);
            self.push(self.holder);
        }
    }

    fn push(&mut self, at: usize) {
        if std::mem::take(&mut self.lines[at].is_tracked) {
            self.lines[at].stream.push_back(Item::Push);
        }
    }

    /// The slot opens, and what is there moves. Only what is there is reported.
    fn begin_move(&mut self) {
        if self.holder == self.owner {
            if self.stored.is_some() {
                self.push(self.owner);
            }
            self.holder = 1 - self.owner;
            self.arrive();
        }
    }

    /// A restored key counts as changed for whoever has tracked it there before.
    fn arrive(&mut self) {
        if self.stored.is_some() {
            self.push(self.holder);
        }
    }

    fn end_move(&mut self) {
        self.owner = self.holder;
    }

    /// The slot is lost without a word: the other server claims it, or has taken over as a replica.
    fn usurp(&mut self) {
        self.owner = 1 - self.owner;
        if self.holder != self.owner {
            self.holder = self.owner;
            self.arrive();
        }
    }

    fn disconnect(&mut self, at: usize) {
        self.lines[at] = Line::default();
        if !self.has(Mistake::LossesAreSilent) {
            self.shelf.lost(PARTS[at]);
        }
    }

    /// Whether what would be served now was stored within the bound.
    fn keeps_its_promise(&self) -> bool {
        let demand = Freshness::AtLeast(self.versions[0].version());
        let served = match self.shelf.look_up(self.id(), demand) {
            Ok(Load::Found(record)) => Some(self.versions.iter().position(|it| *it == record)),
            Ok(Load::Absent) => None,
            _ => return true,
        };
        let served = served.map(|version| version.unwrap());
        let ended = self.ended.iter().find(|(state, _)| *state == served);
        ended.is_none_or(|(_, ended)| ended.elapsed() <= DELTA)
    }

    async fn beat(&mut self) {
        for at in [0, 1] {
            self.ask_for_proof(at);
        }
        while self
            .lines
            .iter()
            .any(|line| !line.sent.is_empty() || !line.stream.is_empty())
        {
            for at in [0, 1] {
                self.carry_out(at);
                self.receive(at);
            }
        }
        advance(DELTA / 4).await;
    }

    async fn act(&mut self, action: u8) {
        let at = usize::from(action & 1);
        match (action >> 1) % 16 {
            0 | 1 => self.load(),
            2 => self.ask_for_proof(at),
            3..=5 => self.carry_out(at),
            6..=9 => self.receive(at),
            10 => self.change(),
            11 => self.begin_move(),
            12 => self.end_move(),
            13 => {
                if at == 0 {
                    self.usurp();
                } else {
                    self.disconnect(usize::from(action >> 7));
                }
            }
            _ => advance(DELTA / 4).await,
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("stored", &self.stored)
            .field("owner", &self.owner)
            .field("proven", &self.proven)
            .finish_non_exhaustive()
    }
}

const DELTA: Duration = Duration::from_secs(2);
const PARTS: [Part; 2] = [
    Part::ONLY,
    match Part::new(1) {
        Some(part) => part,
        None => Part::ONLY,
    },
];

/// Numbers by chance, the same ones for the same seed.
struct Chance(u64);

impl Chance {
    fn byte(&mut self) -> u8 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed.to_be_bytes()[0]
    }
}

/// Plays these worlds; the first that breaks its promise, by its number.
fn broken_by(mistake: Mistake, worlds: std::ops::Range<u64>) -> Option<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        for seed in worlds {
            let mut chance = Chance(seed);
            let mut world = World::new(mistake);
            for _ in 0..60 {
                world.act(chance.byte()).await;
                if !world.keeps_its_promise() {
                    return Some(seed);
                }
            }
            // Then nobody asks any more, and the beat goes on.
            for _ in 0..10 {
                world.beat().await;
                if !world.keeps_its_promise() {
                    return Some(seed);
                }
            }
        }
        None
    })
}

#[test]
fn nothing_is_served_that_is_older_than_the_bound() {
    assert_eq!(broken_by(Mistake::None, 0..4000), None);
}

#[test]
fn each_rule_is_needed() {
    // From a little before the first world that shows it, since some take thousands.
    for (mistake, from) in [
        (Mistake::DetoursAreKept, 1000),
        (Mistake::StandingsAreEqual, 6000),
        (Mistake::NothingLeaves, 2500),
        (Mistake::ProofsAreShared, 550),
        (Mistake::LossesAreSilent, 400),
        (Mistake::AbsencesAreWatched, 6700),
    ] {
        let broken = broken_by(mistake, from..from + 20_000);
        assert!(broken.is_some(), "{mistake:?} goes unnoticed");
    }
}
