//! What a caller hands to a thread, and how the caller gets the outcome.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
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

/// What a call is about: a session, or a principal's logins. Two may look the same, which costs time and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject(u64);

impl Subject {
    pub(crate) fn of(value: impl Hash) -> Self {
        Self(BuildHasherDefault::<DefaultHasher>::default().hash_one(value))
    }
}

/// The writes that are under way although their callers have left: whoever reads the same then has to see what
/// they leave, and not what was there before.
#[derive(Debug, Default)]
pub(crate) struct GivenUp {
    count: AtomicUsize,
    subjects: Mutex<Vec<Subject>>,
}

impl GivenUp {
    pub(crate) fn concerns(&self, subject: Subject) -> bool {
        self.count.load(Ordering::Acquire) > 0 && self.subjects.lock().contains(&subject)
    }

    fn add(&self, subject: Subject) {
        self.subjects.lock().push(subject);
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    fn remove(&self, subject: Subject) {
        let mut subjects = self.subjects.lock();
        if let Some(at) = subjects.iter().position(|other| *other == subject) {
            subjects.swap_remove(at);
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }
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
    subject: Subject,
    given_up: &Arc<GivenUp>,
    action: impl FnMut(&Sessions<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let (reply, answer) = oneshot::channel();
    let claim = Arc::new(Claim {
        state: AtomicU8::new(WAITING),
        subject,
        given_up: Arc::clone(given_up),
    });
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
        Err(_) if waiting.claim.withdraw() => Err(StoreError::with_source(
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
        self.claim.begin()
    }

    fn run(&mut self, sessions: &Sessions<'_>) {
        self.outcome = Some((self.action)(sessions));
    }

    fn answer(self: Box<Self>, end: Result<(), StoreError>) {
        let Self {
            outcome,
            claim,
            reply,
            ..
        } = *self;
        claim.end();
        let unrun = || Err(StoreError::new(StoreErrorKind::Unavailable));
        // Whoever has left meanwhile needs no answer.
        let _ = reply.send(end.and_then(|()| outcome.unwrap_or_else(unrun)));
    }
}

/// How far a write has come, as its caller and the writing thread both see it.
struct Claim {
    state: AtomicU8,
    subject: Subject,
    given_up: Arc<GivenUp>,
}

impl Claim {
    /// For the thread: begins, unless the caller has withdrawn.
    fn begin(&self) -> bool {
        self.moves(WAITING, BEGUN)
    }

    /// For the caller: whether nothing has happened, and nothing will.
    fn withdraw(&self) -> bool {
        if self.state.load(Ordering::Acquire) >= GIVEN_UP {
            // As a rule, since it was answered.
            return false;
        }
        if self.moves(WAITING, ENDED) {
            return true;
        }
        // First, so that no reader comes in between.
        self.given_up.add(self.subject);
        if !self.moves(BEGUN, GIVEN_UP) {
            self.given_up.remove(self.subject);
        }
        false
    }

    /// For the thread: what was to happen has happened.
    fn end(&self) {
        if self.state.swap(ENDED, Ordering::AcqRel) == GIVEN_UP {
            self.given_up.remove(self.subject);
        }
    }

    fn moves(&self, from: u8, to: u8) -> bool {
        let moved = self
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        moved.is_ok()
    }
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
/// By its caller, after it had begun.
const GIVEN_UP: u8 = 2;
const ENDED: u8 = 3;

struct Waiting<T> {
    claim: Arc<Claim>,
    answer: Receiver<Result<T, StoreError>>,
}

impl<T> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.claim.withdraw();
    }
}

fn not_queued(reason: NotQueued) -> StoreError {
    let reason = match reason {
        NotQueued::Full => "too many calls are waiting",
        NotQueued::Closed => "the store's thread has ended",
    };
    StoreError::with_source(StoreErrorKind::Unavailable, reason)
}
