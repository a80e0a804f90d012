//! A node's way to the server.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tenure_core::{FeedListener, Part, SessionId};

/// What connects a node with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// Calls and answers overtake each other, as on a pool of connections.
    Pool,
    /// One connection with a feed: calls, answers and reports keep their order.
    Feed {
        /// Whether the node's own writes are reported to it too, right behind their answers.
        echoes: bool,
    },
}

/// A node's connection, or its pool of them.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) kind: LinkKind,
    /// Whether the node answers from memory.
    pub(crate) is_cached: bool,
    /// Counts the connections.
    pub(crate) epoch: u32,
    /// What a connection with a feed has not brought yet, in order.
    pub(crate) stream: VecDeque<Item>,
    /// What the node has seen since its last report of it.
    tracked: Vec<SessionId>,
    listener: Option<Arc<dyn FeedListener>>,
    /// Whether the listener has to hear of a loss before anything is sent.
    is_new: bool,
    /// How many faults the node was told of.
    pub(crate) faults: u32,
    /// How long the server has owed answers.
    pub(crate) owed: Duration,
}

/// What a connection with a feed brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// The answer to that call.
    Answer(usize),
    /// The report that a session was changed.
    Change(SessionId),
}

impl Link {
    pub(crate) const fn new(kind: LinkKind, is_cached: bool) -> Self {
        Self {
            kind,
            is_cached,
            epoch: 0,
            stream: VecDeque::new(),
            tracked: Vec::new(),
            listener: None,
            is_new: true,
            faults: 0,
            owed: Duration::ZERO,
        }
    }

    pub(crate) const fn is_ordered(&self) -> bool {
        matches!(self.kind, LinkKind::Feed { .. })
    }

    pub(super) fn listen(&mut self, listener: Arc<dyn FeedListener>) {
        self.listener = Some(listener);
    }

    /// A new connection knows nothing of what the old one would have reported. The cache is told as late as
    /// the contract allows.
    pub(super) fn before_sending(&mut self) {
        if std::mem::replace(&mut self.is_new, false)
            && let Some(listener) = &self.listener
        {
            listener.lost(Part::ONLY);
        }
    }

    pub(super) fn expect(&mut self, call: usize) {
        let answer = Item::Answer(call);
        if self.is_ordered() && !self.stream.contains(&answer) {
            self.stream.push_back(answer);
        }
    }

    /// Lets an answer overtake all that is on its way.
    pub(super) fn expect_first(&mut self, call: usize) {
        self.stream.push_front(Item::Answer(call));
    }

    pub(super) fn track(&mut self, id: SessionId) {
        if self.is_ordered() && !self.tracked.contains(&id) {
            self.tracked.push(id);
        }
    }

    /// Puts the report of a change on its way. A session is reported once, until the node looks at it again.
    pub(super) fn report(&mut self, id: SessionId, is_own: bool) {
        let is_wanted = match self.kind {
            LinkKind::Pool => false,
            LinkKind::Feed { echoes } => echoes || !is_own,
        };
        if let Some(place) = self.tracked.iter().position(|tracked| *tracked == id) {
            self.tracked.swap_remove(place);
            if is_wanted {
                self.stream.push_back(Item::Change(id));
            }
        }
    }

    pub(super) fn tell(&self, id: SessionId) {
        if let Some(listener) = &self.listener {
            listener.changed(id);
        }
    }

    /// Ends the connection, and returns its number.
    pub(super) fn disconnect(&mut self) -> u32 {
        self.stream.clear();
        self.tracked.clear();
        self.is_new = true;
        self.epoch += 1;
        self.epoch - 1
    }
}
