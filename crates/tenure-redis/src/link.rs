//! One connection and what is known of its health.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{AsyncConnectionConfig, Client, PushInfo, Value, aio::MultiplexedConnection};
use tenure_core::StoreError;
use tokio::time::Instant;

use crate::{
    error::{Failure, Hint, unconnected},
    eviction,
    node::Purpose,
    role,
    script::{Manner, Request},
    tracking::{Stream, Tracking},
};

/// A multiplexed connection: every caller's requests are in flight on it at the same time.
///
/// A link that is replaced is not cut: calls that still wait on it hold it until they are answered or
/// give up, and the last of them closes it.
pub(crate) struct Link {
    connection: MultiplexedConnection,
    stream: Option<Arc<Stream>>,
    broken: Arc<AtomicBool>,
    /// Calls that were given up unanswered since the last answer.
    misses: AtomicU32,
    /// How long a call must have waited to count as a miss.
    patience: Duration,
    made: Instant,
}

impl Link {
    /// Connects, begins tracking for a cache, and speaks up if the server may evict sessions.
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the half-made connection.
    pub(crate) async fn connect(
        client: &Client,
        purpose: Purpose,
        patience: Duration,
        tracking: Option<&Tracking>,
    ) -> Result<Self, StoreError> {
        let broken = Arc::new(AtomicBool::new(false));
        let stream = tracking.map(|tracking| Arc::new(tracking.stream()));
        let config = driver_config().set_push_sender(receiver(&broken, stream.as_ref()));
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(unconnected)?;
        if purpose == Purpose::Primary {
            role::check(&mut connection).await?;
        }
        if purpose != Purpose::Sentinel {
            eviction::warn_if_sessions_may_be_evicted(&mut connection).await;
        }
        if let Some(stream) = &stream {
            stream.begin(&mut connection).await?;
        }
        Ok(Self {
            connection,
            stream,
            broken,
            misses: AtomicU32::new(0),
            patience,
            made: Instant::now(),
        })
    }

    /// Whether to make the next call on this link, rather than on a new one.
    pub(crate) fn is_usable(&self) -> bool {
        !self.broken.load(Ordering::Relaxed) && self.misses.load(Ordering::Relaxed) < MISSES
    }

    /// Has the next call made on a new link.
    pub(crate) fn retire(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    /// Sends a request and waits for its answer, without a limit.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the link usable: the driver reads the answer and drops it. The
    /// request may be carried out all the same.
    pub(crate) async fn send(&self, request: &Request, manner: Manner) -> Result<Value, Failure> {
        let wait = Wait::new(self);
        let watch = self.stream.as_ref().map(|stream| stream.watch(request));
        let outcome = request.send(&mut self.connection.clone(), manner).await;
        wait.end();
        if let (Some(watch), Ok(reply)) = (watch, &outcome) {
            watch.answered(reply);
        }
        match outcome {
            Ok(value) => {
                self.misses.store(0, Ordering::Relaxed);
                Ok(value)
            }
            Err(error) => {
                let failure = Failure::from(error);
                let read_only =
                    matches!(&failure, Failure::Elsewhere(it) if it.hint == Hint::Demoted);
                // A primary that has become a replica keeps its connections. Only a new one asks the
                // name service who the primary is now; now and then, since each costs a cache all that it has.
                let is_demoted = read_only && self.made.elapsed() >= LOOKED_FOR_EVERY;
                if is_demoted || matches!(failure, Failure::Broken(_)) {
                    self.retire();
                } else {
                    self.misses.store(0, Ordering::Relaxed);
                }
                Err(failure)
            }
        }
    }
}

/// Counts a call as a miss if it is given up: by its deadline, or because its caller has left.
///
/// The latter must count too. Behind a proxy whose limit is shorter than our deadline, no call would
/// ever reach its deadline, and a dead connection would stay in use for ever.
struct Wait<'a> {
    link: &'a Link,
    since: Instant,
    over: bool,
}

impl<'a> Wait<'a> {
    fn new(link: &'a Link) -> Self {
        Self {
            link,
            since: Instant::now(),
            over: false,
        }
    }

    fn end(mut self) {
        self.over = true;
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if !self.over && self.since.elapsed() >= self.link.patience {
            self.link.misses.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The driver's own limits are off: each call has one deadline, ours.
pub(crate) fn driver_config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUED_REQUESTS)
}

/// Takes what the server says unasked.
fn receiver(
    broken: &Arc<AtomicBool>,
    stream: Option<&Arc<Stream>>,
) -> impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + 'static {
    let receiver = Receiver {
        broken: Arc::clone(broken),
        stream: stream.map(Arc::clone),
    };
    move |push| {
        receiver.receive(&push);
        Ok(())
    }
}

/// What the driver holds of us. It drops this when the connection has ended, even when no call is under
/// way, and also if its runtime has: without that, the first call afterwards would have to find out, and
/// could not tell whether it had been carried out.
struct Receiver {
    broken: Arc<AtomicBool>,
    stream: Option<Arc<Stream>>,
}

impl Receiver {
    fn receive(&self, push: &PushInfo) {
        if let Some(stream) = &self.stream {
            stream.receive(push);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.broken.store(true, Ordering::Relaxed);
        if let Some(stream) = &self.stream {
            stream.end();
        }
    }
}

/// How often a primary is looked for elsewhere while the server that is found refuses to write.
const LOOKED_FOR_EVERY: Duration = Duration::from_millis(250);

/// So many calls in a row without an answer, and the connection counts as dead. One can be a slow
/// command of someone else's; the sooner after that, the sooner a black hole is left behind.
const MISSES: u32 = 3;

/// The driver's queue of requests, which is allocated per connection. Its default of 50 makes
/// callers take turns long before the socket is busy.
const QUEUED_REQUESTS: usize = 1024;
