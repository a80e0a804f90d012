//! One Redis server, and the rules for asking it something.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use redis::{Client, Value};
use tenure_core::{StoreError, StoreErrorKind};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    connector::Connector,
    error::{Failure, Fault, no_connection_in_time},
    home::Home,
    link::Link,
    script::{Manner, Request},
    tracking::Tracking,
};

/// One address, one multiplexed connection, which all calls share.
pub(crate) struct Node {
    connector: Connector,
    limits: NodeLimits,
    in_flight: Semaphore,
}

/// How long a call may take, and how many may be under way at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeLimits {
    pub(crate) deadline: Duration,
    pub(crate) max_in_flight: usize,
}

/// What a server is connected to for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It keeps sessions.
    Sessions,
    /// The same, and it has to be a primary when it is connected to.
    Primary,
    /// It tells who the primary is.
    Sentinel,
}

impl Node {
    pub(crate) fn new(
        client: Client,
        limits: NodeLimits,
        home: Arc<Home>,
        purpose: Purpose,
    ) -> Self {
        let connector = Connector::new(client, limits.deadline, home, purpose);
        Self::over(connector, limits)
    }

    /// Another connection to the same server, on which it tells of changes.
    pub(crate) fn tracked(&self, tracking: Tracking) -> Self {
        Self::over(self.connector.tracked(tracking), self.limits)
    }

    fn over(connector: Connector, limits: NodeLimits) -> Self {
        Self {
            connector,
            limits,
            in_flight: Semaphore::new(limits.max_in_flight),
        }
    }

    /// Connects, unless there is a connection.
    pub(crate) async fn connect(&self) -> Result<(), StoreError> {
        timeout(self.limits.deadline, self.connector.link())
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

    /// Sends a request once, for who knows other servers that may answer it.
    ///
    /// # Cancellation
    ///
    /// As for [`call`](Self::call).
    pub(crate) async fn attempt(
        &self,
        request: &Request,
        manner: Manner,
        until: Instant,
    ) -> Result<Value, Fault> {
        let _permit = self.in_flight.try_acquire().map_err(|_| {
            Fault::Failed(Failure::Answered(StoreError::with_source(
                StoreErrorKind::Unavailable,
                "too many calls are in flight",
            )))
        })?;
        self.ask(request, manner, until).await
    }

    /// The same for a question of our own, which does not count as a call in flight: a busy node is not to be
    /// taken for a silent one.
    pub(crate) async fn ask(
        &self,
        request: &Request,
        manner: Manner,
        until: Instant,
    ) -> Result<Value, Fault> {
        let link = match self.connector.present() {
            Some(link) => link,
            None => timeout_at(until, Box::pin(self.connector.link()))
                .await
                .unwrap_or_else(|_| Err(no_connection_in_time()))
                .map_err(Fault::Unreached)?,
        };
        match timeout_at(until, pin!(link.send(request, manner))).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Fault::TimedOut),
        }
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.connector.present().is_some()
    }

    /// Has the next call made on a new connection, whose address is resolved anew.
    pub(crate) fn reconnect(&self) {
        if let Some(link) = self.connector.present() {
            link.retire();
        }
    }

    /// Shows that the connection is alive and that whatever the server has pushed by now has been
    /// received. Does not count as a call in flight: a busy node is not to be taken for a silent one.
    pub(crate) async fn prove(&self) -> Result<(), StoreError> {
        self.within_deadline(&Request::proof()).await?;
        self.connector.check_tracking()
    }

    /// The same by another question, for who has more to ask. Not repeated if the connection breaks.
    pub(crate) async fn prove_by(&self, request: &Request, until: Instant) -> Result<Value, Fault> {
        let reply = self.ask(request, Manner::Plain, until).await?;
        let check = self.connector.check_tracking();
        check.map_err(|error| Fault::Failed(Failure::Answered(error)))?;
        Ok(reply)
    }

    async fn within_deadline(&self, request: &Request) -> Result<Value, StoreError> {
        let until = Instant::now() + self.limits.deadline;
        let link = match self.connector.present() {
            Some(link) => link,
            // Boxed, since it is rare and each call would have room for it.
            None => timeout_at(until, Box::pin(self.connector.link()))
                .await
                .unwrap_or_else(|_| Err(no_connection_in_time()))?,
        };
        timeout_at(until, pin!(self.send(&link, request)))
            .await
            .unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::TimedOut)))
    }

    async fn send(&self, link: &Link, request: &Request) -> Result<Value, StoreError> {
        match link.send(request, Manner::Plain).await {
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
        let link = self.connector.link().await?;
        Ok(link.send(request, Manner::Plain).await?)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.connector.address())
            .field("permits", &self.in_flight.available_permits())
            .finish_non_exhaustive()
    }
}
