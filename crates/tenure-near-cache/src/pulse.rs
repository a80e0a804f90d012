//! Keeps proving that the feed is alive.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tenure_core::Feed;
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
    let mut is_proven = true;
    let mut reported = Instant::now();
    loop {
        ticks.tick().await;
        // Before the feed does anything: what is proven is the time up to here, not up to the answer.
        let asked = Instant::now();
        match feed.prove().await {
            Ok(()) => {
                shelf.prove(asked);
                if !std::mem::replace(&mut is_proven, true) {
                    events::proven_again();
                }
            }
            Err(error) => {
                if std::mem::replace(&mut is_proven, false) {
                    events::unproven(&error);
                }
            }
        }
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            events::report(&Metrics::of(&shelf));
        }
    }
}

/// So that a late or lost proof or two cost no hit.
const BEATS_PER_BOUND: u32 = 4;

const REPORT_EVERY: Duration = Duration::from_secs(60);
