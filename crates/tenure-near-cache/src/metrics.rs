//! What the cache has done, in numbers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::{Serialize, Serializer};

use crate::{shelf::Shelf, verdict::Miss};

/// What a [`NearCache`](crate::NearCache) has done since it was made, and how full it is.
///
/// Read at some time during the call, each number by itself.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Loads that were answered without the store.
    pub hits: u64,
    /// Loads that were not, by reason.
    pub misses: Misses,
    /// Misses that waited for another one's load of the same session instead of asking themselves.
    pub shared_loads: u64,
    /// Answers that found the cached version to be the newest.
    pub revalidations: u64,
    /// Answers that were not cached, since the session may have changed while they were under way.
    pub dirty_fills: u64,
    /// Changes that the store's feed has reported.
    pub invalidations: u64,
    /// How often a part of the feed was lost and the cache emptied of its sessions. The first connection to each
    /// counts as one.
    pub losses: u64,
    /// Cached answers.
    pub entries: usize,
    /// What they weigh.
    pub bytes: u64,
    /// How old the last proof is that the feed is alive; of several parts, that of the one that is silent for
    /// longest. `None` before the first one, and for stores without a feed. In milliseconds when serialized.
    #[serde(rename = "proof_age_ms", serialize_with = "millis")]
    pub proof_age: Option<Duration>,
}

/// Loads for which the store was asked.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Misses {
    /// [`Miss::Unknown`]
    pub unknown: u64,
    /// [`Miss::Latest`]
    pub latest: u64,
    /// [`Miss::Behind`]
    pub behind: u64,
    /// [`Miss::Forked`]
    pub forked: u64,
    /// [`Miss::Ended`]
    pub ended: u64,
    /// [`Miss::Unproven`]
    pub unproven: u64,
    /// [`Miss::Aged`]
    pub aged: u64,
}

impl Misses {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.unknown
            + self.latest
            + self.behind
            + self.forked
            + self.ended
            + self.unproven
            + self.aged
    }
}

impl Metrics {
    pub(crate) fn of(shelf: &Shelf) -> Self {
        let counters = &shelf.counters;
        let missed = |miss| counters.misses[index(miss)].get();
        Self {
            hits: counters.hits.get(),
            misses: Misses {
                unknown: missed(Miss::Unknown),
                latest: missed(Miss::Latest),
                behind: missed(Miss::Behind),
                forked: missed(Miss::Forked),
                ended: missed(Miss::Ended),
                unproven: missed(Miss::Unproven),
                aged: missed(Miss::Aged),
            },
            shared_loads: counters.shared_loads.get(),
            revalidations: counters.revalidations.get(),
            dirty_fills: counters.dirty_fills.get(),
            invalidations: counters.invalidations.get(),
            losses: counters.losses.get(),
            entries: shelf.len(),
            bytes: shelf.bytes(),
            proof_age: shelf.least_proven().map(|proven| proven.elapsed()),
        }
    }
}

/// The numbers that only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    misses: [Counter; 7],
    pub(crate) shared_loads: Counter,
    pub(crate) revalidations: Counter,
    pub(crate) dirty_fills: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) losses: Counter,
}

impl Counters {
    pub(crate) fn missed(&self, miss: Miss) {
        self.misses[index(miss)].add();
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

const fn index(miss: Miss) -> usize {
    match miss {
        Miss::Unknown => 0,
        Miss::Latest => 1,
        Miss::Behind => 2,
        Miss::Forked => 3,
        Miss::Ended => 4,
        Miss::Unproven => 5,
        Miss::Aged => 6,
    }
}

#[expect(clippy::ref_option, reason = "the form that serde calls")]
fn millis<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = age.map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}
