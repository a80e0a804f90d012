//! How long sessions live: pure decisions on times.

use std::time::Duration;

use crate::{Record, Timestamp};

/// How long a session lives without activity, and at most.
///
/// # Security
///
/// The defaults, 30 minutes idle and 24 hours in all, keep within OWASP's Session Management Cheat
/// Sheet (15 to 30 minutes idle for ordinary applications) and NIST SP 800-63B-4 AAL2 (1 hour idle,
/// 24 hours in all).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    idle: Duration,
    absolute: Duration,
}

impl Lifetimes {
    /// Checks and takes an idle and an absolute timeout.
    ///
    /// # Errors
    ///
    /// [`LifetimesError`] if `idle` is under a second, `absolute` is shorter than `idle`, or
    /// `absolute` is over 400 days, beyond which browsers cut a cookie's life off (RFC 6265bis §5.5).
    pub fn new(idle: Duration, absolute: Duration) -> Result<Self, LifetimesError> {
        if idle < Duration::from_secs(1) {
            Err(LifetimesError::IdleTooShort { idle })
        } else if absolute < idle {
            Err(LifetimesError::AbsoluteBelowIdle { idle, absolute })
        } else if absolute > Self::MAX {
            Err(LifetimesError::AbsoluteTooLong { absolute })
        } else {
            Ok(Self { idle, absolute })
        }
    }

    /// The longest time without activity.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// The longest time since the session was created or its user last logged in.
    #[must_use]
    pub const fn absolute(&self) -> Duration {
        self.absolute
    }

    /// The same, cut off at a limit of a second or more.
    pub(crate) fn at_most(self, limit: Duration) -> Self {
        Self {
            idle: self.idle.min(limit),
            absolute: self.absolute.min(limit),
        }
    }

    pub(crate) fn absolute_end(&self, now: Timestamp) -> Timestamp {
        now.after(self.absolute)
    }

    pub(crate) fn lease_end(&self, now: Timestamp, absolute_end: Timestamp) -> Timestamp {
        now.after(self.idle).min(absolute_end)
    }

    /// The lease's new end, if renewing it now is worth a store call: when that wins a tenth of the
    /// idle timeout or 15 minutes.
    pub(crate) fn renewal(&self, record: &Record, now: Timestamp) -> Option<Timestamp> {
        let renewed = self.lease_end(now, record.absolute_end());
        (renewed.since(record.lease_end()) >= self.renewal_interval()).then_some(renewed)
    }

    /// How much later than now a lease must be able to end for a renewal to be worth it.
    pub(crate) fn renewal_interval(&self) -> Duration {
        (self.idle / RENEWALS_PER_IDLE_TIMEOUT).min(LONGEST_RENEWAL_INTERVAL)
    }

    /// What users get who ask to be remembered: 14 days idle, 30 days in all, the longest time between
    /// logins that NIST SP 800-63B-4 recommends at AAL1.
    pub(crate) const REMEMBERED: Self = Self {
        idle: Duration::from_secs(14 * 24 * 60 * 60),
        absolute: Duration::from_secs(30 * 24 * 60 * 60),
    };

    /// 400 days, the longest life that a browser grants a cookie.
    pub const MAX: Duration = Duration::from_secs(400 * 24 * 60 * 60);
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30 * 60),
            absolute: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Timeouts that contradict each other or that no browser would honour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimesError {
    /// The idle timeout is under a second.
    #[error("an idle timeout of {idle:?} is under a second")]
    #[non_exhaustive]
    IdleTooShort {
        /// The idle timeout that was refused.
        idle: Duration,
    },
    /// The absolute timeout would always strike first.
    #[error("the absolute timeout of {absolute:?} is shorter than the idle timeout of {idle:?}")]
    #[non_exhaustive]
    AbsoluteBelowIdle {
        /// The idle timeout.
        idle: Duration,
        /// The absolute timeout.
        absolute: Duration,
    },
    /// Browsers cut a cookie's life off at 400 days.
    #[error("an absolute timeout of {absolute:?} is over the 400 days that browsers grant")]
    #[non_exhaustive]
    AbsoluteTooLong {
        /// The absolute timeout that was refused.
        absolute: Duration,
    },
}

const RENEWALS_PER_IDLE_TIMEOUT: u32 = 10;

/// So that "last seen" means something for users who are remembered for weeks, and so that what an index has
/// lost is found soon: four renewals an hour of use.
const LONGEST_RENEWAL_INTERVAL: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Lineage, SecretHash, SessionId};

    const T0: Timestamp = Timestamp::from_millis(1_000_000);

    fn lifetimes(idle: u64, absolute: u64) -> Lifetimes {
        Lifetimes::new(Duration::from_secs(idle), Duration::from_secs(absolute)).unwrap()
    }

    fn record(lifetimes: Lifetimes) -> Record {
        Record::new(
            SessionId::from_bytes([1; 16]),
            Lineage::first(1),
            SecretHash::from_bytes([0; 32]),
            T0,
            lifetimes,
        )
    }

    #[test]
    fn a_lease_is_renewed_once_a_tenth_of_it_is_used_up() {
        let lifetimes = lifetimes(100, 1000);
        let record = record(lifetimes);
        let at = |seconds| T0.after(Duration::from_secs(seconds));
        assert_eq!(lifetimes.renewal(&record, at(9)), None);
        assert_eq!(lifetimes.renewal(&record, at(10)), Some(at(110)));
    }

    #[test]
    fn a_lease_never_reaches_beyond_the_absolute_end() {
        let lifetimes = lifetimes(100, 150);
        let record = record(lifetimes);
        let late = T0.after(Duration::from_secs(90));
        assert_eq!(
            lifetimes.renewal(&record, late),
            Some(record.absolute_end())
        );
        let renewed = record.clone().with_lease_end(record.absolute_end());
        assert_eq!(lifetimes.renewal(&renewed, late), None);
    }

    #[test]
    fn contradictory_timeouts_are_refused() {
        let seconds = Duration::from_secs;
        assert!(Lifetimes::new(seconds(0), seconds(1)).is_err());
        assert!(Lifetimes::new(seconds(2), seconds(1)).is_err());
        assert!(Lifetimes::new(seconds(2), Lifetimes::MAX).is_ok());
        assert!(Lifetimes::new(seconds(2), Lifetimes::MAX + seconds(1)).is_err());
    }
}
