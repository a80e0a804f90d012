//! What all requests share, and the store calls that they make.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use super::{combine::Terms, events, line::Lines};
use crate::{
    Clock, CookieConfig, Create, Entropy, Freshness, Load, Record, Renewal, Retention, SessionId,
    SessionSecret, StoreError, StoreErrorKind, Timestamp,
    changes::SessionError,
    cookie::{CookieFinder, Token, TokenKeys},
    store::ErasedStore,
};

/// A manager's store, settings and lines.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) store: Box<dyn ErasedStore>,
    pub(super) cookie: CookieConfig,
    pub(super) cookie_finder: CookieFinder,
    pub(super) token_keys: TokenKeys,
    pub(super) terms: Terms,
    /// How long the store may take, in all, to load a session, and again to commit it.
    pub(super) deadline: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lines: Lines,
}

/// What a response asks the store besides its own session's changes.
pub(super) enum Look {
    /// To renew the lease.
    Renew {
        lease_end: Timestamp,
        /// Whether the browser is to hear of it.
        is_cookie_due: bool,
    },
    /// For the present state, of which the browser's cookie does not speak.
    Reread,
}

impl Core {
    pub(super) async fn load(
        &self,
        id: SessionId,
        freshness: Freshness,
    ) -> Result<Load, SessionError> {
        let load = async {
            let found = self.store.load(id, freshness).await?;
            match &found {
                // The contract forbids it; a client or a proxy that mixes up replies does it.
                Load::Found(record) if record.id() != id => {
                    Err(StoreError::new(StoreErrorKind::Corrupt).into())
                }
                Load::Found(_) | Load::Expired(_) | Load::Absent => Ok(found),
            }
        };
        self.bounded("load", id, pin!(load)).await
    }

    pub(super) async fn delete(&self, id: SessionId) -> Result<(), SessionError> {
        let delete = async { Ok(self.store.delete(id).await?) };
        self.bounded("delete", id, pin!(delete)).await
    }

    pub(super) async fn create(&self, record: &Record) -> Result<Create, SessionError> {
        let create = || self.store.create(record.clone());
        let with_retry = async {
            match create().await {
                // The creation recognises itself if it had happened.
                Err(error) if error.outcome_unknown() => Ok(create().await?),
                outcome => Ok(outcome?),
            }
        };
        self.bounded("create", record.id(), pin!(with_retry)).await
    }

    /// What a response that has read this record is to ask the store. `is_told` says whether the
    /// browser's cookie speaks of just this record.
    pub(super) fn look_due(&self, record: &Record, is_told: bool) -> Option<Look> {
        let lifetimes = self.terms.lifetimes_of(record);
        match lifetimes.renewal(record, self.clock.now()) {
            Some(lease_end) => Some(Look::Renew {
                lease_end,
                is_cookie_due: !is_told || self.is_persistent(record),
            }),
            None => (!is_told).then_some(Look::Reread),
        }
    }

    /// Renews the lease if it is time, and returns the record that the browser's cookie should
    /// speak of, if that is another one than it does.
    ///
    /// A cookie is never issued anew on the strength of what was loaded at the request's beginning:
    /// a login may have replaced the secret since, and this response would overwrite its cookie.
    /// A renewal's answer or a second look, past any cache, shows that. A fault costs the renewal, not the response:
    /// the session was read, and lives on for now.
    pub(super) async fn look_again(&self, look: Look, record: Record) -> Option<Record> {
        let id = record.id();
        match look {
            Look::Renew {
                lease_end,
                is_cookie_due,
            } => {
                let renew = async { Ok(self.store.renew(id, lease_end).await?) };
                match self.bounded("renew", id, pin!(renew)).await.ok()? {
                    Renewal::Renewed(version) if version == record.version() && is_cookie_due => {
                        Some(record.with_lease_end(lease_end))
                    }
                    Renewal::Renewed(_) | Renewal::Gone => None,
                }
            }
            Look::Reread => match self.load(id, Freshness::Latest).await.ok()? {
                Load::Found(now) if now.secret_hash() == record.secret_hash() => Some(now),
                Load::Found(_) | Load::Expired(_) | Load::Absent => None,
            },
        }
    }

    pub(super) fn set_cookie(&self, record: &Record, secret: &SessionSecret) -> String {
        let token = Token {
            id: record.id(),
            secret: secret.clone(),
            version: record.version(),
        };
        let max_age = self
            .is_persistent(record)
            .then(|| record.lease_end().since(self.clock.now()));
        self.cookie.set(&token.sign(&self.token_keys), max_age)
    }

    /// Whether the session's cookie outlives the browser's closing.
    fn is_persistent(&self, record: &Record) -> bool {
        self.cookie.is_persistent() || record.retention() == Retention::Remembered
    }

    /// Bounds the time that work on the store takes, and reports its faults. The work is passed on by
    /// reference, since a future that is handed from one `async fn` to another has room in both.
    pub(super) async fn bounded<T>(
        &self,
        verb: &'static str,
        id: SessionId,
        work: Pin<&mut impl Future<Output = Result<T, SessionError>>>,
    ) -> Result<T, SessionError> {
        let outcome = match within(self.deadline, work).await {
            Some(outcome) => outcome,
            None => Err(StoreError::new(StoreErrorKind::TimedOut).into()),
        };
        if let Err(SessionError::Store(error)) = &outcome {
            events::store_failed(self, id, verb, error);
        }
        outcome
    }
}

/// `None` if the work took longer. Work that is done at once, as with a store in memory, never costs
/// a timer.
async fn within<T>(deadline: Duration, mut work: Pin<&mut impl Future<Output = T>>) -> Option<T> {
    let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
    if let Poll::Ready(done) = first.await {
        return Some(done);
    }
    tokio::time::timeout(deadline, work).await.ok()
}
