//! One call of a node, from its sending to its end.

use std::{fmt, task::Waker};

use tenure_core::{
    Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionId, StoreError, Timestamp,
    Version, Whose,
};

/// A call, and where it is.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) node: usize,
    /// The connection on which it was sent.
    pub(crate) epoch: u32,
    /// The request whose task sent it; none for a cache's own.
    pub(crate) actor: Option<usize>,
    pub(crate) sent: u32,
    pub(crate) ask: Ask,
    /// Whether a copy of it has not reached the server yet.
    pub(crate) is_on_its_way: bool,
    pub(crate) executed: Option<u32>,
    /// On its way back.
    pub(crate) answer: Option<Answer>,
    /// When the caller was told of the outcome, or left.
    pub(crate) ended: Option<u32>,
    /// When the caller was told of the server's answer.
    pub(crate) answered: Option<u32>,
    /// For the caller to take.
    pub(super) outcome: Option<Result<Answer, StoreError>>,
    pub(super) waker: Option<Waker>,
    /// Whether the caller has gone.
    pub(crate) is_abandoned: bool,
}

/// What a node asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Load(SessionId, Freshness),
    Create(Record),
    Commit(Version, Record),
    Renew(SessionId, Whose, Timestamp),
    Delete(SessionId, Whose),
    /// Nothing but the proof that all reports from before have arrived.
    Prove,
}

impl Ask {
    /// The session that it is about.
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::Prove => None,
            Self::Load(id, _) | Self::Renew(id, ..) | Self::Delete(id, _) => Some(*id),
            Self::Create(record) | Self::Commit(_, record) => Some(record.id()),
        }
    }
}

/// What the server says to it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Load(Load),
    Create(Create),
    Commit(Commit),
    Renew(Renewal),
    Delete(Delete),
    Prove,
}

impl Call {
    pub(super) const fn new(
        node: usize,
        epoch: u32,
        actor: Option<usize>,
        sent: u32,
        ask: Ask,
    ) -> Self {
        Self {
            node,
            epoch,
            actor,
            sent,
            ask,
            is_on_its_way: true,
            executed: None,
            answer: None,
            ended: None,
            answered: None,
            outcome: None,
            waker: None,
            is_abandoned: false,
        }
    }

    /// Whether it may reach the server a second time, as when a store makes it again by itself. Creations
    /// and commits must not: see the store contract.
    pub(crate) fn may_be_repeated(&self) -> bool {
        let is_idempotent = matches!(self.ask, Ask::Renew(..) | Ask::Delete(..));
        self.executed.is_some() && !self.is_on_its_way && is_idempotent
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(_, Freshness::Latest) => f.write_str("load (latest)"),
            Self::Load(_, Freshness::AtLeast(version)) => {
                write!(f, "load (at least {})", version.counter())
            }
            Self::Create(_) => f.write_str("create"),
            Self::Commit(expected, record) => {
                write!(
                    f,
                    "commit {} → {}",
                    expected.counter(),
                    record.version().counter()
                )
            }
            Self::Renew(..) => f.write_str("renew"),
            Self::Delete(..) => f.write_str("delete"),
            Self::Prove => f.write_str("heartbeat"),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load(Load::Found(record)) => write!(f, "version {}", record.version().counter()),
            Self::Load(Load::Expired(_)) => f.write_str("expired"),
            Self::Load(Load::Absent) => f.write_str("absent"),
            Self::Create(outcome) => write!(f, "{outcome:?}"),
            Self::Commit(Commit::Stored) => f.write_str("stored"),
            Self::Commit(Commit::Overtaken(record)) => {
                write!(f, "overtaken by version {}", record.version().counter())
            }
            Self::Commit(Commit::Conflict(record)) => {
                write!(f, "conflict with version {}", record.version().counter())
            }
            Self::Commit(Commit::Gone) | Self::Renew(Renewal::Gone) => f.write_str("gone"),
            Self::Renew(Renewal::Superseded) => f.write_str("superseded"),
            Self::Renew(Renewal::Renewed(version)) => {
                write!(f, "renewed, version {}", version.counter())
            }
            Self::Delete(outcome) => write!(f, "{outcome:?}"),
            Self::Prove => f.write_str("proof"),
        }
    }
}
