use super::{Lifetimes, Lineage, Principal, SecretHash, SessionId, Values, Version};
use crate::Timestamp;

/// What a store keeps of a session: one state, complete.
///
/// A record is immutable; the `with_…` methods return a changed copy. Cloning is cheap, since the
/// values are shared. `Debug` shows neither id, secret, principal nor values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(super) id: SessionId,
    pub(super) lineage: Lineage,
    pub(super) secret_hash: SecretHash,
    pub(super) created_at: Timestamp,
    pub(super) rotated_at: Timestamp,
    pub(super) lease_end: Timestamp,
    pub(super) absolute_end: Timestamp,
    pub(super) retention: Retention,
    pub(super) principal: Option<Principal>,
    pub(super) values: Values,
}

impl Record {
    /// A record without values, whose lifetimes begin `now`.
    #[must_use]
    pub fn new(
        id: SessionId,
        lineage: Lineage,
        secret_hash: SecretHash,
        now: Timestamp,
        lifetimes: Lifetimes,
    ) -> Self {
        let absolute_end = lifetimes.absolute_end(now);
        Self {
            id,
            lineage,
            secret_hash,
            created_at: now,
            rotated_at: now,
            lease_end: lifetimes.lease_end(now, absolute_end),
            absolute_end,
            retention: Retention::Ordinary,
            principal: None,
            values: Values::default(),
        }
    }

    /// Whose record this is.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Which of the session's states this is.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.lineage.version()
    }

    /// The version and the commits that led to it.
    #[must_use]
    pub const fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// What the cookie's secret must hash to.
    #[must_use]
    pub const fn secret_hash(&self) -> SecretHash {
        self.secret_hash
    }

    /// When the session came into being.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When the present secret was drawn.
    #[must_use]
    pub const fn rotated_at(&self) -> Timestamp {
        self.rotated_at
    }

    /// When the session ends for want of activity. Never after [`absolute_end`](Self::absolute_end).
    #[must_use]
    pub const fn lease_end(&self) -> Timestamp {
        self.lease_end
    }

    /// When the session ends in any case.
    #[must_use]
    pub const fn absolute_end(&self) -> Timestamp {
        self.absolute_end
    }

    /// Which lifetimes the session has.
    #[must_use]
    pub const fn retention(&self) -> Retention {
        self.retention
    }

    /// Who is logged in, if anyone.
    #[must_use]
    pub const fn principal(&self) -> Option<&Principal> {
        self.principal.as_ref()
    }

    /// The session's values.
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// Whether, and by which limit, the session has ended at that time.
    #[must_use]
    pub fn expiry(&self, now: Timestamp) -> Option<Expiry> {
        if now >= self.absolute_end {
            Some(Expiry::Absolute)
        } else if now >= self.lease_end {
            Some(Expiry::Idle)
        } else {
            None
        }
    }

    /// The same state, as the next version.
    #[must_use]
    pub fn next(&self, tag: u64) -> Self {
        Self {
            lineage: self.lineage.next(tag),
            ..self.clone()
        }
    }

    /// The same record with other values.
    #[must_use]
    pub fn with_values(&self, values: Values) -> Self {
        Self {
            values,
            ..self.clone()
        }
    }

    /// The same record, belonging to someone else or to nobody.
    #[must_use]
    pub fn with_principal(&self, principal: Option<Principal>) -> Self {
        Self {
            principal,
            ..self.clone()
        }
    }

    /// The same record with another secret, drawn `now`.
    #[must_use]
    pub fn with_secret(&self, secret_hash: SecretHash, now: Timestamp) -> Self {
        Self {
            secret_hash,
            rotated_at: now,
            ..self.clone()
        }
    }

    /// The same record with another end of its lease, cut off at the absolute limit.
    #[must_use]
    pub fn with_lease_end(&self, lease_end: Timestamp) -> Self {
        Self {
            lease_end: lease_end.min(self.absolute_end),
            ..self.clone()
        }
    }

    /// The same record with both of its clocks started again, as after a login.
    #[must_use]
    pub fn with_restarted_lifetimes(&self, now: Timestamp, lifetimes: Lifetimes) -> Self {
        let absolute_end = lifetimes.absolute_end(now);
        Self {
            lease_end: lifetimes.lease_end(now, absolute_end),
            absolute_end,
            ..self.clone()
        }
    }

    /// The same record with other lifetimes, which do not begin before its clocks are
    /// [started again](Self::with_restarted_lifetimes).
    #[must_use]
    pub fn with_retention(&self, retention: Retention) -> Self {
        Self {
            retention,
            ..self.clone()
        }
    }
}

/// Which of a manager's lifetimes a session has, and with them whether its cookie outlives the browser's
/// closing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "stored as one bit, for which stores and managers have one answer each"
)]
pub enum Retention {
    /// Those of all sessions.
    #[default]
    Ordinary,
    /// Those of users who asked to be remembered when they logged in.
    Remembered,
}

/// The limit by which a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a session has exactly two limits")]
pub enum Expiry {
    /// Nobody used it for the idle timeout.
    Idle,
    /// It was created, or its user logged in, longer ago than the absolute timeout.
    Absolute,
}
