//! Linearizability of one session's history in O(n), for n operations.
//!
//! In general that is NP-complete. Here every write names the version that it replaced, so there is only
//! one order in which the writes can have happened, and it remains to see whether the times allow it.

use std::{collections::HashMap, fmt, hash::Hash};

use super::{Operation, What};

/// Why a history is not linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Two writes made the same version.
    TwoWritesOfOneVersion,
    /// Two writes replaced the same version, or two began the session.
    TwoWritesOnOneVersion,
    /// A version was seen or replaced that nobody wrote.
    NobodyWroteIt,
    /// A session was seen to have ended that nobody ended.
    NobodyEndedIt,
    /// An operation on a state was over before one on an earlier state began.
    WrongOrder,
    /// A read was over before the write began whose state it saw.
    ReadBeforeWrite,
}

/// Whether the history of one session is linearizable.
///
/// It is if and only if the writes that happened form one chain, no operation on a later state ended
/// before one on an earlier state began, and no read ended before the write began whose state it saw.
///
/// # Errors
///
/// The [`Fault`] that shows the contrary.
pub fn check_chain<V: Copy + Eq + Hash>(history: &[Operation<V>]) -> Result<(), Fault> {
    let order = order(history)?;
    let mut latest_start = None;
    for state in group(history, &order)? {
        let Some(made) = state.made else { continue };
        if state.reads_end.is_some_and(|end| end < made) {
            return Err(Fault::ReadBeforeWrite);
        }
        if latest_start > state.earliest_end.or(Some(u64::MAX)) {
            return Err(Fault::WrongOrder);
        }
        latest_start = latest_start.max(state.latest_start);
    }
    Ok(())
}

/// The place of each version in the chain. Writes that nobody answered are part of it if somebody has
/// seen them, or built on them.
fn order<V: Copy + Eq + Hash>(history: &[Operation<V>]) -> Result<HashMap<V, usize>, Fault> {
    let mut parents = HashMap::new();
    for operation in history {
        if let What::Write { parent, version } = operation.what
            && parents.insert(version, parent).is_some()
        {
            return Err(Fault::TwoWritesOfOneVersion);
        }
    }
    // Which version each one was replaced by, among those that are known to have happened.
    let mut next: HashMap<Option<V>, V> = HashMap::new();
    for operation in history {
        let mut version = match operation.what {
            What::Write { version, .. } if operation.ended.is_some() => version,
            What::Read(version) if operation.ended.is_some() => version,
            What::Write { .. } | What::Read(_) | What::Delete | What::ReadAbsent => continue,
        };
        loop {
            let parent = *parents.get(&version).ok_or(Fault::NobodyWroteIt)?;
            match next.insert(parent, version) {
                Some(known) if known == version => break,
                Some(_) => return Err(Fault::TwoWritesOnOneVersion),
                None => {}
            }
            match parent {
                Some(parent) => version = parent,
                None => break,
            }
        }
    }
    let mut order = HashMap::with_capacity(next.len());
    let mut last = None;
    while let Some(version) = next.get(&last) {
        if order.insert(*version, order.len()).is_some() {
            break;
        }
        last = Some(*version);
    }
    // Versions that replace each other in a circle are not reached from the beginning.
    (order.len() == next.len())
        .then_some(order)
        .ok_or(Fault::NobodyWroteIt)
}

/// The operations on one state.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// When the state can have come about at the earliest.
    made: Option<u64>,
    reads_end: Option<u64>,
    latest_start: Option<u64>,
    /// `None` if no operation on it has ended.
    earliest_end: Option<u64>,
}

/// The states in their order; the last one is the end of the session.
fn group<V: Copy + Eq + Hash>(
    history: &[Operation<V>],
    order: &HashMap<V, usize>,
) -> Result<Vec<State>, Fault> {
    let mut states = vec![State::default(); order.len() + 1];
    let end = order.len();
    for operation in history {
        let place = match operation.what {
            What::Write { version, .. } | What::Read(version) => order.get(&version).copied(),
            What::Delete | What::ReadAbsent => Some(end),
        };
        // A write that is not in the chain was not answered, and did not happen.
        let Some(state) = place.and_then(|place| states.get_mut(place)) else {
            continue;
        };
        let is_read = matches!(operation.what, What::Read(_) | What::ReadAbsent);
        if !is_read {
            let made = state.made.unwrap_or(operation.began);
            state.made = Some(made.min(operation.began));
        }
        let Some(ended) = operation.ended else {
            continue;
        };
        if is_read {
            state.reads_end = Some(state.reads_end.unwrap_or(ended).min(ended));
        }
        state.earliest_end = Some(state.earliest_end.unwrap_or(ended).min(ended));
        state.latest_start = state.latest_start.max(Some(operation.began));
    }
    for (place, state) in states.iter_mut().enumerate() {
        if let Some(began) = state.made.filter(|_| place < end) {
            // The one write of a state starts before all that builds on it, answered or not.
            state.latest_start = state.latest_start.max(Some(began));
        } else if state.made.is_none() && state.reads_end.is_some() {
            return Err(Fault::NobodyEndedIt);
        }
    }
    Ok(states)
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TwoWritesOfOneVersion => "two writes made the same version",
            Self::TwoWritesOnOneVersion => "two writes replaced the same version",
            Self::NobodyWroteIt => "a version was seen that nobody wrote",
            Self::NobodyEndedIt => "a session was seen to have ended that nobody ended",
            Self::WrongOrder => {
                "a later state was seen before an operation on an earlier one began"
            }
            Self::ReadBeforeWrite => "a read was over before the write began that it saw",
        })
    }
}
