//! Whether a cached answer may be given: one pure decision.

use std::time::Duration;

use serde::Serialize;
use tenure_core::{Freshness, Record, Relation, Timestamp};
use tokio::time::Instant;

/// An answer of the store, kept.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) answer: Answer,
    /// When the store was asked for it. The answer was true at some time after that.
    pub(crate) asked: Instant,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Live(Record),
    /// Nothing is stored under the id.
    Absent,
    /// This node has deleted the session, and the store has confirmed it.
    Deleted,
}

/// How far the cache is trusted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) max_staleness: Duration,
    pub(crate) revalidate_after: Duration,
}

/// What is known when a session is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    /// Every change that was made before this has reached the cache.
    pub(crate) proven: Option<Instant>,
    pub(crate) now: Instant,
    /// The same, on the clock by which sessions end.
    pub(crate) time: Timestamp,
}

/// Why the store was asked instead of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Miss {
    /// The session is not in the cache.
    Unknown,
    /// The caller demanded what the primary holds.
    Latest,
    /// The browser has seen a newer version.
    Behind,
    /// The browser has seen a version of another history.
    Forked,
    /// The session's lease or absolute limit has passed by this node's clock.
    Ended,
    /// Nothing proves that the session has not changed within the staleness bound.
    Unproven,
    /// The session was last read from the store too long ago, whatever the feed says.
    Aged,
}

/// Whether `entry` answers the demand, or why not.
pub(crate) fn judge(
    entry: &Entry,
    demand: Freshness,
    present: Present,
    limits: Limits,
) -> Result<(), Miss> {
    let Freshness::AtLeast(floor) = demand else {
        return Err(Miss::Latest);
    };
    match &entry.answer {
        // A deletion is final, and needs no proof.
        Answer::Deleted => return Ok(()),
        Answer::Absent => {}
        Answer::Live(record) => match record.lineage().relation(floor) {
            Relation::Behind => return Err(Miss::Behind),
            Relation::Fork => return Err(Miss::Forked),
            Relation::Same | Relation::Ahead => {
                if record.expiry(present.time).is_some() {
                    return Err(Miss::Ended);
                }
            }
        },
    }
    let proven = present.proven.unwrap_or(entry.asked).max(entry.asked);
    if present.now - proven >= limits.max_staleness {
        Err(Miss::Unproven)
    } else if present.now - entry.asked >= limits.revalidate_after {
        Err(Miss::Aged)
    } else {
        Ok(())
    }
}
