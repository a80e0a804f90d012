//! Keeps proving that the feed is alive.

use std::{
    collections::HashSet,
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{
    StreamExt,
    future::{Either, select},
    stream::FuturesUnordered,
};
use parking_lot::Mutex;
use tenure_core::{Feed, Part};
use tokio::{
    runtime::Handle,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{Metrics, events, shelf::Shelf};

/// A task that asks the feed for proof several times within the staleness bound.
pub(crate) struct Pulse {
    shelf: Arc<Shelf>,
    feed: Option<Arc<dyn Feed>>,
    running: Mutex<Running>,
}

struct Running {
    /// Holds the task and ends it with the cache.
    task: JoinSet<()>,
    /// The runtime on which the cache was built, as long as it runs tasks: a call may come from the runtime
    /// of a worker that is about to block.
    home: Option<Handle>,
}

impl Pulse {
    pub(crate) fn new(shelf: Arc<Shelf>, feed: Option<Arc<dyn Feed>>) -> Self {
        Self {
            shelf,
            feed,
            running: Mutex::new(Running {
                task: JoinSet::new(),
                home: Handle::try_current().ok(),
            }),
        }
    }

    /// Starts the task if it does not run. A cache may be made outside of any runtime, and the
    /// runtime on which the task was started may end before the cache: so every miss looks after it.
    pub(crate) fn ensure(&self) {
        let (Some(feed), Ok(here)) = (&self.feed, Handle::try_current()) else {
            return;
        };
        let mut running = self.running.lock();
        let Running { task, home } = &mut *running;
        while task.try_join_next().is_some() {
            *home = None;
        }
        if task.is_empty() {
            let beat = beat(Arc::clone(&self.shelf), Arc::clone(feed));
            task.spawn_on(beat, home.get_or_insert(here));
        }
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse")
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

async fn beat(shelf: Arc<Shelf>, feed: Arc<dyn Feed>) {
    let period = shelf.limits.max_staleness / BEATS_PER_BOUND;
    let mut ticks = interval(period.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // At most one for each part: one that is silent does not hold up the others.
    let mut proofs = FuturesUnordered::new();
    let mut under_way = HashSet::new();
    let mut unproven = HashSet::new();
    let mut reported = Instant::now();
    loop {
        let mut tick = pin!(ticks.tick());
        while let Some((part, asked, outcome)) = next_before(&mut proofs, tick.as_mut()).await {
            under_way.remove(&part);
            match outcome {
                Ok(()) => {
                    shelf.prove(part, asked);
                    if unproven.remove(&part) {
                        events::proven_again(part);
                    }
                }
                Err(error) => {
                    if unproven.insert(part) {
                        events::unproven(part, &error);
                    }
                }
            }
        }
        let parts = feed.parts().unwrap_or_else(|| vec![Part::ONLY]);
        unproven.retain(|part| parts.contains(part));
        for part in parts {
            if under_way.insert(part) {
                // Before the feed does anything: what is proven is the time up to here, not up to the answer.
                let asked = Instant::now();
                let proof = feed.prove(part);
                proofs.push(async move { (part, asked, proof.await) });
            }
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            events::report(&Metrics::of(&shelf));
        }
    }
}

/// The next proof that arrives, unless it is time for another beat.
async fn next_before<F: Future>(
    proofs: &mut FuturesUnordered<F>,
    mut tick: Pin<&mut impl Future<Output = Instant>>,
) -> Option<F::Output> {
    if proofs.is_empty() {
        tick.await;
        return None;
    }
    match select(proofs.next(), tick.as_mut()).await {
        Either::Left((proof, _)) => proof,
        Either::Right(_) => None,
    }
}

/// So that a late or lost proof or two cost no hit.
const BEATS_PER_BOUND: u32 = 4;

const REPORT_EVERY: Duration = Duration::from_secs(60);
