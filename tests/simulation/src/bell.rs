//! Who can go on, and how whoever decides hears of it.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Wake, Waker},
};

use parking_lot::Mutex;

/// Rings when there is something to decide.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    is_rung: AtomicBool,
    listener: Mutex<Option<Waker>>,
}

/// A task's turn: due from when it is woken until it is polled.
#[derive(Debug)]
pub(crate) struct Turn {
    is_due: AtomicBool,
    bell: Arc<Bell>,
}

impl Bell {
    /// Waits until it rings; at once if it has since the last time.
    pub(crate) async fn rung(&self) {
        poll_fn(|context| {
            if self.is_rung.swap(false, Ordering::Relaxed) {
                return Poll::Ready(());
            }
            *self.listener.lock() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.is_rung.store(true, Ordering::Relaxed);
        let listener = self.listener.lock().take();
        if let Some(listener) = listener {
            listener.wake();
        }
    }
}

impl Turn {
    pub(crate) const fn new(bell: Arc<Bell>) -> Self {
        Self {
            is_due: AtomicBool::new(false),
            bell,
        }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_due.load(Ordering::Relaxed)
    }

    /// The turn is taken. Returns what makes it due again.
    pub(crate) fn take(self: &Arc<Self>) -> Waker {
        self.is_due.store(false, Ordering::Relaxed);
        Waker::from(Arc::clone(self))
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.is_due.store(true, Ordering::Relaxed);
        Arc::clone(&self.bell).wake();
    }
}
