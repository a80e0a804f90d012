//! How the store behaves, apart from where its server is.

use std::{sync::Arc, time::Duration};

use tenure_core::{Clock, StoreError, SystemClock};

use crate::{
    RedisConfig, RedisConfigError, RedisStore,
    config::MAX_PREFIX_BYTES,
    home::Home,
    node::NodeLimits,
    store::Shared,
    topology::{Maker, Topology},
};

/// Sets a [`RedisStore`]'s limits and connects it.
#[derive(Debug)]
#[must_use = "a builder does nothing until `connect` or `connect_lazy` is called"]
pub struct RedisStoreBuilder {
    /// Kept until the end, so that a URL can be given without a `?` in the middle of the chain.
    config: Result<RedisConfig, RedisConfigError>,
    prefix: String,
    deadline: Duration,
    max_in_flight: usize,
    max_record_bytes: usize,
    min_replicas: u32,
    clock: Arc<dyn Clock>,
}

impl RedisStoreBuilder {
    pub(crate) fn new(config: Result<RedisConfig, RedisConfigError>) -> Self {
        Self {
            config,
            prefix: String::from("tenure"),
            deadline: Duration::from_secs(1),
            max_in_flight: 4096,
            max_record_bytes: 1 << 20,
            min_replicas: 0,
            clock: Arc::new(SystemClock),
        }
    }

    /// What the keys begin with: a session is stored at `{prefix}:{id}`, the index of a principal's logins at
    /// `{prefix}:u:{…}`. Default `tenure`.
    ///
    /// Letters, digits, `-`, `_`, `.`, `:` and `/`, 64 at most. No braces: as a hash tag of Redis
    /// Cluster they would put all sessions into one slot.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a call may take, in all: waiting for a connection, connecting, sending, and sending
    /// again if the connection breaks. Default 1 s, between a millisecond and a minute.
    ///
    /// A request makes one to three calls, one after the other.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many calls may be under way at once; those beyond fail at once as
    /// [`Unavailable`](tenure_core::StoreErrorKind::Unavailable). Default 4096.
    ///
    /// # Performance
    ///
    /// At 100,000 calls a second, a server that answers within 5 ms has 500 in flight. So the default
    /// is not reached before the server is far behind, and then keeps a queue from forming whose
    /// every call would time out. It also bounds memory: 4096 records of 1 MiB at worst.
    pub fn max_in_flight(mut self, max_in_flight: usize) -> Self {
        self.max_in_flight = max_in_flight;
        self
    }

    /// The largest record, in bytes as stored. Larger ones are neither written nor read:
    /// [`TooLarge`](tenure_core::StoreErrorKind::TooLarge). Default 1 MiB, between 1 KiB and 512 MiB.
    ///
    /// # Performance
    ///
    /// All calls share one connection, so a record holds up those behind it: 1 MiB takes about 1 ms
    /// at 10 Gbit/s and 8 ms at 1 Gbit/s.
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.max_record_bytes = max_record_bytes;
        self
    }

    /// How many replicas have to confirm that a session is deleted. Default 0.
    ///
    /// Redis replicates asynchronously, so a failover right after a logout can bring the session
    /// back. With this, [`delete`](tenure_core::SessionStore::delete) waits for the replicas (`WAIT`),
    /// and fails as [`NotReplicated`](tenure_core::StoreErrorKind::NotReplicated) if too few confirm
    /// within the deadline. That makes the loss much less likely, not impossible: a failover may
    /// still elect a replica that did not confirm.
    ///
    /// # Performance
    ///
    /// A deletion then takes one of up to 32 connections of its own, three round trips on it and one
    /// to the replicas. With fewer replicas than demanded, every deletion lasts as long as the
    /// deadline, and more than 32 at once wait for each other.
    pub fn min_replicas(mut self, min_replicas: u32) -> Self {
        self.min_replicas = min_replicas;
        self
    }

    /// The clock by which sessions expire. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks everything and connects, so that a wrong address shows at start.
    ///
    /// The connections belong to the runtime on which this is called, whichever runtime the calls come
    /// from: under actix, a worker that blocks does not hold up the sessions of the others.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]
    ///
    /// # Cancellation
    ///
    /// Dropping the future drops the store and its connection.
    pub async fn connect(self) -> Result<RedisStore, ConnectError> {
        let store = self
            .connect_lazy()
            .map_err(|source| ConnectError::Config { source })?;
        store
            .connect_now()
            .await
            .map_err(|source| ConnectError::Connection { source })?;
        Ok(store)
    }

    /// Checks everything and leaves connecting to the first call, for programs that must start while
    /// the server is down.
    ///
    /// The connections belong to the runtime on which this is called, or if there is none, to that of the
    /// first call.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError`]
    pub fn connect_lazy(self) -> Result<RedisStore, RedisConfigError> {
        let config = self.config?;
        check_prefix(&self.prefix)?;
        if !DEADLINES.contains(&self.deadline) {
            return Err(RedisConfigError::Deadline {
                deadline: self.deadline,
            });
        }
        if !(1..=1_000_000).contains(&self.max_in_flight) {
            return Err(RedisConfigError::InFlight {
                max_in_flight: self.max_in_flight,
            });
        }
        if !(1 << 10..=512 << 20).contains(&self.max_record_bytes) {
            return Err(RedisConfigError::RecordBytes {
                max_record_bytes: self.max_record_bytes,
            });
        }
        let maker = Maker {
            config: config.clone(),
            limits: NodeLimits {
                deadline: self.deadline,
                max_in_flight: self.max_in_flight,
            },
            min_replicas: self.min_replicas,
            home: Arc::new(Home::here()),
            tracking: None,
        };
        let topology = Arc::new(Topology::new(&config, maker)?);
        Ok(RedisStore::new(Shared {
            index: Arc::clone(&topology),
            topology,
            prefix: self.prefix.into(),
            max_record_bytes: self.max_record_bytes,
            clock: self.clock,
        }))
    }
}

/// A store that could not be connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The configuration is not valid.
    #[error("the configuration of the Redis store is not valid")]
    #[non_exhaustive]
    Config {
        /// What is wrong with it.
        source: RedisConfigError,
    },
    /// The server cannot be reached, or does not let this client in.
    #[error("the Redis server did not accept a connection")]
    #[non_exhaustive]
    Connection {
        /// The fault.
        source: StoreError,
    },
}

fn check_prefix(prefix: &str) -> Result<(), RedisConfigError> {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/".contains(&byte);
    if prefix.is_empty() || prefix.len() > MAX_PREFIX_BYTES || !prefix.bytes().all(belongs) {
        return Err(RedisConfigError::Prefix);
    }
    Ok(())
}

const DEADLINES: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> RedisStoreBuilder {
        RedisStore::builder("redis://127.0.0.1:6379")
    }

    #[test]
    fn what_could_not_work_is_refused_before_anything_connects() {
        let second = Duration::from_secs(1);
        assert!(builder().connect_lazy().is_ok());
        for prefix in ["", "{all}", "with space", "umlaut-ä", &"x".repeat(65)] {
            let refused = builder().prefix(prefix).connect_lazy();
            assert!(
                matches!(refused, Err(RedisConfigError::Prefix)),
                "{prefix:?}"
            );
        }
        for deadline in [Duration::ZERO, 61 * second] {
            let refused = builder().deadline(deadline).connect_lazy();
            assert!(matches!(refused, Err(RedisConfigError::Deadline { .. })));
        }
        let refused = builder().max_in_flight(0).connect_lazy();
        assert!(matches!(refused, Err(RedisConfigError::InFlight { .. })));
        let refused = builder().max_record_bytes(154).connect_lazy();
        assert!(matches!(refused, Err(RedisConfigError::RecordBytes { .. })));
        let refused = RedisStore::builder("no url").connect_lazy();
        assert!(matches!(refused, Err(RedisConfigError::Url { .. })));
    }
}
