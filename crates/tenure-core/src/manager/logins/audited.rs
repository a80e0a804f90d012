//! Actions on others' sessions, written down before and after.

use std::future::Future;

use super::{Core, events};
use crate::{
    AuditAction, AuditError, AuditOutcome, Operator, Principal,
    changes::SessionError,
    observe::{Audited, Auditor},
};

/// Where actions are written down, and which.
#[derive(Debug)]
pub(in super::super) struct Audit {
    pub(in super::super) auditor: Auditor,
    /// Whether that is so for users' own logins, too.
    pub(in super::super) is_strict_with_users: bool,
}

impl Core {
    /// Does something that has to be written down. `by` is nobody where users do it to their own sessions.
    pub(in super::super) async fn audited<T>(
        &self,
        action: AuditAction,
        user: Option<&Principal>,
        by: Option<&Operator>,
        work: impl Future<Output = Result<T, SessionError>>,
        count: impl FnOnce(&T) -> u64,
    ) -> Result<T, SessionError> {
        let Some(audit) = &self.audit else {
            return work.await;
        };
        if by.is_some_and(|by| by.reason.trim().is_empty()) {
            return Err(AuditError::new("an operator has to give a reason").into());
        }
        let own = user.map(|user| Operator::new(user.as_str(), ""));
        let Some(by) = by.or(own.as_ref()) else {
            return Err(AuditError::new("this has to be done by an operator").into());
        };
        let audited = Audited { action, by, user };
        if let Err(error) = self
            .write_down(audit, &audited, AuditOutcome::Intended)
            .await
        {
            let is_ones_own = action == AuditAction::End && own.as_ref() == Some(by);
            if audit.is_strict_with_users || !is_ones_own {
                return Err(error.into());
            }
            events::audit_failed(&error);
        }
        let outcome = work.await;
        let done = outcome.as_ref().map(count);
        let entry = done.map_or(AuditOutcome::Failed, AuditOutcome::Done);
        // It was done, or was not: that does not change any more.
        if let Err(error) = self.write_down(audit, &audited, entry).await {
            events::audit_failed(&error);
        }
        outcome
    }

    async fn write_down(
        &self,
        audit: &Audit,
        audited: &Audited<'_>,
        outcome: AuditOutcome,
    ) -> Result<(), AuditError> {
        let recording = audit.auditor.record(audited, outcome, self.clock.now());
        match tokio::time::timeout(self.deadline, recording).await {
            Ok(recorded) => recorded,
            Err(elapsed) => Err(AuditError::new(elapsed)),
        }
    }
}
