//! Actions on others' sessions, written down before and after.

use std::{future::Future, sync::Arc, time::Duration};

use super::{Core, events};
use crate::{
    AuditAction, AuditError, AuditOutcome, Operator, Principal,
    changes::SessionError,
    observe::{Audited, Auditor},
};

/// How long what became of an action waits for a sink that is slow.
const OUTCOME_PATIENCE: Duration = Duration::from_secs(60);

/// Where actions are written down, and which.
#[derive(Debug)]
pub(in super::super) struct Audit {
    pub(in super::super) auditor: Arc<Auditor>,
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
        let is_blank = |text: &str| text.trim().is_empty();
        if by.is_some_and(|by| is_blank(&by.name) || is_blank(&by.reason)) {
            return Err(AuditError::new("an operator has a name and gives a reason").into());
        }
        // Users end their own logins. Nobody disables their own account by mistake of a page that forgot to say who
        // does it.
        let own = user.filter(|_| action.is_for_users());
        let own = own.map(|user| Operator::new(user.as_str(), ""));
        let Some(by) = by.cloned().or(own) else {
            let nobody = "this is done by an operator; say who with `LoginIndex::by`";
            return Err(AuditError::new(nobody).into());
        };
        let is_ones_own = action == AuditAction::End && by.reason.is_empty();
        let audited = Audited {
            action,
            by,
            user: user.cloned(),
        };
        if let Err(error) = self
            .write_down(audit, &audited, AuditOutcome::Intended)
            .await
        {
            if audit.is_strict_with_users || !is_ones_own {
                return Err(error.into());
            }
            events::audit_failed(&error);
        }
        let outcome = work.await;
        let done = outcome.as_ref().map(count);
        let entry = done.map_or(AuditOutcome::Failed, AuditOutcome::Done);
        // It was done, or was not: that does not change any more, however long it takes to write down.
        let (auditor, now) = (Arc::clone(&audit.auditor), self.clock.now());
        let recording = tokio::spawn(async move {
            if let Err(error) = auditor.record(audited, entry, now, OUTCOME_PATIENCE).await {
                events::audit_failed(&error);
            }
        });
        let _ = tokio::time::timeout(self.deadline, recording).await;
        outcome
    }

    async fn write_down(
        &self,
        audit: &Audit,
        audited: &Audited,
        outcome: AuditOutcome,
    ) -> Result<(), AuditError> {
        let (auditor, now) = (&audit.auditor, self.clock.now());
        auditor
            .record(audited.clone(), outcome, now, self.deadline)
            .await
    }
}
