//! What happens to sessions, as structured events: one per occurrence, for logs and alarms.
//!
//! Every event has the target `tenure` and the fields `event` and, where a session is concerned,
//! `session`: a keyed hash of its id, the same on all nodes, from which neither id nor cookie can
//! be found. No event holds an id, a secret, a principal or a value.

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::Core;
use crate::{
    AuditError, EndReason, LoginRefusal, Principal, Record, Relation, SessionEvent,
    SessionEventKind, SessionId, StoreError,
    changes::{Changes, drop_guarded},
};

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
    tell(
        core,
        SessionEventKind::Created,
        Some(record.id()),
        record.principal(),
    );
    if let Some(user) = record.principal() {
        principal_bound(core, record.id(), user);
    }
}

/// Tells the application's observer. It must not strike a request that has nothing to do with it.
fn tell(core: &Core, kind: SessionEventKind, session: Option<SessionId>, user: Option<&Principal>) {
    let Some(observer) = &core.observer else {
        return;
    };
    let event = SessionEvent {
        kind,
        at: core.clock.now(),
        session,
        user,
    };
    let observed = catch_unwind(AssertUnwindSafe(|| observer.observe(&event)));
    if let Err(payload) = observed {
        drop_guarded(payload);
    }
}

/// A commit that is more than new values.
pub(super) fn committed(core: &Core, id: SessionId, changes: &Changes) {
    if changes.rotates {
        tracing::info!(target: TARGET, event = "session_rotated", session = %Correlation(core, id));
        tell(core, SessionEventKind::Rotated, Some(id), None);
    }
    if let Some(login) = changes.login.as_ref().filter(|login| login.is_fresh) {
        principal_bound(core, id, &login.principal);
    }
}

/// A change of privileges: somebody logged in.
fn principal_bound(core: &Core, id: SessionId, user: &Principal) {
    tracing::info!(target: TARGET, event = "principal_bound", session = %Correlation(core, id));
    tell(core, SessionEventKind::Authenticated, Some(id), Some(user));
}

pub(super) fn logged_out(core: &Core, id: SessionId, user: &Principal) {
    tracing::info!(target: TARGET, event = "principal_unbound", session = %Correlation(core, id));
    tell(core, SessionEventKind::LoggedOut, Some(id), Some(user));
}

pub(super) fn login_refused(core: &Core, user: &Principal, refusal: LoginRefusal) {
    tracing::warn!(target: TARGET, event = "login_refused", reason = %refusal);
    tell(
        core,
        SessionEventKind::LoginRefused(refusal),
        None,
        Some(user),
    );
}

pub(super) fn renewed(core: &Core, record: &Record) {
    let user = record.principal();
    tell(core, SessionEventKind::Renewed, Some(record.id()), user);
}

pub(super) fn destroyed(core: &Core, id: SessionId, user: Option<&Principal>, reason: EndReason) {
    let word = reason.as_str();
    tracing::info!(
        target: TARGET, event = "session_destroyed", session = %Correlation(core, id), reason = word
    );
    tell(core, SessionEventKind::Ended(reason), Some(id), user);
}

/// A session that has ended by itself, or with all others.
pub(super) fn expired(core: &Core, id: SessionId, reason: EndReason) {
    let word = reason.as_str();
    tracing::info!(
        target: TARGET, event = "session_expired", session = %Correlation(core, id), reason = word
    );
    tell(core, SessionEventKind::Ended(reason), Some(id), None);
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

/// The store has lost commits that a request had seen. Returns which way, or `None` if this
/// relation shows nothing of the kind.
pub(super) fn history_lost(core: &Core, id: SessionId, relation: Relation) -> Option<EndReason> {
    let loss = match relation {
        Relation::Same | Relation::Ahead => return None,
        Relation::Fork => EndReason::VersionFork,
        Relation::Behind => EndReason::StoreRollback,
    };
    let event = loss.as_str();
    tracing::error!(target: TARGET, event, session = %Correlation(core, id));
    Some(loss)
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

pub(super) fn everyone_ended(core: &Core) {
    tracing::warn!(target: TARGET, event = "everyone_ended");
    let ended = SessionEventKind::Ended(EndReason::EveryoneEnded);
    tell(core, ended, None, None);
}

/// What became of an action is not in the audit trail, which says only that it was intended.
pub(super) fn audit_failed(error: &AuditError) {
    tracing::error!(target: TARGET, event = "audit_failed", error = error as &(dyn Error + 'static));
}

/// Reports a mistake in the program, mostly one that a request was answered with 500 for. For adapters, when
/// they make such an answer; mistakes that show only at the commit are reported by
/// [`SessionHandle::finish`](crate::SessionHandle::finish).
pub fn report_misuse(error: &dyn fmt::Display) {
    tracing::error!(target: TARGET, event = "session_misused", "{error}");
}
