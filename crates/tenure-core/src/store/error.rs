use std::{error::Error, fmt, sync::Arc};

/// A fault of the storage. Never an expected outcome: "absent" or "conflict" are values.
///
/// Cheap to clone, since one fault can fail several requests that were committed together.
#[derive(Clone)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// A fault without an underlying error.
    #[must_use]
    pub const fn new(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// A fault caused by another error, which is kept as the source.
    #[must_use]
    pub fn with_source(
        kind: StoreErrorKind,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            source: Some(Arc::from(source.into())),
        }
    }

    /// What kind of fault it is.
    #[must_use]
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed if it is made again soon.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            StoreErrorKind::Unavailable
            | StoreErrorKind::TimedOut
            | StoreErrorKind::Interrupted
            | StoreErrorKind::NotReplicated
            | StoreErrorKind::Full => true,
            StoreErrorKind::Corrupt | StoreErrorKind::TooLarge | StoreErrorKind::Refused => false,
        }
    }

    /// Whether a write may have happened in spite of the error.
    #[must_use]
    pub const fn outcome_unknown(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::TimedOut | StoreErrorKind::Interrupted | StoreErrorKind::NotReplicated
        )
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError")
            .field("kind", &self.kind)
            .field("source", &self.source)
            .finish()
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StoreErrorKind::Unavailable => "the session store cannot be reached",
            StoreErrorKind::TimedOut => "the session store did not answer in time",
            StoreErrorKind::Interrupted => {
                "the connection to the session store broke during a call"
            }
            StoreErrorKind::NotReplicated => {
                "too few replicas of the session store confirmed a write"
            }
            StoreErrorKind::Corrupt => "what the session store holds is not a session record",
            StoreErrorKind::TooLarge => "the session is larger than its store accepts",
            StoreErrorKind::Full => "the session store has no room left",
            StoreErrorKind::Refused => "the session store refused a command",
        })
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What kind of fault a [`StoreError`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// No connection, or too many calls waiting. The write did not happen.
    Unavailable,
    /// No answer within the deadline. The write may have happened.
    TimedOut,
    /// The connection broke before the answer came. The write may have happened.
    Interrupted,
    /// The write happened on the primary, but fewer replicas than demanded confirmed it in time.
    NotReplicated,
    /// What is stored is not a record, or is another session's. Nothing was written.
    Corrupt,
    /// The record is larger than the store's limit. Nothing was written.
    TooLarge,
    /// The store is at its memory or disk limit. Nothing was written.
    Full,
    /// The store will not carry the command out: missing rights, a read-only replica, a server that
    /// does not know it. Nothing was written.
    Refused,
}
