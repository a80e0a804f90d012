//! The audit trail of what is done to the sessions of others.

mod entry;
mod sinks;

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

pub use self::{
    entry::{AuditAction, AuditEntry, AuditOutcome, Operator, verify_audit},
    sinks::{AuditFile, AuditTrace},
};
use crate::{Entropy, Principal, Timestamp, entropy::random};

/// Where the audit trail goes.
///
/// An entry is recorded before an action, as [what is intended](AuditOutcome::Intended), and after it. If the first
/// cannot be recorded, the action is refused. A sink says so in bounded time.
pub trait AuditSink: fmt::Debug + Send + Sync + 'static {
    /// Keeps an entry, durably as far as it is concerned.
    ///
    /// # Errors
    ///
    /// [`AuditError`], if it may be lost.
    fn record(&self, entry: &AuditEntry) -> impl Future<Output = Result<(), AuditError>> + Send;
}

/// An entry of the audit trail could not be kept, so what it was about was not done.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the audit trail could not be written")]
pub struct AuditError(#[source] Arc<dyn std::error::Error + Send + Sync>);

impl AuditError {
    /// For that reason.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Arc::from(source.into()))
    }
}

/// Makes the entries of one process, each with the hash of the one before it.
pub(crate) struct Auditor {
    sink: Box<dyn ErasedSink>,
    entropy: Arc<dyn Entropy>,
    /// Held until an entry is recorded, so that entries are recorded in their order.
    head: tokio::sync::Mutex<Head>,
}

#[derive(Default)]
struct Head {
    /// The chain that goes on. None, if it is not known whether its last entry was recorded: then another one begins
    /// that names the last entry that was, and both are whole.
    chain: Option<u64>,
    count: u64,
    hash: [u8; 32],
}

/// An action on others' sessions.
#[derive(Clone, Debug)]
pub(crate) struct Audited {
    pub(crate) action: AuditAction,
    pub(crate) by: Operator,
    pub(crate) user: Option<Principal>,
}

impl Auditor {
    pub(crate) fn new(sink: Box<dyn ErasedSink>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            sink,
            entropy,
            head: tokio::sync::Mutex::default(),
        }
    }

    /// Records what is going to be done or what became of it. Once begun, it goes on to its end whoever waits for it,
    /// since an entry that may or may not be there would break the chain; and it waits for its turn no longer than
    /// `patience`, so that a sink that hangs does not collect entries in memory.
    pub(crate) async fn record(
        self: &Arc<Self>,
        audited: Audited,
        outcome: AuditOutcome,
        at: Timestamp,
        patience: Duration,
    ) -> Result<(), AuditError> {
        let auditor = Arc::clone(self);
        let recording = tokio::spawn(async move {
            let turn = tokio::time::timeout(patience, auditor.head.lock()).await;
            let mut head = turn.map_err(AuditError::new)?;
            auditor.record_next(&mut head, audited, outcome, at).await
        });
        let recorded = tokio::time::timeout(patience, recording).await;
        recorded
            .map_err(AuditError::new)?
            .map_err(AuditError::new)?
    }

    async fn record_next(
        &self,
        head: &mut Head,
        audited: Audited,
        outcome: AuditOutcome,
        at: Timestamp,
    ) -> Result<(), AuditError> {
        let (chain, count) = match head.chain.take() {
            Some(chain) => (chain, head.count),
            None => {
                let chain = random(&*self.entropy).map_err(AuditError::new)?;
                (u64::from_be_bytes(chain), 0)
            }
        };
        let entry = AuditEntry {
            chain,
            number: count + 1,
            previous: entry::hex(&head.hash),
            at_ms: at.as_millis(),
            action: audited.action,
            user: audited.user.map(|user| user.as_str().to_owned()),
            by: audited.by,
            outcome,
        };
        self.sink.record(&entry).await?;
        *head = Head {
            chain: Some(chain),
            count: entry.number,
            hash: entry.hash(),
        };
        Ok(())
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor")
            .field("sink", &self.sink)
            .finish_non_exhaustive()
    }
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<(), AuditError>> + Send + 'a>>;

/// [`AuditSink`] with boxed futures.
pub(crate) trait ErasedSink: fmt::Debug + Send + Sync {
    fn record<'a>(&'a self, entry: &'a AuditEntry) -> Pending<'a>;
}

impl<S: AuditSink> ErasedSink for S {
    fn record<'a>(&'a self, entry: &'a AuditEntry) -> Pending<'a> {
        Box::pin(AuditSink::record(self, entry))
    }
}
