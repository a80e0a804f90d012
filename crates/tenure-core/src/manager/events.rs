//! What happens to sessions, as structured events: one per occurrence, for logs and alarms.
//!
//! Every event has the target `tenure` and the fields `event` and, where a session is concerned,
//! `session`: a keyed hash of its id, the same on all nodes, from which neither id nor cookie can
//! be found. No event holds an id, a secret, a principal or a value.

use std::{error::Error, fmt};

use super::Core;
use crate::{Expiry, Record, Relation, SessionId, StoreError, changes::Changes};

const TARGET: &str = "tenure";

/// Names a session in logs. Hashed only when an event is really recorded.
struct Correlation<'a>(&'a Core, SessionId);

impl fmt::Display for Correlation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0.token_keys.correlation(self.1))
    }
}

pub(super) fn created(core: &Core, record: &Record) {
    tracing::info!(target: TARGET, event = "session_created", session = %Correlation(core, record.id()));
    if record.principal().is_some() {
        principal_bound(core, record.id());
    }
}

/// A commit that is more than new values.
pub(super) fn committed(core: &Core, id: SessionId, changes: &Changes) {
    if changes.rotates {
        tracing::info!(target: TARGET, event = "session_rotated", session = %Correlation(core, id));
    }
    if changes.login.is_some() {
        principal_bound(core, id);
    }
}

/// A change of privileges: somebody logged in.
fn principal_bound(core: &Core, id: SessionId) {
    tracing::info!(target: TARGET, event = "principal_bound", session = %Correlation(core, id));
}

pub(super) fn destroyed(core: &Core, id: SessionId, reason: &'static str) {
    tracing::info!(target: TARGET, event = "session_destroyed", session = %Correlation(core, id), reason);
}

pub(super) fn expired(core: &Core, id: SessionId, expiry: Expiry) {
    let reason = match expiry {
        Expiry::Idle => "idle",
        Expiry::Absolute => "absolute",
    };
    tracing::info!(target: TARGET, event = "session_expired", session = %Correlation(core, id), reason);
}

/// A cookie of ours names a session that is not there: logged out, expired and collected, or lost.
pub(super) fn unknown(core: &Core, id: SessionId) {
    tracing::warn!(target: TARGET, event = "unknown_session", session = %Correlation(core, id));
}

pub(super) fn cookie_refused(reason: &'static str) {
    tracing::warn!(target: TARGET, event = "cookie_refused", reason);
}

pub(super) fn cookie_ambiguous() {
    tracing::warn!(target: TARGET, event = "cookie_ambiguous");
}

pub(super) fn superseded(core: &Core, id: SessionId) {
    tracing::warn!(target: TARGET, event = "secret_superseded", session = %Correlation(core, id));
}

/// The store has lost commits that a request had seen. Returns the event's name, or `None` if this
/// relation shows nothing of the kind.
pub(super) fn history_lost(core: &Core, id: SessionId, relation: Relation) -> Option<&'static str> {
    let event = match relation {
        Relation::Same | Relation::Ahead => return None,
        Relation::Fork => "version_fork",
        Relation::Behind => "store_rollback",
    };
    tracing::error!(target: TARGET, event, session = %Correlation(core, id));
    Some(event)
}

pub(super) fn id_collision(core: &Core, id: SessionId) {
    tracing::error!(target: TARGET, event = "id_collision", session = %Correlation(core, id));
}

pub(super) fn conflict(core: &Core, current: &Record, attempts: u32) {
    tracing::debug!(
        target: TARGET, event = "commit_conflict", session = %Correlation(core, current.id()), attempts
    );
}

pub(super) fn contended(core: &Core, id: SessionId, attempts: u32) {
    tracing::error!(target: TARGET, event = "commit_contended", session = %Correlation(core, id), attempts);
}

pub(super) fn store_failed(core: &Core, id: SessionId, verb: &'static str, error: &StoreError) {
    tracing::error!(
        target: TARGET,
        event = "store_failed",
        session = %Correlation(core, id),
        verb,
        kind = ?error.kind(),
        error = error as &(dyn Error + 'static),
    );
}

/// The index failed or did not answer in time.
pub(super) fn index_failed(verb: &'static str, error: &StoreError) {
    tracing::error!(
        target: TARGET,
        event = "index_failed",
        verb,
        kind = ?error.kind(),
        error = error as &(dyn Error + 'static),
    );
}

/// The index had lost a login's entry, as after a failover, and has it again.
pub(super) fn login_entered_again(core: &Core, id: SessionId) {
    tracing::warn!(target: TARGET, event = "login_entered_again", session = %Correlation(core, id));
}

/// Whether all sessions were ended cannot be found out.
pub(super) fn gate_unproven(error: &(dyn Error + 'static)) {
    tracing::error!(target: TARGET, event = "gate_unproven", error);
}

/// A session from before all were ended.
pub(super) fn ended_with_everyone(core: &Core, id: SessionId) {
    tracing::info!(
        target: TARGET, event = "session_expired", session = %Correlation(core, id), reason = "everyone_ended"
    );
}

pub(super) fn everyone_ended() {
    tracing::warn!(target: TARGET, event = "everyone_ended");
}

/// Reports a mistake in the program, mostly one that a request was answered with 500 for. For adapters, when
/// they make such an answer; mistakes that show only at the commit are reported by
/// [`SessionHandle::finish`](crate::SessionHandle::finish).
pub fn report_misuse(error: &dyn fmt::Display) {
    tracing::error!(target: TARGET, event = "session_misused", "{error}");
}
