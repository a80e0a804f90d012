//! What a call has come upon whose first attempt failed.

use std::time::Duration;

use redis::Value;
use tenure_core::{StoreError, StoreErrorKind};
use tokio::time::{Instant, error::Elapsed, sleep_until};

use crate::connector::about;

/// What to tell when the call ends.
pub(super) struct Trail {
    /// An attempt that nobody answered, after which the call was sent once more: it may have been carried out.
    pub(super) is_open: bool,
    /// Why the last attempt was not carried out.
    pub(super) refusal: Option<StoreError>,
    waits: u32,
    redirections: u32,
    /// After that there is no other attempt: it would be cut short by the deadline, and nobody would know what has
    /// become of it.
    last_chance: Instant,
}

impl Trail {
    /// That of a call which has so long and has to be over by `until`.
    pub(super) fn new(deadline: Duration, until: Instant) -> Self {
        Self {
            is_open: false,
            refusal: None,
            waits: 0,
            redirections: 0,
            last_chance: until - deadline / 10,
        }
    }

    /// Waits before the next attempt, and says whether there is one. Longer each time, since what is waited for
    /// takes seconds if it takes longer than a moment.
    ///
    /// # Cancellation
    ///
    /// Safe.
    pub(super) async fn wait(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now >= self.last_chance {
            let refusal = self.refusal.take();
            return Err(refusal.unwrap_or_else(|| StoreError::new(StoreErrorKind::TimedOut)));
        }
        let pause = FIRST_WAIT * (1 << self.waits);
        self.waits = (self.waits + 1).min(MOST_DOUBLINGS);
        sleep_until((now + about(pause)).min(self.last_chance)).await;
        Ok(())
    }

    /// Takes in that the call was sent elsewhere. After a few times, it waits before it goes there: nodes can send
    /// it in circles until all have heard of a change.
    pub(super) async fn redirect(&mut self) -> Result<(), StoreError> {
        self.redirections += 1;
        if self.redirections > REDIRECTIONS_AT_ONCE {
            self.wait().await?;
        }
        Ok(())
    }

    /// What the call comes to.
    pub(super) fn end(
        self,
        outcome: Result<Result<Value, StoreError>, Elapsed>,
    ) -> Result<Value, StoreError> {
        let failed = match outcome {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(error)) => error,
            Err(_) => self
                .refusal
                .unwrap_or_else(|| StoreError::new(StoreErrorKind::TimedOut)),
        };
        Err(if self.is_open && !failed.outcome_unknown() {
            // Whatever was said since, an earlier attempt may have been carried out.
            StoreError::with_source(StoreErrorKind::Interrupted, failed)
        } else {
            failed
        })
    }
}

pub(super) fn unavailable(reason: &'static str) -> StoreError {
    StoreError::with_source(StoreErrorKind::Unavailable, reason)
}

/// Before a call is sent again to servers that are not ready for it.
const FIRST_WAIT: Duration = Duration::from_millis(25);

const MOST_DOUBLINGS: u32 = 4;

/// A slot that has moved, and is on its way once more.
const REDIRECTIONS_AT_ONCE: u32 = 3;
