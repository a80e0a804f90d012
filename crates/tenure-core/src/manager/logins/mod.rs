//! Logins through the index: admitted before the commit, confirmed after it, ended by name.

mod admission;
mod audited;
mod endings;
mod gate;
mod index;

use std::{future::Future, pin::Pin, sync::Arc};

use self::gate::Gate;
pub use self::index::{EndedLogins, LoginIndex, OnLimit, SessionInfo, UserLogins};
pub(super) use self::{admission::Admission, audited::Audit};
use super::{
    Core, SessionManager,
    core::{too_late, within},
    events,
};
use crate::{
    Epoch, LoginLimit, LoginName, Principal, Record, StoreError, changes::SessionError,
    store::ErasedIndex,
};

/// A manager's login index and its settings.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) store: Arc<dyn ErasedIndex>,
    pub(super) limit: Option<LoginLimit>,
    gate: Gate,
}

impl Index {
    pub(super) fn new(store: Arc<dyn ErasedIndex>, limit: Option<LoginLimit>) -> Self {
        Self {
            store,
            limit,
            gate: Gate::default(),
        }
    }
}

/// A login, as a record tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    pub(crate) user: Principal,
    /// The epoch of the user's logins in which it was made.
    pub(crate) epoch: Epoch,
    /// Who acts in the user's name. The login is in both of their indices.
    pub(crate) actor: Option<Principal>,
    pub(crate) login: LoginName,
}

impl LoggedIn {
    pub(crate) fn of(record: &Record) -> Option<Self> {
        Some(Self {
            user: record.principal()?.clone(),
            epoch: record.login().epoch,
            actor: record.actor().map(|actor| actor.user),
            login: LoginName::of(record)?,
        })
    }

    /// Whose index it is in.
    fn users(&self) -> impl Iterator<Item = &Principal> {
        [Some(&self.user), self.actor.as_ref()]
            .into_iter()
            .flatten()
    }
}

impl Core {
    pub(super) fn index(&self) -> Result<&Index, SessionError> {
        self.index.as_ref().ok_or(SessionError::NoIndex)
    }

    pub(super) const fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// The epoch of all sessions in which a session begins now.
    pub(super) fn gate(&self) -> Epoch {
        self.index
            .as_ref()
            .map(|index| index.gate.epoch())
            .unwrap_or_default()
    }

    /// Whether all sessions were ended since this one began.
    pub(super) fn is_past_the_gate(&self, record: &Record) -> bool {
        record.gate() < self.gate()
    }

    /// Bounds the time that work on the index takes, and reports its faults.
    pub(super) async fn bounded_index<T>(
        &self,
        verb: &'static str,
        work: Pin<&mut impl Future<Output = Result<T, SessionError>>>,
    ) -> Result<T, SessionError> {
        let outcome = within(self.deadline, work).await.unwrap_or_else(too_late);
        if let Err(SessionError::Store(error)) = &outcome {
            events::index_failed(verb, error);
        }
        outcome
    }

    /// Does what no response has to wait for. If it is lost, as when the process ends, the index is mended by whoever
    /// looks at it next.
    pub(super) fn behind(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Outside of a runtime nothing can be done behind anything.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(work);
        }
    }
}

/// A verb of the index, made again if its outcome is unknown: that is allowed for all of them.
async fn persistently<T, F>(mut verb: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    match verb().await {
        Err(error) if error.outcome_unknown() => verb().await,
        outcome => outcome,
    }
}
