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
    /// When it was asked for last, whatever the answer.
    asked: Mutex<Option<Instant>>,
    asking: tokio::sync::Mutex<()>,
}

/// What there is to do about the gate before a session may be used.
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

    /// Says what is due; of many who ask at one time, one is told to ask the index.
    fn due(&self, now: Instant) -> Due {
        let mut asked = self.asked.lock();
        match asked.map(|asked| now.saturating_duration_since(asked)) {
            Some(age) if age < ASK_EVERY => Due::Nothing,
            Some(age) if age < GATE_STALENESS => {
                *asked = Some(now);
                Due::Soon
            }
            Some(_) | None => Due::Now,
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
                if asking.is_ok() && index.gate.due(Instant::now()) == Due::Now {
                    Box::pin(self.ask_for_the_gate()).await;
                }
            }
        }
    }

    async fn ask_for_the_gate(&self) {
        let Some(index) = &self.index else { return };
        let asked = Instant::now();
        let outcome = tokio::time::timeout(self.deadline, index.store.gate()).await;
        *index.gate.asked.lock() = Some(asked);
        match outcome {
            Ok(Ok(epoch)) => index.gate.learn(epoch),
            Ok(Err(error)) => events::gate_unproven(&error),
            Err(elapsed) => events::gate_unproven(&elapsed),
        }
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
