use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tenure_core::{Clock, Timestamp};

/// A clock that stands still until a test moves it.
///
/// Clones show the same time, so a test keeps one and gives another to the store or the manager.
/// It begins at 14 November 2023: any fixed time would do, as long as it is far enough from zero
/// that a test can look back.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenure_core::{Clock, MemoryStore};
/// use tenure_testing::ManualClock;
///
/// let clock = ManualClock::new();
/// let store = MemoryStore::builder().clock(clock.clone()).build();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(1800));
/// assert_eq!(clock.now().since(before), Duration::from_secs(1800));
/// # drop(store);
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    millis: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock at the start time.
    #[must_use]
    pub fn new() -> Self {
        Self::starting_at(START)
    }

    /// A clock at a given time.
    #[must_use]
    pub fn starting_at(now: Timestamp) -> Self {
        Self {
            millis: Arc::new(AtomicU64::new(now.as_millis())),
        }
    }

    /// Moves all clones of this clock forward.
    pub fn advance(&self, span: Duration) {
        let advanced = |millis| Some(Timestamp::from_millis(millis).after(span).as_millis());
        // The closure never declines, so there is no failure to handle.
        let _ = self
            .millis
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, advanced);
    }

    /// Sets all clones of this clock, backwards too: wall clocks do step back.
    pub fn set(&self, now: Timestamp) {
        self.millis.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis.load(Ordering::SeqCst))
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_show_the_same_time_forwards_and_backwards() {
        let clock = ManualClock::starting_at(Timestamp::from_millis(5000));
        let clone = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clone.now(), Timestamp::from_millis(7000));
        clone.set(Timestamp::from_millis(1));
        assert_eq!(clock.now(), Timestamp::from_millis(1));
        clock.advance(Duration::MAX);
        assert_eq!(clone.now(), Timestamp::from_millis(u64::MAX));
    }
}
