//! The epoch of all sessions, as this node knows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{super::events, Core};
use crate::{Epoch, changes::SessionError};

/// What is known of the gate, and since when. It is asked for while requests come, and never on behalf of one,
/// but for the first after a pause.
#[derive(Debug, Default)]
pub(super) struct Gate {
    epoch: AtomicU64,
    asked: Mutex<Asked>,
    asking: tokio::sync::Mutex<()>,
}

/// How the index was asked. Time counts from the asking: an answer may have been true just then.
#[derive(Debug, Default)]
struct Asked {
    last: Option<Instant>,
    /// The last time that has an answer.
    answered: Option<Instant>,
    /// Whether the last answer was none. Then requests do not wait for the next one: it takes as long as they may.
    is_failing: bool,
}

impl Asked {
    fn due(&self, now: Instant) -> Due {
        let is_within = |since: Option<Instant>, span| {
            since.is_some_and(|since| now.saturating_duration_since(since) < span)
        };
        if !self.is_failing && !is_within(self.answered, GATE_STALENESS) {
            Due::Now
        } else if is_within(self.last, ASK_EVERY) {
            Due::Nothing
        } else {
            Due::Soon
        }
    }
}

/// What there is to do about the gate before a session may be used. A gate that does not answer holds up the first
/// request after a pause once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Nothing,
    /// It is time to ask again; what is known will do for now.
    Soon,
    /// What is known is too old.
    Now,
}

impl Gate {
    pub(super) fn epoch(&self) -> Epoch {
        Epoch::from_u64(self.epoch.load(Ordering::Acquire))
    }

    pub(super) fn learn(&self, epoch: Epoch) {
        self.epoch.fetch_max(epoch.as_u64(), Ordering::AcqRel);
    }

    /// Says what is due; of many who ask at one time, one is told to ask the index soon.
    fn due(&self, now: Instant) -> Due {
        let mut asked = self.asked.lock();
        let due = asked.due(now);
        if due == Due::Soon {
            asked.last = Some(now);
        }
        due
    }

    fn take_in(&self, asked: Instant, answer: Option<Epoch>) {
        if let Some(epoch) = answer {
            self.learn(epoch);
        }
        let mut state = self.asked.lock();
        state.last = state.last.max(Some(asked));
        state.is_failing = answer.is_none();
        if answer.is_some() {
            state.answered = state.answered.max(Some(asked));
        }
    }
}

impl Core {
    /// Makes sure that what is known of the gate is not too old. A gate that cannot be read is reported, and what was
    /// known of it goes on to count: otherwise the one key would take all sessions down with it.
    pub(in super::super) async fn mind_the_gate(self: &Arc<Self>) {
        let Some(index) = &self.index else { return };
        match index.gate.due(Instant::now()) {
            Due::Nothing => {}
            Due::Soon => {
                let core = Arc::clone(self);
                self.behind(async move { core.ask_for_the_gate().await });
            }
            Due::Now => {
                // Whoever is asking may have stopped polling.
                let asking = tokio::time::timeout(self.deadline, index.gate.asking.lock()).await;
                let is_due = || index.gate.asked.lock().due(Instant::now()) == Due::Now;
                if asking.is_ok() && is_due() {
                    Box::pin(self.ask_for_the_gate()).await;
                }
            }
        }
    }

    async fn ask_for_the_gate(&self) {
        let Some(index) = &self.index else { return };
        let asked = Instant::now();
        let outcome = tokio::time::timeout(self.deadline, index.store.gate()).await;
        let answer = match outcome {
            Ok(Ok(epoch)) => {
                let known = index.gate.epoch();
                if epoch < known {
                    // The store has lost it, as after a failover. Nodes that come new must not open what was ended.
                    let raising = index.store.raise_gate(known);
                    let _ = tokio::time::timeout(self.deadline, raising).await;
                }
                Some(epoch)
            }
            Ok(Err(error)) => {
                events::gate_unproven(&error);
                None
            }
            Err(elapsed) => {
                events::gate_unproven(&elapsed);
                None
            }
        };
        index.gate.take_in(asked, answer);
    }

    /// Ends all sessions there are: those that begin in the new epoch are the first that count.
    pub(super) async fn raise_gate(&self) -> Result<Epoch, SessionError> {
        let index = self.index()?;
        let raised = async {
            let stored = index.store.gate().await?;
            let raised = stored.max(index.gate.epoch()).next(self.clock.now());
            Ok(index.store.raise_gate(raised).await?)
        };
        let raised = self
            .bounded_index("raise_gate", std::pin::pin!(raised))
            .await?;
        index.gate.learn(raised);
        Ok(raised)
    }
}

/// How often a node that is in use asks: a command or two a second, whatever the number of requests.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Within which time a node in use learns that all sessions were ended.
const GATE_STALENESS: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is due, that many milliseconds after an instant.
    fn due(asked: &Asked, begun: Instant, ms: u64) -> Due {
        asked.due(begun + Duration::from_millis(ms))
    }

    #[test]
    fn the_first_request_waits_and_then_none_does_while_answers_come() {
        let begun = Instant::now();
        assert_eq!(due(&Asked::default(), begun, 0), Due::Now);
        let asked = Asked {
            last: Some(begun),
            answered: Some(begun),
            is_failing: false,
        };
        let times = [0, 499, 500, 1999, 2000];
        let found = times.map(|ms| due(&asked, begun, ms));
        let expected = [Due::Nothing, Due::Nothing, Due::Soon, Due::Soon, Due::Now];
        assert_eq!(found, expected);
    }

    #[test]
    fn staleness_counts_from_the_asking_of_the_last_answer_and_not_from_the_last_asking() {
        let begun = Instant::now();
        let asked = Asked {
            last: Some(begun + Duration::from_millis(1900)),
            answered: Some(begun),
            is_failing: false,
        };
        assert_eq!(due(&asked, begun, 1999), Due::Nothing);
        assert_eq!(due(&asked, begun, 2000), Due::Now);
    }

    #[test]
    fn nobody_waits_for_a_gate_that_did_not_answer_the_last_time() {
        let begun = Instant::now();
        let asked = Asked {
            last: Some(begun),
            answered: None,
            is_failing: true,
        };
        assert_eq!(due(&asked, begun, 100), Due::Nothing);
        assert_eq!(due(&asked, begun, 5000), Due::Soon);
    }

    #[test]
    fn an_answer_never_lowers_what_is_known() {
        let gate = Gate::default();
        let now = Instant::now();
        gate.take_in(now, Some(Epoch::from_u64(7)));
        gate.take_in(now, Some(Epoch::from_u64(3)));
        gate.take_in(now, None);
        assert_eq!(gate.epoch(), Epoch::from_u64(7));
        assert!(gate.asked.lock().is_failing);
        gate.take_in(now, Some(Epoch::default()));
        assert!(!gate.asked.lock().is_failing);
    }
}
