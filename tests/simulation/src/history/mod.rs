//! Histories of operations on one session, and whether they are linearizable.

mod chain;
mod exhaustive;

pub use self::{
    chain::{Fault, check_chain},
    exhaustive::is_linearizable,
};

/// An operation on a session, as the one who asked for it saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever observes")]
pub struct Operation<V> {
    /// When it was asked for.
    pub began: u64,
    /// When it was answered; `None` if it never was, so that it may have happened at any time since,
    /// or not at all.
    pub ended: Option<u64>,
    /// What was asked, and answered.
    pub what: What<V>,
}

/// What an operation did. A version names one state of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "checkers must handle all of them")]
pub enum What<V> {
    /// Replaced the state `parent`, or began the session if there is none. A conflict wrote nothing,
    /// and returned what was stored: it is a [`Read`](Self::Read).
    Write {
        /// The state that was replaced.
        parent: Option<V>,
        /// The state that was written.
        version: V,
    },
    /// Saw that state.
    Read(V),
    /// Ended the session, if that had not been done.
    Delete,
    /// Saw that the session has ended.
    ReadAbsent,
}
