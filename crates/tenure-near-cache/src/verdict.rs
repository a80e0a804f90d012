//! Whether a cached answer may be given: one pure decision.

use std::time::Duration;

use serde::Serialize;
use tenure_core::{Absence, Freshness, Part, Record, Relation, Timestamp};
use tokio::time::Instant;

/// An answer of the store, kept.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) answer: Answer,
    /// When the store was asked for it. The answer was true at some time after that.
    pub(crate) asked: Instant,
    /// Up to when it was proven as this node began to write the session. Later proofs do not count: they are
    /// about what others change, and whatever became of the own write is known when it ends.
    pub(crate) held: Option<Instant>,
    /// Whose proofs are about it.
    pub(crate) part: Part,
}

#[derive(Clone, Debug)]
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
    /// Every change of the entry's part that was made before this has reached the cache.
    pub(crate) proven: Option<Instant>,
    /// Whether that includes that a session has come into being.
    pub(crate) absence: Absence,
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
    let proven = match (&entry.answer, present.absence) {
        (Answer::Absent, Absence::Unwatched) => None,
        _ => entry.held.or(present.proven),
    };
    let proven = proven.unwrap_or(entry.asked).max(entry.asked);
    if present.now - proven >= limits.max_staleness {
        Err(Miss::Unproven)
    } else if present.now - entry.asked >= limits.revalidate_after {
        Err(Miss::Aged)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tenure_core::{Clock, Version};
    use tenure_testing::{ManualClock, records};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: Limits = Limits {
        max_staleness: Duration::from_secs(2),
        revalidate_after: Duration::from_secs(60),
    };

    /// A session that another node has changed twice, cached `age` ago; the browser demands one of its
    /// versions.
    struct Case {
        entry: Entry,
        demand: Freshness,
        present: Present,
        limits: Limits,
    }

    fn case(demand: impl FnOnce(&Record, &Record) -> Freshness) -> Case {
        let time = ManualClock::new().now();
        let older = records::successor(&records::fresh(time));
        let record = records::successor(&older);
        let now = Instant::now() + 1000 * SECOND;
        Case {
            demand: demand(&older, &record),
            entry: Entry {
                answer: Answer::Live(record),
                asked: now - SECOND,
                held: None,
                part: Part::ONLY,
            },
            present: Present {
                proven: Some(now - SECOND),
                absence: Absence::Watched,
                now,
                time,
            },
            limits: LIMITS,
        }
    }

    fn same() -> Case {
        case(|_, record| Freshness::AtLeast(record.version()))
    }

    impl Case {
        fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
            change(&mut self);
            self
        }

        fn answered(self, answer: Answer) -> Self {
            self.with(|case| case.entry.answer = answer)
        }

        fn asked(self, ago: Duration) -> Self {
            self.with(|case| case.entry.asked = case.present.now - ago)
        }

        fn proven(self, ago: Duration) -> Self {
            self.with(|case| case.present.proven = Some(case.present.now - ago))
        }

        fn without_feed(self) -> Self {
            self.with(|case| case.present.proven = None)
        }

        fn later(self, span: Duration) -> Self {
            self.with(|case| case.present.time = case.present.time.after(span))
        }

        fn judge(&self) -> Result<(), Miss> {
            judge(&self.entry, self.demand, self.present, self.limits)
        }
    }

    /// A version that the cached history does not contain, with the counter of one that it does, or
    /// the one after.
    fn other(record: &Record, ahead: u64) -> Freshness {
        let version = record.version();
        let counter = version.counter() + ahead;
        Freshness::AtLeast(Version::new(counter, version.tag() ^ 1))
    }

    #[test]
    fn what_a_cached_answer_is_worth() {
        let nano = Duration::from_nanos(1);
        let (staleness, age) = (LIMITS.max_staleness, LIMITS.revalidate_after);
        let table = [
            // What the browser has seen.
            ("the same version", same(), Ok(())),
            (
                "an older one: a replayed cookie",
                case(|older, _| Freshness::AtLeast(older.version())),
                Ok(()),
            ),
            (
                "a newer one",
                case(|_, record| other(record, 1)),
                Err(Miss::Behind),
            ),
            (
                "the same counter with another tag",
                case(|_, record| other(record, 0)),
                Err(Miss::Forked),
            ),
            (
                "an older counter whose tag is not an ancestor's",
                case(|older, _| other(older, 0)),
                Err(Miss::Forked),
            ),
            (
                "only the latest will do",
                case(|_, _| Freshness::Latest),
                Err(Miss::Latest),
            ),
            // The session's own limits.
            (
                "the lease has ended",
                same().later(1_000_000 * SECOND),
                Err(Miss::Ended),
            ),
            // Proof.
            (
                "proven just within the bound",
                same().asked(50 * SECOND).proven(staleness - nano),
                Ok(()),
            ),
            (
                "proven at the bound",
                same().asked(50 * SECOND).proven(staleness),
                Err(Miss::Unproven),
            ),
            (
                "read within the bound, no proof since",
                same().proven(50 * SECOND),
                Ok(()),
            ),
            (
                "no feed, read within the bound",
                same().without_feed().asked(staleness - nano),
                Ok(()),
            ),
            (
                "no feed, read at the bound",
                same().without_feed().asked(staleness),
                Err(Miss::Unproven),
            ),
            (
                "proven, while a write of this node has been under way for too long",
                same()
                    .asked(50 * SECOND)
                    .with(|case| case.entry.held = Some(case.present.now - staleness)),
                Err(Miss::Unproven),
            ),
            (
                "unproven since a write of this node began, within the bound",
                same()
                    .asked(50 * SECOND)
                    .with(|case| case.entry.held = Some(case.present.now - staleness + nano)),
                Ok(()),
            ),
            // Age.
            ("proven, read long ago", same().asked(age - nano), Ok(())),
            (
                "proven, read too long ago",
                same().asked(age),
                Err(Miss::Aged),
            ),
            // Sessions that are not there.
            (
                "absent, proven",
                same().answered(Answer::Absent).asked(50 * SECOND),
                Ok(()),
            ),
            (
                "absent, proven, but nobody watches that",
                same()
                    .answered(Answer::Absent)
                    .asked(staleness)
                    .with(|case| case.present.absence = Absence::Unwatched),
                Err(Miss::Unproven),
            ),
            (
                "absent, and nobody watches that, within the bound",
                same()
                    .answered(Answer::Absent)
                    .asked(staleness - nano)
                    .without_feed()
                    .with(|case| case.present.absence = Absence::Unwatched),
                Ok(()),
            ),
            (
                "present, where nobody watches absences",
                same()
                    .asked(50 * SECOND)
                    .with(|case| case.present.absence = Absence::Unwatched),
                Ok(()),
            ),
            (
                "absent, unproven",
                same()
                    .answered(Answer::Absent)
                    .without_feed()
                    .asked(staleness),
                Err(Miss::Unproven),
            ),
            (
                "absent, too long ago",
                same().answered(Answer::Absent).asked(age),
                Err(Miss::Aged),
            ),
            (
                "deleted here, whenever",
                same()
                    .answered(Answer::Deleted)
                    .without_feed()
                    .asked(900 * SECOND),
                Ok(()),
            ),
            (
                "deleted here, but the latest is demanded",
                case(|_, _| Freshness::Latest).answered(Answer::Deleted),
                Err(Miss::Latest),
            ),
            // No staleness allowed.
            (
                "strict: not even what was read this instant",
                same()
                    .asked(Duration::ZERO)
                    .proven(Duration::ZERO)
                    .with(|case| case.limits.max_staleness = Duration::ZERO),
                Err(Miss::Unproven),
            ),
        ];
        for (what, case, verdict) in table {
            assert_eq!(case.judge(), verdict, "{what}");
        }
    }
}
