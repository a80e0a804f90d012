//! Where calls wait for a thread.

use std::{collections::VecDeque, time::Duration};

use parking_lot::{Condvar, Mutex};

/// A bounded queue between callers, who never wait for room, and threads, which wait for work.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    limit: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

/// Why a queue took nothing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotQueued {
    Full,
    Closed,
}

/// Why a thread stopped waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    Work,
    TimedOut,
    /// And nothing is left to do.
    Closed,
}

impl<T> Queue<T> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
            limit,
        }
    }

    pub(crate) fn push(&self, item: T) -> Result<(), NotQueued> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(NotQueued::Closed);
        }
        if state.waiting.len() >= self.limit {
            return Err(NotQueued::Full);
        }
        state.waiting.push_back(item);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for an item and takes it. `None` when the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.waiting.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Waits for an item for so long, and leaves it where it is.
    pub(crate) fn wait(&self, patience: Duration) -> Wake {
        let mut state = self.state.lock();
        let nothing = |state: &mut State<T>| state.waiting.is_empty() && !state.closed;
        self.changed.wait_while_for(&mut state, nothing, patience);
        match (state.waiting.is_empty(), state.closed) {
            (false, _) => Wake::Work,
            (true, true) => Wake::Closed,
            (true, false) => Wake::TimedOut,
        }
    }

    /// Takes what waits now, in its order, up to so many.
    pub(crate) fn drain(&self, most: usize) -> Vec<T> {
        let waiting = &mut self.state.lock().waiting;
        let count = waiting.len().min(most);
        waiting.drain(..count).collect()
    }

    /// Drops what is of no use any more.
    pub(crate) fn retain(&self, useful: impl FnMut(&T) -> bool) {
        self.state.lock().waiting.retain(useful);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().waiting.is_empty()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// Takes nothing in any more. What waits is still to be taken out.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;

    #[test]
    fn items_come_out_in_their_order_and_no_more_than_fit_go_in() {
        let queue = Queue::new(3);
        assert_eq!(queue.wait(Duration::ZERO), Wake::TimedOut);
        for item in 1..=3 {
            queue.push(item).unwrap();
        }
        assert_eq!(queue.push(4), Err(NotQueued::Full));
        assert_eq!(queue.wait(Duration::ZERO), Wake::Work);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.drain(9), [2, 3]);
        assert!(queue.is_empty());
    }

    #[test]
    fn what_waits_when_a_queue_closes_still_comes_out() {
        let queue = Queue::new(3);
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(queue.push(2), Err(NotQueued::Closed));
        assert_eq!(queue.wait(Duration::MAX), Wake::Work);
        assert_eq!(queue.take(), Some(1));
        assert_eq!(queue.take(), None);
        assert_eq!(queue.wait(Duration::MAX), Wake::Closed);
    }

    #[test]
    fn whoever_waits_is_woken_by_an_item_and_by_the_end() {
        let queue = Arc::new(Queue::new(3));
        let waiting = Arc::clone(&queue);
        let thread = thread::spawn(move || (waiting.take(), waiting.take()));
        queue.push(1).unwrap();
        queue.close();
        assert_eq!(thread.join().unwrap(), (Some(1), None));
    }
}
