//! What a caller hands to a thread, and how the caller gets the outcome.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenure_core::{StoreError, StoreErrorKind};
use tokio::{
    sync::oneshot::{self, Receiver, Sender},
    time::timeout,
};

use crate::{
    queue::{NotQueued, Queue},
    sessions::Sessions,
};

/// A piece of reading. Skipped if its caller has left.
pub(crate) trait Read: Send {
    fn run(self: Box<Self>, sessions: Result<&Sessions<'_>, StoreError>);
}

/// A piece of writing, in a transaction that holds others too.
pub(crate) trait Write: Send {
    /// Whether its caller still waits for it.
    fn is_wanted(&self) -> bool;

    /// Whether it is still wanted. After a yes it can no longer be withdrawn.
    fn claim(&self) -> bool;

    /// Does it. May be called again after the transaction was rolled back.
    fn run(&mut self, sessions: &Sessions<'_>);

    /// Tells the caller what came of it, when the transaction has ended.
    fn answer(self: Box<Self>, end: Result<(), StoreError>);
}

/// Reads, on whichever thread takes it out of the queue.
///
/// # Cancellation
///
/// Dropping the future has no effect on anything.
pub(crate) async fn read<T: Send + 'static>(
    queue: &Queue<Box<dyn Read>>,
    deadline: Duration,
    action: impl FnOnce(&Sessions<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    queue
        .push(Box::new(Reading { action, reply }))
        .map_err(not_queued)?;
    match timeout(deadline, answer).await {
        Ok(Ok(outcome)) => outcome,
        // The thread has ended with it.
        Ok(Err(_)) => Err(StoreError::new(StoreErrorKind::Unavailable)),
        Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
    }
}

/// Writes, in the order of the calls.
///
/// # Cancellation
///
/// Dropping the future withdraws the call if it has not begun. Otherwise it happens.
pub(crate) async fn write<T: Send + 'static>(
    queue: &Queue<Box<dyn Write>>,
    deadline: Duration,
    action: impl FnMut(&Sessions<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    let claim = Arc::new(Claim::default());
    queue
        .push(Box::new(Writing {
            action,
            outcome: None,
            claim: Arc::clone(&claim),
            reply,
        }))
        .map_err(not_queued)?;
    let mut waiting = Waiting { claim, answer };
    match timeout(deadline, &mut waiting.answer).await {
        Ok(Ok(outcome)) => outcome,
        // The thread has ended in the midst of it.
        Ok(Err(_)) => Err(StoreError::new(StoreErrorKind::Interrupted)),
        Err(_) if waiting.claim.take() => Err(StoreError::with_source(
            StoreErrorKind::Unavailable,
            "the writing thread did not get to it in time, so nothing was written: the disk is slow, or \
             another process holds the session file locked",
        )),
        Err(_) => Err(StoreError::new(StoreErrorKind::TimedOut)),
    }
}

struct Reading<F, T> {
    action: F,
    reply: Sender<Result<T, StoreError>>,
}

impl<F, T> Read for Reading<F, T>
where
    F: FnOnce(&Sessions<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(self: Box<Self>, sessions: Result<&Sessions<'_>, StoreError>) {
        if !self.reply.is_closed() {
            // Whoever has left meanwhile needs no answer.
            let _ = self.reply.send(sessions.and_then(self.action));
        }
    }
}

struct Writing<F, T> {
    action: F,
    outcome: Option<Result<T, StoreError>>,
    claim: Arc<Claim>,
    reply: Sender<Result<T, StoreError>>,
}

impl<F, T> Write for Writing<F, T>
where
    F: FnMut(&Sessions<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn claim(&self) -> bool {
        self.claim.take()
    }

    fn run(&mut self, sessions: &Sessions<'_>) {
        self.outcome = Some((self.action)(sessions));
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        let Self { outcome, reply, .. } = *self;
        let unrun = || Err(StoreError::new(StoreErrorKind::Unavailable));
        // Whoever has left meanwhile needs no answer.
        let _ = reply.send(end.and_then(|()| outcome.unwrap_or_else(unrun)));
    }
}

/// Taken once: by the thread that does the work, or by the caller who does not want it any more. So either
/// it is known that nothing happened, or the call has begun.
#[derive(Default)]
struct Claim(AtomicBool);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

struct Waiting<T> {
    claim: Arc<Claim>,
    answer: Receiver<Result<T, StoreError>>,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.claim.take();
    }
}

fn not_queued(reason: NotQueued) -> StoreError {
    let reason = match reason {
        NotQueued::Full => "too many calls are waiting",
        NotQueued::Closed => "the store's thread has ended",
    };
    StoreError::with_source(StoreErrorKind::Unavailable, reason)
}
