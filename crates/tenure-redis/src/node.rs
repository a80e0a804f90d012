//! One Redis server: one connection that all calls share, and the rules for using it.

use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::Shared};
use parking_lot::Mutex;
use redis::{Client, Value};
use tenure_core::{StoreError, StoreErrorKind};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    error::{Failure, no_connection_in_time},
    link::Link,
    script::Request,
    tracking::Tracking,
};

/// One address, one multiplexed connection.
///
/// The driver's connection manager is not used: it does not reconnect when a server stops answering.
/// Here, a connection that breaks, or on which several calls in a row get no answer, is replaced by
/// the next call. There is no back-off, so a server that is back is in use again at once; what keeps
/// a dead one from being flooded is that at most one attempt to connect is under way, whose outcome
/// all callers share.
pub(crate) struct Node {
    client: Client,
    limits: NodeLimits,
    in_flight: Semaphore,
    tracking: Option<Tracking>,
    state: Mutex<State>,
}

/// How long a call may take, and how many may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeLimits {
    pub(crate) deadline: Duration,
    pub(crate) max_in_flight: usize,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    attempt: Option<Attempt>,
}

/// An attempt to connect, which everyone who needs a connection waits for.
type Attempt = Shared<Pin<Box<dyn Future<Output = Result<Arc<Link>, StoreError>> + Send>>>;

impl Node {
    pub(crate) fn new(client: Client, limits: NodeLimits, tracking: Option<Tracking>) -> Self {
        Self {
            client,
            limits,
            in_flight: Semaphore::new(limits.max_in_flight),
            tracking,
            state: Mutex::default(),
        }
    }

    /// Another connection to the same server, on which it tells of changes.
    pub(crate) fn tracked(&self, tracking: Tracking) -> Self {
        Self::new(self.client.clone(), self.limits, Some(tracking))
    }

    /// Connects, unless there is a connection.
    pub(crate) async fn connect(&self) -> Result<(), StoreError> {
        timeout(self.limits.deadline, self.link())
            .await
            .unwrap_or_else(|_| Err(no_connection_in_time()))
            .map(drop)
    }

    /// Carries a request out within the deadline.
    ///
    /// If the connection breaks before the answer comes, a request that
    /// [may be repeated](Request::may_be_repeated) is sent once more, on a new connection.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves the node usable. The request may be carried out all the same.
    pub(crate) async fn call(&self, request: &Request) -> Result<Value, StoreError> {
        let _permit = self.in_flight.try_acquire().map_err(|_| {
            StoreError::with_source(StoreErrorKind::Unavailable, "too many calls are in flight")
        })?;
        self.within_deadline(request).await
    }

    /// Shows that the connection is alive and that whatever the server has pushed by now has been
    /// received. Does not count as a call in flight: a busy node is not to be taken for a silent one.
    pub(crate) async fn prove(&self) -> Result<(), StoreError> {
        self.within_deadline(&Request::proof()).await.map(drop)
    }

    async fn within_deadline(&self, request: &Request) -> Result<Value, StoreError> {
        let until = Instant::now() + self.limits.deadline;
        let link = match self.current() {
            Current::Link(link) => link,
            // Boxed, since it is rare and each call would have room for it.
            waiting => timeout_at(until, Box::pin(self.resolve(waiting)))
                .await
                .unwrap_or_else(|_| Err(no_connection_in_time()))?,
        };
        timeout_at(until, pin!(self.send(&link, request)))
            .await
            .unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
    }

    async fn send(&self, link: &Link, request: &Request) -> Result<Value, StoreError> {
        match link.send(request).await {
            Err(Failure::Broken(error)) if request.may_be_repeated() => {
                tracing::debug!(%error, "the connection to Redis broke; sending the call again");
                // Whatever comes now, the first attempt may have been carried out.
                Box::pin(self.call_again(request))
                    .await
                    .map_err(|error| StoreError::with_source(StoreErrorKind::Interrupted, error))
            }
            outcome => Ok(outcome?),
        }
    }

    async fn call_again(&self, request: &Request) -> Result<Value, StoreError> {
        let link = self.link().await?;
        Ok(link.send(request).await?)
    }

    /// The link in use, or the outcome of an attempt to make one.
    async fn link(&self) -> Result<Arc<Link>, StoreError> {
        self.resolve(self.current()).await
    }

    async fn resolve(&self, current: Current) -> Result<Arc<Link>, StoreError> {
        let joined = match current {
            Current::Link(link) => return Ok(link),
            Current::Begun(attempt) => return self.outcome(attempt).await,
            Current::Joined(attempt) => attempt,
        };
        // An attempt that began before this call says nothing of the server's present state if it
        // failed: the server may have come back since. One that began afterwards does.
        match self.outcome(joined).await {
            Ok(link) if link.is_usable() => Ok(link),
            Ok(_) | Err(_) => match self.current() {
                Current::Link(link) => Ok(link),
                Current::Begun(attempt) | Current::Joined(attempt) => self.outcome(attempt).await,
            },
        }
    }

    fn current(&self) -> Current {
        let mut state = self.state.lock();
        let lost = state.link.take_if(|link| !link.is_usable());
        if let Some(link) = &state.link {
            return Current::Link(Arc::clone(link));
        }
        let joined = state.attempt.clone();
        let attempt = state.attempt.get_or_insert_with(|| self.attempt()).clone();
        drop(state);
        if lost.is_some() {
            let address = self.client.get_connection_info().addr();
            tracing::warn!(%address, "the connection to Redis is lost or silent; making a new one");
        }
        joined.map_or(Current::Begun(attempt), Current::Joined)
    }

    /// An attempt runs as a task, so that callers who leave early cannot keep it from succeeding. The
    /// set owns the task and ends it when nobody holds the attempt any more.
    fn attempt(&self) -> Attempt {
        let (client, tracking) = (self.client.clone(), self.tracking.clone());
        let (limit, patience) = (
            self.limits.deadline,
            self.limits.deadline / PATIENCE_PER_DEADLINE,
        );
        let connecting = async move {
            timeout(limit, Link::connect(&client, patience, tracking.as_ref()))
                .await
                .unwrap_or_else(|_| Err(no_connection_in_time()))
                .map(Arc::new)
        };
        let mut task = JoinSet::new();
        async move {
            task.spawn(connecting);
            match task.join_next().await {
                Some(Ok(outcome)) => outcome,
                // The runtime on which the attempt began has shut down.
                Some(Err(_)) | None => Err(StoreError::new(StoreErrorKind::Unavailable)),
            }
        }
        .boxed()
        .shared()
    }

    async fn outcome(&self, attempt: Attempt) -> Result<Arc<Link>, StoreError> {
        let outcome = attempt.clone().await;
        let mut state = self.state.lock();
        if state
            .attempt
            .as_ref()
            .is_some_and(|current| current.ptr_eq(&attempt))
        {
            state.attempt = None;
            state.link = outcome.as_ref().ok().map(Arc::clone);
        }
        outcome
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr().to_string();
        f.debug_struct("Node")
            .field("address", &address)
            .field("permits", &self.in_flight.available_permits())
            .finish_non_exhaustive()
    }
}

enum Current {
    Link(Arc<Link>),
    Begun(Attempt),
    Joined(Attempt),
}

/// A call that is given up within a tenth of the deadline says nothing of the connection: its caller
/// may have left for reasons of its own.
const PATIENCE_PER_DEADLINE: u32 = 10;
