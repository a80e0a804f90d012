//! The audit trail as a stream in Redis.

use std::{fmt, sync::Arc};

use redis::Value;
use tenure_core::{AuditEntry, AuditError, AuditSink};

use crate::{
    RedisStore,
    error::unexpected_reply,
    script::{self, Request},
    topology::Topology,
};

/// Writes the audit trail to the stream `{prefix}:audit`: one field, `entry`, with the entry as JSON. Read it with
/// `XRANGE`. As durable as the server is, and as whatever it replicates to.
///
/// An entry whose reply was lost counts as not written, so the action that it is about is refused, though it may be
/// there.
#[derive(Clone)]
pub struct RedisAudit {
    topology: Arc<Topology>,
    key: String,
    keeps: u32,
}

impl RedisStore {
    /// The audit trail on this store's server, in a cluster on one of its nodes, for
    /// [`SessionManagerBuilder::audit`](tenure_core::SessionManagerBuilder::audit).
    #[must_use]
    pub fn audit(&self) -> RedisAudit {
        RedisAudit {
            topology: Arc::clone(&self.shared().index),
            key: [&*self.shared().prefix, ":audit"].concat(),
            keeps: 100_000,
        }
    }
}

impl RedisAudit {
    /// About how many entries are kept; older ones go. Default 100,000, some 30 MB.
    #[must_use]
    pub fn keeps(self, entries: u32) -> Self {
        Self {
            keeps: entries,
            ..self
        }
    }
}

impl AuditSink for RedisAudit {
    async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        let entry = entry.to_json()?;
        let keeps = self.keeps.to_string();
        let arguments = [entry.as_bytes(), keeps.as_bytes()];
        let request = Request::script(&script::AUDIT, &self.key, &arguments);
        match self.topology.call(&request).await {
            Ok(Value::Int(1)) => Ok(()),
            Ok(_) => Err(AuditError::new(unexpected_reply())),
            Err(error) => Err(AuditError::new(error)),
        }
    }
}

impl fmt::Debug for RedisAudit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisAudit")
            .field("key", &self.key)
            .field("keeps", &self.keeps)
            .finish_non_exhaustive()
    }
}
