//! Deletions that replicas have to confirm. They need a connection of their own: `WAIT` blocks its
//! connection, and counts only what was written on it.

use std::{sync::Arc, time::Duration};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use parking_lot::Mutex;
use redis::{Client, Pipeline, RedisError, Value, aio::MultiplexedConnection};
use tenure_core::{Delete, StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    RedisConfigError,
    connector::pause,
    error::{Failure, Fault, no_connection_in_time, unconnected, unexpected_reply},
    home::Home,
    link::driver_config,
    script::{Manner, Request},
    store::deletion,
};

/// Connections that are lent to one call at a time, and are made when they are first needed.
pub(crate) struct Exclusive {
    pool: Pool,
    min_replicas: u32,
    deadline: Duration,
    home: Arc<Home>,
    /// When the next connection may be made, after an attempt that failed.
    not_before: Mutex<Option<Instant>>,
}

impl Exclusive {
    pub(crate) fn new(
        client: &Client,
        min_replicas: u32,
        deadline: Duration,
        home: Arc<Home>,
    ) -> Result<Self, RedisConfigError> {
        let driver =
            |source: Box<dyn std::error::Error + Send + Sync>| RedisConfigError::Driver { source };
        let connection = client.get_connection_info().clone();
        let manager = Manager::new_with_config(connection, driver_config())
            .map_err(|error| driver(error.into()))?;
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| driver(error.into()))?;
        Ok(Self {
            pool,
            min_replicas,
            deadline,
            home,
            not_before: Mutex::default(),
        })
    }

    /// Makes a deletion and waits until enough replicas have confirmed it.
    ///
    /// If the connection breaks before the answer comes, all of it is done once more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection, which may still be waiting. The key may be deleted.
    pub(crate) async fn delete(&self, request: &Request) -> Result<Value, StoreError> {
        let until = Instant::now() + self.deadline;
        let mut progress = Progress::Nothing;
        let deletion = self.delete_without_limit(request, until, &mut progress);
        match (timeout_at(until, deletion).await, progress) {
            (Ok(reply), _) => reply,
            (Err(_), Progress::Nothing) => Err(no_connection_in_time()),
            (Err(_), Progress::Sent) => Err(StoreError::new(StoreErrorKind::TimedOut)),
            (Err(_), Progress::Deleted) => Err(StoreError::new(StoreErrorKind::NotReplicated)),
        }
    }

    /// The same once, for who knows other servers that may carry it out. The reply is that of the script.
    pub(crate) async fn attempt(
        &self,
        request: &Request,
        manner: Manner,
        until: Instant,
    ) -> Result<Value, Fault> {
        let mut progress = Progress::Nothing;
        let deletion = async {
            let connection = self.borrow().await.map_err(Fault::Unreached)?;
            let outcome = self.delete_on(connection, request, manner, until, &mut progress);
            Ok(outcome.await?)
        };
        match (timeout_at(until, deletion).await, progress) {
            (Ok(outcome), _) => outcome,
            (Err(_), Progress::Nothing) => Err(Fault::Unreached(no_connection_in_time())),
            (Err(_), Progress::Sent) => Err(Fault::TimedOut),
            (Err(_), Progress::Deleted) => Err(Fault::Failed(Failure::Answered(StoreError::new(
                StoreErrorKind::NotReplicated,
            )))),
        }
    }

    async fn delete_without_limit(
        &self,
        request: &Request,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, StoreError> {
        let connection = self.borrow().await?;
        match self
            .delete_on(connection, request, Manner::Plain, until, progress)
            .await
        {
            Err(Failure::Broken(error)) => {
                tracing::debug!(%error, "the connection to Redis broke; deleting again");
                let again = async {
                    let connection = self.borrow().await?;
                    Ok(self
                        .delete_on(connection, request, Manner::Plain, until, progress)
                        .await?)
                };
                again.await.map_err(|error: StoreError| match error.kind() {
                    StoreErrorKind::NotReplicated => error,
                    _ => StoreError::with_source(StoreErrorKind::Interrupted, error),
                })
            }
            outcome => Ok(outcome?),
        }
    }

    async fn borrow(&self) -> Result<Borrowed, StoreError> {
        self.wait_for_turn().await;
        let pool = self.pool.clone();
        // At home, since it may connect.
        let lent = self.home.run(move || {
            let pool = pool.clone();
            async move { pool.get().await }
        });
        let lent = lent.await.unwrap_or(Err(PoolError::Closed));
        let has_failed = matches!(lent, Err(PoolError::Backend(_)));
        *self.not_before.lock() = has_failed.then(|| Instant::now() + pause());
        match lent {
            Ok(connection) => Ok(Borrowed {
                connection: MultiplexedConnection::clone(&connection),
                lent: Some(connection),
            }),
            Err(PoolError::Backend(error)) => Err(unconnected(error)),
            Err(other) => Err(StoreError::with_source(StoreErrorKind::Unavailable, other)),
        }
    }

    /// Lets one attempt to connect after the other go ahead while they fail, with a pause between them.
    async fn wait_for_turn(&self) {
        loop {
            let due = {
                let mut not_before = self.not_before.lock();
                match *not_before {
                    Some(due) if due > Instant::now() => due,
                    Some(_) => {
                        *not_before = Some(Instant::now() + pause());
                        return;
                    }
                    None => return,
                }
            };
            sleep_until(due).await;
        }
    }

    async fn delete_on(
        &self,
        mut borrowed: Borrowed,
        request: &Request,
        manner: Manner,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, Failure> {
        let connection = &mut borrowed.connection;
        *progress = (*progress).max(Progress::Sent);
        let reply = request.send(connection, manner).await?;
        let outcome = deletion(&reply).ok_or_else(|| Failure::Answered(unexpected_reply()))?;
        if outcome == Delete::Superseded {
            borrowed.give_back();
            return Ok(reply);
        }
        *progress = Progress::Deleted;
        if outcome == Delete::Absent {
            // An earlier deletion may have removed the key on the primary without being confirmed,
            // as when the caller tries again after `NotReplicated`. Since Redis 7.2, `WAIT` waits for
            // the connection's last *write*, and this deletion wrote nothing. So write something: the
            // transaction leaves the key absent and lets nobody see it in between.
            let writing = nothing_written(request, manner);
            let replies = connection.send_packed_commands(&writing, 0, writing.len());
            for reply in replies.await.map_err(not_confirmed)? {
                reply.extract_error().map_err(not_confirmed)?;
            }
        }
        let patience = until.saturating_duration_since(Instant::now()) * 9 / 10;
        let mut wait = redis::cmd("WAIT");
        // Zero would mean without a limit.
        wait.arg(self.min_replicas)
            .arg(patience.as_millis().max(1).to_string());
        let confirmed: u32 = wait.query_async(connection).await.map_err(not_confirmed)?;
        borrowed.give_back();
        if confirmed < self.min_replicas {
            let found = format!("{confirmed} of {} replicas confirmed", self.min_replicas);
            return Err(Failure::Answered(StoreError::with_source(
                StoreErrorKind::NotReplicated,
                found,
            )));
        }
        Ok(reply)
    }
}

/// A transaction that writes a deletion's key and leaves it absent.
fn nothing_written(request: &Request, manner: Manner) -> Pipeline {
    let key = request.key().unwrap_or_default();
    let mut pipeline = Pipeline::new();
    if manner == Manner::Sent {
        // It counts for all of the transaction.
        pipeline.add_command(redis::cmd("ASKING"));
    }
    pipeline.add_command(redis::cmd("MULTI"));
    pipeline.set(key, "").del(key);
    pipeline.add_command(redis::cmd("EXEC"));
    pipeline
}

/// How far a deletion is known to have come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    Sent,
    Deleted,
}

/// A connection on loan. One that is not given back is closed: on a connection whose call was
/// dropped, a `WAIT` may still be blocking.
struct Borrowed {
    connection: MultiplexedConnection,
    lent: Option<Connection>,
}

impl Borrowed {
    fn give_back(mut self) {
        self.lent = None;
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(connection) = self.lent.take() {
            drop(Connection::take(connection));
        }
    }
}

/// The key is gone; that its loss cannot be confirmed makes the outcome unknown.
fn not_confirmed(error: RedisError) -> Failure {
    match Failure::from(error) {
        Failure::Answered(error) => Failure::Answered(StoreError::with_source(
            StoreErrorKind::NotReplicated,
            error,
        )),
        Failure::Elsewhere(elsewhere) => Failure::Answered(StoreError::with_source(
            StoreErrorKind::NotReplicated,
            elsewhere.error,
        )),
        broken @ Failure::Broken(_) => broken,
    }
}

/// Each is in use for a few milliseconds per deletion, so these serve thousands a second; while the
/// replicas are silent, as many per deadline.
const CONNECTIONS: usize = 32;
