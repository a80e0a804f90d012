use std::sync::Arc;

use bytes::Bytes;

use super::{Epoch, Lifetimes, Lineage, Login, Principal, SecretHash, SessionId, Values, Version};
use crate::Timestamp;

/// What a store keeps of a session: one state, complete.
///
/// Clones share one allocation, so that passing a record on costs a reference count. The `with_…`
/// methods change a record that nobody else holds in place, and otherwise a copy. `Debug` shows
/// neither id, secret, principal nor values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record(Arc<Parts>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) id: SessionId,
    pub(super) lineage: Lineage,
    pub(super) secret_hash: SecretHash,
    pub(super) created_at: Timestamp,
    pub(super) rotated_at: Timestamp,
    pub(super) lease_end: Timestamp,
    pub(super) absolute_end: Timestamp,
    pub(super) seen_at: Timestamp,
    pub(super) retention: Retention,
    pub(super) login: Login,
    /// That of all sessions together in which this one began or its user logged in.
    pub(super) gate: Epoch,
    pub(super) principal: Option<Principal>,
    /// What later versions of tenure have put there, and this one passes on.
    pub(super) extensions: Bytes,
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
        Self::from_parts(Parts {
            id,
            lineage,
            secret_hash,
            created_at: now,
            rotated_at: now,
            lease_end: lifetimes.lease_end(now, absolute_end),
            absolute_end,
            seen_at: now,
            retention: Retention::Ordinary,
            login: Login::default(),
            gate: Epoch::default(),
            principal: None,
            extensions: Bytes::new(),
            values: Values::default(),
        })
    }

    pub(super) fn from_parts(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.0
    }

    pub(super) fn parts_mut(&mut self) -> &mut Parts {
        Arc::make_mut(&mut self.0)
    }

    /// Whose record this is.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// Which of the session's states this is.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.lineage.version()
    }

    /// The version and the commits that led to it.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.0.lineage
    }

    /// What the cookie's secret must hash to.
    #[must_use]
    pub fn secret_hash(&self) -> SecretHash {
        self.0.secret_hash
    }

    /// When the session came into being.
    #[must_use]
    pub fn created_at(&self) -> Timestamp {
        self.0.created_at
    }

    /// When the present secret was drawn.
    #[must_use]
    pub fn rotated_at(&self) -> Timestamp {
        self.0.rotated_at
    }

    /// When the session ends for want of activity. Never after [`absolute_end`](Self::absolute_end).
    #[must_use]
    pub fn lease_end(&self) -> Timestamp {
        self.0.lease_end
    }

    /// When the session ends in any case.
    #[must_use]
    pub fn absolute_end(&self) -> Timestamp {
        self.0.absolute_end
    }

    /// When the session was last known to be in use: at its creation, its last commit or its last renewal.
    #[must_use]
    pub fn seen_at(&self) -> Timestamp {
        self.0.seen_at
    }

    /// The last login, if there was one.
    #[must_use]
    pub fn login(&self) -> Login {
        self.0.login
    }

    /// The epoch of all sessions in which this one began, or its user logged in: it has ended if the store's
    /// [gate](crate::SessionIndex::gate) is past it.
    #[must_use]
    pub fn gate(&self) -> Epoch {
        self.0.gate
    }

    /// Which lifetimes the session has.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.0.retention
    }

    /// Who is logged in, if anyone.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.as_ref()
    }

    /// The session's values.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.0.values
    }

    /// Whether, and by which limit, the session has ended at that time.
    #[must_use]
    pub fn expiry(&self, now: Timestamp) -> Option<Expiry> {
        if now >= self.0.absolute_end {
            Some(Expiry::Absolute)
        } else if now >= self.0.lease_end {
            Some(Expiry::Idle)
        } else {
            None
        }
    }

    /// The same content, as the beginning of another session.
    #[must_use]
    pub(crate) fn begun_anew(
        mut self,
        id: SessionId,
        lineage: Lineage,
        secret_hash: SecretHash,
    ) -> Self {
        let parts = self.parts_mut();
        parts.id = id;
        parts.lineage = lineage;
        parts.secret_hash = secret_hash;
        self
    }

    /// The same state, as the next version.
    #[must_use]
    pub fn next(mut self, tag: u64) -> Self {
        let parts = self.parts_mut();
        parts.lineage = parts.lineage.next(tag);
        self
    }

    /// The same record with other values.
    #[must_use]
    pub fn with_values(mut self, values: Values) -> Self {
        self.parts_mut().values = values;
        self
    }

    /// The same record, belonging to someone else or to nobody.
    #[must_use]
    pub fn with_principal(mut self, principal: Option<Principal>) -> Self {
        self.parts_mut().principal = principal;
        self
    }

    /// The same record after a login of that principal, besides its clocks and its secret.
    #[must_use]
    pub fn with_login(mut self, principal: Principal, login: Login) -> Self {
        let parts = self.parts_mut();
        parts.principal = Some(principal);
        parts.login = login;
        self
    }

    /// The same record, in which nobody is logged in any more.
    #[must_use]
    pub fn without_login(mut self) -> Self {
        let parts = self.parts_mut();
        parts.principal = None;
        parts.login = Login::default();
        parts.retention = Retention::Ordinary;
        self.with_actor(None)
    }

    /// The same record, its login made in those epochs of its principal and of all sessions.
    #[must_use]
    pub(crate) fn with_admission(mut self, epoch: Epoch, gate: Epoch) -> Self {
        let parts = self.parts_mut();
        parts.login.epoch = epoch;
        parts.gate = parts.gate.max(gate);
        self
    }

    /// The same record, begun in that epoch of all sessions.
    #[must_use]
    pub fn with_gate(mut self, gate: Epoch) -> Self {
        self.parts_mut().gate = gate;
        self
    }

    /// The same record, known to be in use at that time.
    #[must_use]
    pub fn with_seen_at(mut self, seen_at: Timestamp) -> Self {
        self.parts_mut().seen_at = seen_at;
        self
    }

    /// The same record with another secret, drawn `now`.
    #[must_use]
    pub fn with_secret(mut self, secret_hash: SecretHash, now: Timestamp) -> Self {
        let parts = self.parts_mut();
        parts.secret_hash = secret_hash;
        parts.rotated_at = now;
        self
    }

    /// The same record with another end of its lease, cut off at the absolute limit.
    #[must_use]
    pub fn with_lease_end(mut self, lease_end: Timestamp) -> Self {
        let parts = self.parts_mut();
        parts.lease_end = lease_end.min(parts.absolute_end);
        self
    }

    /// The same record with both of its clocks started again, as after a login.
    #[must_use]
    pub fn with_restarted_lifetimes(mut self, now: Timestamp, lifetimes: Lifetimes) -> Self {
        let parts = self.parts_mut();
        parts.absolute_end = lifetimes.absolute_end(now);
        parts.lease_end = lifetimes.lease_end(now, parts.absolute_end);
        self
    }

    /// The same record with other lifetimes, which do not begin before its clocks are
    /// [started again](Self::with_restarted_lifetimes).
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.parts_mut().retention = retention;
        self
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
