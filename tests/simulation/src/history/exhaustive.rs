//! Linearizability by trying all orders, after Wing and Gong (1993) with Lowe's memory of what was tried
//! (2017). Knows nothing of chains: it is there to check [`check_chain`](super::check_chain).

use std::collections::HashSet;
use std::hash::Hash;

use super::{Operation, What};

/// Whether the history of one session is linearizable. Takes time that is exponential in the number of
/// operations that overlap.
///
/// # Panics
///
/// If there are more than 64 operations.
#[must_use]
pub fn is_linearizable<V: Copy + Eq + Hash>(history: &[Operation<V>]) -> bool {
    assert!(history.len() <= 64, "too many operations to try all orders");
    let mut tried = HashSet::new();
    try_all(history, 0, State::Unborn, &mut tried)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State<V> {
    Unborn,
    Live(V),
    Ended,
}

fn try_all<V: Copy + Eq + Hash>(
    history: &[Operation<V>],
    done: u64,
    state: State<V>,
    tried: &mut HashSet<(u64, State<V>)>,
) -> bool {
    let is_open = |number: usize| done & (1 << number) == 0;
    let open = || {
        history
            .iter()
            .enumerate()
            .filter(|(number, _)| is_open(*number))
    };
    if open().all(|(_, operation)| operation.ended.is_none()) {
        return true;
    }
    if !tried.insert((done, state)) {
        return false;
    }
    // Whoever began after another one was answered cannot go before it.
    let Some(first_end) = open().filter_map(|(_, operation)| operation.ended).min() else {
        return true;
    };
    let mut next = open().filter(|(_, operation)| operation.began <= first_end);
    next.any(|(number, operation)| {
        apply(state, operation.what)
            .is_some_and(|state| try_all(history, done | (1 << number), state, tried))
    })
}

/// The state afterwards, or `None` if the operation cannot have had this answer here.
fn apply<V: Copy + Eq>(state: State<V>, what: What<V>) -> Option<State<V>> {
    match (what, state) {
        (
            What::Write {
                parent: None,
                version,
            },
            State::Unborn,
        ) => Some(State::Live(version)),
        (
            What::Write {
                parent: Some(parent),
                version,
            },
            State::Live(now),
        ) if parent == now => Some(State::Live(version)),
        (What::Read(seen), State::Live(now)) if seen == now => Some(state),
        (What::Delete, State::Unborn | State::Live(_) | State::Ended) => Some(State::Ended),
        (What::ReadAbsent, State::Ended) => Some(state),
        (What::Write { .. } | What::Read(_) | What::ReadAbsent, _) => None,
    }
}
