//! Up to when each part of the store has told everything.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenure_core::Part;
use tokio::time::Instant;

/// One time for each part. A store with one part has it right here.
#[derive(Debug)]
pub(crate) struct Proofs {
    /// In nanoseconds since `epoch`; 0 before the first proof.
    only: AtomicU64,
    /// That of all parts but the first.
    others: OnceLock<Box<[AtomicU64]>>,
    epoch: Instant,
}

impl Proofs {
    pub(crate) fn new() -> Self {
        Self {
            only: AtomicU64::new(0),
            others: OnceLock::new(),
            epoch: Instant::now(),
        }
    }

    /// Makes room for more than one part.
    pub(crate) fn prepare_for_parts(&self) {
        let none = || (1..Part::LIMIT).map(|_| AtomicU64::new(0)).collect();
        self.others.get_or_init(none);
    }

    pub(crate) fn of(&self, part: Part) -> Option<Instant> {
        let nanos = self.cell(part)?.load(Ordering::Acquire);
        (nanos > 0).then(|| self.epoch + Duration::from_nanos(nanos))
    }

    /// Proofs can arrive in another order than they were asked for.
    pub(crate) fn advance(&self, part: Part, asked: Instant) {
        let nanos = (asked - self.epoch).as_nanos();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        if let Some(cell) = self.cell(part) {
            cell.fetch_max(nanos, Ordering::Release);
        }
    }

    fn cell(&self, part: Part) -> Option<&AtomicU64> {
        match part.index().checked_sub(1) {
            None => Some(&self.only),
            Some(other) => self.others.get()?.get(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_proven_by_itself_and_never_backwards() {
        let proofs = Proofs::new();
        let second = Part::new(1).unwrap();
        let (early, late) = (
            proofs.epoch + Duration::from_secs(1),
            proofs.epoch + Duration::from_secs(2),
        );
        proofs.advance(second, late);
        assert_eq!(proofs.of(second), None, "there is only one");
        proofs.advance(Part::ONLY, late);
        proofs.advance(Part::ONLY, early);
        assert_eq!(proofs.of(Part::ONLY), Some(late));
        proofs.prepare_for_parts();
        assert_eq!(proofs.of(second), None);
        proofs.advance(second, early);
        assert_eq!(proofs.of(second), Some(early));
        assert_eq!(proofs.of(Part::ONLY), Some(late));
        assert_eq!(proofs.of(Part::new(Part::LIMIT - 1).unwrap()), None);
    }
}
