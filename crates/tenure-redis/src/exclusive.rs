//! Writes that replicas have to confirm: deletions, and endings of a principal's logins. They need a connection of
//! their own: `WAIT` blocks its connection, and counts only what was written on it.

use std::{sync::Arc, time::Duration};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime};
use parking_lot::Mutex;
use redis::{Client, RedisError, Value, aio::MultiplexedConnection};
use tenure_core::{Delete, StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::{
    RedisConfigError,
    connector::pause,
    error::{Failure, no_connection_in_time, unconnected, unexpected_reply},
    home::Home,
    link::driver_config,
    script::Request,
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

    /// Makes a deletion, which is of this key, and waits until enough replicas have confirmed it.
    ///
    /// If the connection breaks before the answer comes, all of it is done once more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future closes the connection, which may still be waiting. The key may be deleted.
    pub(crate) async fn delete(&self, key: &str, request: &Request) -> Result<Delete, StoreError> {
        let effect = |reply: &Value| match deletion(reply)? {
            Delete::Deleted => Some(Effect::Written),
            // An earlier deletion may have removed the key on the primary without being confirmed,
            // as when the caller tries again after `NotReplicated`.
            Delete::Absent => Some(Effect::MayBeWritten(key)),
            Delete::Superseded => Some(Effect::Nothing),
        };
        let reply = self.carry_out(request, &effect).await?;
        deletion(&reply).ok_or_else(unexpected_reply)
    }

    /// The same for a request that always writes.
    pub(crate) async fn write(&self, request: &Request) -> Result<Value, StoreError> {
        self.carry_out(request, &|_| Some(Effect::Written)).await
    }

    async fn carry_out(
        &self,
        request: &Request,
        effect: &EffectOf<'_>,
    ) -> Result<Value, StoreError> {
        let until = Instant::now() + self.deadline;
        let mut progress = Progress::Nothing;
        let writing = self.write_without_limit(request, effect, until, &mut progress);
        match (timeout_at(until, writing).await, progress) {
            (Ok(outcome), _) => outcome,
            (Err(_), Progress::Nothing) => Err(no_connection_in_time()),
            (Err(_), Progress::Sent) => Err(StoreError::new(StoreErrorKind::TimedOut)),
            (Err(_), Progress::Written) => Err(StoreError::new(StoreErrorKind::NotReplicated)),
        }
    }

    async fn write_without_limit(
        &self,
        request: &Request,
        effect: &EffectOf<'_>,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, StoreError> {
        let connection = self.borrow().await?;
        match self
            .write_on(connection, request, effect, until, progress)
            .await
        {
            Err(Failure::Broken(error)) => {
                tracing::debug!(%error, "the connection to Redis broke; writing again");
                let again = async {
                    let connection = self.borrow().await?;
                    Ok(self
                        .write_on(connection, request, effect, until, progress)
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
        effect: &EffectOf<'_>,
        until: Instant,
        progress: &mut Progress,
    ) -> Result<Value, Failure> {
        let connection = &mut borrowed.connection;
        *progress = (*progress).max(Progress::Sent);
        let reply = request.send(connection).await?;
        let effect = effect(&reply).ok_or_else(|| Failure::Answered(unexpected_reply()))?;
        if let Effect::Nothing = effect {
            borrowed.give_back();
            return Ok(reply);
        }
        *progress = Progress::Written;
        if let Effect::MayBeWritten(key) = effect {
            // Since Redis 7.2, `WAIT` waits for the connection's last *write*, and there was none. So
            // write something: the transaction leaves the key absent and lets nobody see it in between.
            redis::pipe()
                .atomic()
                .set(key, "")
                .del(key)
                .exec_async(connection)
                .await
                .map_err(not_confirmed)?;
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

/// What a request has left to be confirmed.
enum Effect<'a> {
    Nothing,
    Written,
    /// Nothing now, but perhaps before: that this key is not there.
    MayBeWritten(&'a str),
}

/// What a reply says of it; `None` if it is none that is known.
type EffectOf<'a> = dyn Fn(&Value) -> Option<Effect<'a>> + Send + Sync + 'a;

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
        broken => broken,
    }
}

/// Each is in use for a few milliseconds per write, so these serve thousands a second; while the
/// replicas are silent, as many per deadline.
const CONNECTIONS: usize = 32;
