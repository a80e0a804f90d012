//! Writes that replicas have to confirm: deletions, and endings of a principal's logins. They need a connection of
//! their own: `WAIT` blocks its connection, and counts only what was written on it.

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
    pub(crate) async fn write(&self, request: &Request, kind: Kind) -> Result<Value, StoreError> {
        let until = Instant::now() + self.deadline;
        let mut progress = Progress::Nothing;
        let writing = self.write_without_limit(request, kind, until, &mut progress);
        match (timeout_at(until, writing).await, progress) {
            (Ok(reply), _) => reply,
            (Err(_), Progress::Nothing) => Err(no_connection_in_time()),
            (Err(_), Progress::Sent) => Err(StoreError::new(StoreErrorKind::TimedOut)),
            (Err(_), Progress::Written) => Err(StoreError::new(StoreErrorKind::NotReplicated)),
        }
    }

    /// The same once, for who knows other servers that may carry it out. The reply is that of the script.
    pub(crate) async fn attempt(
        &self,
        request: &Request,
        kind: Kind,
        manner: Manner,
        until: Instant,
    ) -> Result<Value, Fault> {
        let mut progress = Progress::Nothing;
        let writing = async {
            let connection = self.borrow().await.map_err(Fault::Unreached)?;
            let outcome = self.write_on(connection, request, kind, manner, until, &mut progress);
            Ok(outcome.await?)
        };
        match (timeout_at(until, writing).await, progress) {
            (Ok(outcome), _) => outcome,
            (Err(_), Progress::Nothing) => Err(Fault::Unreached(no_connection_in_time())),
            (Err(_), Progress::Sent) => Err(Fault::TimedOut),
            (Err(_), Progress::Written) => Err(Fault::Failed(Failure::Answered(StoreError::new(
                StoreErrorKind::NotReplicated,
            )))),
        }
    }

    async fn write_without_limit(
        &self,
        request: &Request,
        kind: Kind,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, StoreError> {
        let connection = self.borrow().await?;
        match self
            .write_on(connection, request, kind, Manner::Plain, until, progress)
            .await
        {
            Err(Failure::Broken(error)) => {
                tracing::debug!(%error, "the connection to Redis broke; writing again");
                let again = async {
                    let connection = self.borrow().await?;
                    Ok(self
                        .write_on(connection, request, kind, Manner::Plain, until, progress)
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

    async fn write_on(
        &self,
        mut borrowed: Borrowed,
        request: &Request,
        kind: Kind,
        manner: Manner,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, Failure> {
        let connection = &mut borrowed.connection;
        *progress = (*progress).max(Progress::Sent);
        let reply = request.send(connection, manner).await?;
        let effect = kind
            .effect(&reply)
            .ok_or_else(|| Failure::Answered(unexpected_reply()))?;
        if effect == Effect::Nothing {
            borrowed.give_back();
            return Ok(reply);
        }
        *progress = Progress::Written;
        if effect == Effect::MayBeWritten {
            // Since Redis 7.2, `WAIT` waits for the connection's last *write*, and there was none. So
            // write something: the transaction leaves the key absent and lets nobody see it in between.
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

/// What a reply says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The deletion of a session.
    Deletion,
    /// What always writes.
    Writing,
}

/// What a request has left to be confirmed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    Written,
    /// Nothing now, but perhaps before: that its key is not there.
    MayBeWritten,
}

impl Kind {
    /// `None` if the reply is none that is known.
    fn effect(self, reply: &Value) -> Option<Effect> {
        match self {
            Self::Writing => Some(Effect::Written),
            Self::Deletion => Some(match deletion(reply)? {
                Delete::Deleted => Effect::Written,
                // An earlier deletion may have removed the key on the primary without being confirmed,
                // as when the caller tries again after `NotReplicated`.
                Delete::Absent => Effect::MayBeWritten,
                Delete::Superseded => Effect::Nothing,
            }),
        }
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

/// How far a write is known to have come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    Sent,
    Written,
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

/// It is written; that this cannot be confirmed makes the outcome unknown.
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

/// Each is in use for a few milliseconds per write, so these serve thousands a second; while the
/// replicas are silent, as many per deadline.
const CONNECTIONS: usize = 32;
