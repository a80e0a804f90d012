//! What a run has seen of itself.

use std::time::Duration;

use tenure_core::{SessionId, Timestamp, Version};

use crate::cookie::Cookie;

/// All observations of one run.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) visits: Vec<VisitLog>,
    pub(crate) changes: Vec<Change>,
    pub(crate) reads: Vec<Read>,
    pub(crate) commits: Vec<Commit>,
    pub(crate) endings: Vec<Ending>,
    /// What was seen to be wrong right away.
    pub(crate) violations: Vec<Violation>,
}

impl Journal {
    /// The changes of a request that nothing has become of so far.
    pub(crate) fn pending(&mut self, visit: usize) -> impl Iterator<Item = &mut Change> {
        let is_pending =
            move |change: &&mut Change| change.visit == visit && change.fate == Fate::Pending;
        self.changes.iter_mut().filter(is_pending)
    }

    /// The states that a request has seen.
    pub(crate) fn known_to(&self, visit: usize) -> impl Iterator<Item = (SessionId, Version)> {
        let reads = self.reads.iter().filter(move |read| read.visit == visit);
        let held = self.visits[visit].held.iter().copied();
        reads.filter_map(|read| read.seen).chain(held)
    }

    /// Whether anybody has ever been let into that session. One whose creation's outcome was not known may
    /// be stored, but nobody has its secret.
    pub(crate) fn is_known(&self, id: SessionId) -> bool {
        let mut visits = 0..self.visits.len();
        visits.any(|visit| self.known_to(visit).any(|(known, _)| known == id))
    }
}

/// What was seen of one request.
#[derive(Debug, Default)]
pub(crate) struct VisitLog {
    pub(crate) node: usize,
    pub(crate) presented: Option<Cookie>,
    /// The text of that cookie, as the browser had it.
    pub(crate) presented_text: Option<String>,
    /// What it waits for.
    pub(crate) phase: Option<Phase>,
    pub(crate) has_destroyed: bool,
    /// Whether it was ever not polled although it could have gone on.
    pub(crate) was_kept: bool,
    /// The states that its commits came to.
    pub(crate) held: Vec<(SessionId, Version)>,
    /// The session that it wants to end.
    pub(crate) destroyed: Option<SessionId>,
}

/// A call of the manager that a request waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) step: u32,
    pub(crate) at: Timestamp,
    pub(crate) owed: Duration,
    pub(crate) faults: u32,
}

/// A change that a handler made, and what became of it.
#[derive(Debug)]
pub(crate) struct Change {
    /// Its number, which is what it wrote.
    pub(crate) number: u32,
    pub(crate) list: List,
    pub(crate) visit: usize,
    pub(crate) fate: Fate,
}

/// Where a change is to be found in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Log,
    Basket,
    /// In a value of its own.
    Mark,
}

/// What the handler was told of its change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing: nobody has asked for it to be written.
    Pending,
    /// It is written, in that session.
    Acknowledged { id: Option<SessionId>, step: u32 },
    /// It is not written, and never will be.
    Refused,
    /// It may be written or not.
    Unknown,
}

/// A load or a refresh.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) visit: usize,
    pub(crate) is_refresh: bool,
    pub(crate) began: u32,
    pub(crate) began_at: Timestamp,
    pub(crate) ended: u32,
    pub(crate) seen: Option<(SessionId, Version)>,
}

/// A commit that was acknowledged.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) visit: usize,
    pub(crate) ended: u32,
    pub(crate) id: SessionId,
    pub(crate) version: Version,
    /// The log as the handler sees it afterwards, and what it has added to it.
    pub(crate) log: Vec<u32>,
    pub(crate) added: Vec<u32>,
}

/// A logout that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    pub(crate) id: SessionId,
    pub(crate) step: u32,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) kind: Kind,
    pub(crate) story: String,
}

/// What a violation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// An acknowledged change is not there.
    Lost,
    /// A change is there twice.
    Twice,
    /// A change that was refused is there.
    WrittenThoughRefused,
    /// A handler was shown a state after its commit that never was.
    WrongPreview,
    /// A session was stored again after its logout.
    CameBack,
    /// A deletion ended a session whose secret the request did not know.
    ForeignDeletion,
    /// A read saw a state older than it may.
    OldRead,
    /// A read saw a state older than the one in the browser's cookie.
    BelowFloor,
    /// A read let somebody in whose secret was replaced.
    LetIn,
    /// A read let somebody in whose session had expired.
    Expired,
    /// A response set a cookie whose secret was known to be replaced.
    ReplacedCookie,
    /// A response without a logout removed the cookie of a later login.
    RemovedCookie,
    /// Reads and commits of one session cannot have happened in any order.
    NotLinearizable,
    /// A request was refused for want of time, though the store owed it none.
    TimedOut,
    /// A request did not end.
    Overdue,
    /// The thread came to a stop.
    Hang,
    /// The thread panicked, outside of any request.
    Crash,
    /// A closure was run for ever.
    Spin,
    /// A panic of one request reached another.
    Panic,
    /// Something of a request was not freed.
    Leak,
}
