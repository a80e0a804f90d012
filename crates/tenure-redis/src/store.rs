//! The storage contract, in terms of Redis.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use redis::Value;
use tenure_core::{
    Clock, Commit, Create, Delete, Fed, FeedListener, Freshness, Load, Record, Renewal, SessionId,
    SessionStore, StoreError, StoreErrorKind, Timestamp, Version, Whose,
};

use crate::{
    ConnectError, RedisConfig, RedisConfigError, RedisStoreBuilder,
    error::unexpected_reply,
    exclusive::Kind,
    script::{self, Request},
    topology::Topology,
    tracking::{RedisFeed, Tracking, session_key},
};

/// Keeps sessions in Redis 7.0 or later, or Valkey.
///
/// On one server, on one that sentinels watch, or on a cluster: see [`RedisConfig`]. Clones share one connection to
/// each server. See the [crate's documentation](crate) for what the store does when
/// the server is slow, down or full.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use tenure_redis::RedisStore;
///
/// let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
///
/// let with_limits = RedisStore::builder("redis://127.0.0.1:6379")
///     .prefix("shop")
///     .deadline(Duration::from_millis(500))
///     .min_replicas(1)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Consistency
///
/// Linearizable per session on one primary, which in a cluster is that of the session. Redis replicates asynchronously: a failover can lose
/// writes that were acknowledged, a deletion among them. See
/// [`min_replicas`](RedisStoreBuilder::min_replicas).
#[derive(Clone)]
pub struct RedisStore {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) topology: Arc<Topology>,
    /// For the login index, on connections that track nothing: what is read on one that does would take room in
    /// the server's table, and bring a push with every change.
    pub(crate) index: Arc<Topology>,
    pub(crate) prefix: Arc<str>,
    pub(crate) max_record_bytes: usize,
    pub(crate) clock: Arc<dyn Clock>,
}

impl RedisStore {
    /// Connects to a server with the default limits, so that a wrong address shows at start.
    ///
    /// Takes a URL (see [`RedisConfig::from_url`]) or a [`RedisConfig`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`]
    pub async fn connect<C>(config: C) -> Result<Self, ConnectError>
    where
        C: TryInto<RedisConfig>,
        C::Error: Into<RedisConfigError>,
    {
        Self::builder(config).connect().await
    }

    /// Begins a store with other limits.
    ///
    /// Takes a URL (see [`RedisConfig::from_url`]) or a [`RedisConfig`]. A URL that is not valid is
    /// reported at the end of the chain.
    pub fn builder<C>(config: C) -> RedisStoreBuilder
    where
        C: TryInto<RedisConfig>,
        C::Error: Into<RedisConfigError>,
    {
        RedisStoreBuilder::new(config.try_into().map_err(Into::into))
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) async fn connect_now(&self) -> Result<(), StoreError> {
        self.shared.topology.connect().await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("topology", &self.shared.topology)
            .field("prefix", &self.shared.prefix)
            .finish_non_exhaustive()
    }
}

impl SessionStore for RedisStore {
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(self.key(id));
        match self.shared.topology.call(&Request::command(get)).await? {
            Value::Nil => Ok(Load::Absent),
            Value::BulkString(stored) => {
                let record = self.decode(id, stored)?;
                Ok(Load::judge(record, self.shared.clock.now()))
            }
            _ => Err(unexpected_reply()),
        }
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let stored = self.encode(&record)?;
        let ttl = ttl_millis(record.lease_end(), self.shared.clock.now());
        let request = Request::script(
            &script::CREATE,
            &self.key(record.id()),
            &[&stored, ttl.as_bytes()],
        );
        match self.shared.topology.call(&request).await? {
            Value::Int(1) => Ok(Create::Created),
            Value::Int(0) => Ok(Create::Exists),
            _ => Err(unexpected_reply()),
        }
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let stored = self.encode(&record)?;
        let now = self.shared.clock.now();
        let ttl = ttl_millis(record.lease_end(), now);
        let request = Request::script(
            &script::COMMIT,
            &self.key(record.id()),
            &[
                &version_bytes(expected),
                &stored,
                &time_bytes(now),
                ttl.as_bytes(),
            ],
        );
        match self.shared.topology.call(&request).await? {
            Value::Nil => Ok(Commit::Gone),
            Value::Int(1 | 2) => Ok(Commit::Stored),
            Value::BulkString(reply) => {
                let current = self.decode(record.id(), reply)?;
                Ok(if current.lineage().contains(record.version()) {
                    Commit::Overtaken(current)
                } else {
                    Commit::Conflict(current)
                })
            }
            _ => Err(unexpected_reply()),
        }
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let (offset, expected) = whose.stored_field();
        let request = Request::script(
            &script::RENEW,
            &self.key(id),
            &[
                id.as_bytes(),
                &time_bytes(lease_end),
                &time_bytes(self.shared.clock.now()),
                (offset + 1).to_string().as_bytes(),
                &expected,
            ],
        );
        match self.shared.topology.call(&request).await? {
            Value::Nil => Ok(Renewal::Gone),
            Value::Int(-1) => Ok(Renewal::Superseded),
            Value::BulkString(reply) => reply
                .split_last()
                .and_then(|(_, version)| version_from(version))
                .map(Renewal::Renewed)
                .ok_or_else(unexpected_reply),
            _ => Err(unexpected_reply()),
        }
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let key = self.key(id);
        let (offset, expected) = whose.stored_field();
        let position = (offset + 1).to_string();
        let request = Request::script(&script::DELETE, &key, &[position.as_bytes(), &expected]);
        let reply = self
            .shared
            .topology
            .confirmed(&request, Kind::Deletion)
            .await?;
        deletion(&reply).ok_or_else(unexpected_reply)
    }

    /// A handle with a connection of its own, so that what other handles of this process write is
    /// told too.
    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        let tracking = Tracking::new(listener, Arc::clone(&self.shared.prefix));
        let topology = self.shared.topology.tracked(&tracking)?;
        let store = Self::new(Shared {
            topology: Arc::clone(&topology),
            ..(*self.shared).clone()
        });
        let feed = RedisFeed::new(topology, Arc::clone(&self.shared.prefix));
        Some(Fed {
            store,
            feed: Arc::new(feed),
        })
    }
}

impl RedisStore {
    fn key(&self, id: SessionId) -> String {
        session_key(&self.shared.prefix, id)
    }

    fn encode(&self, record: &Record) -> Result<Bytes, StoreError> {
        self.check_size(record.encoded_len())?;
        Ok(record.encode())
    }

    fn decode(&self, id: SessionId, stored: Vec<u8>) -> Result<Record, StoreError> {
        self.check_size(stored.len())?;
        let record = Record::decode(stored.into())
            .map_err(|error| StoreError::with_source(StoreErrorKind::Corrupt, error))?;
        // Whatever mixed the replies up, be it a driver or a proxy: nobody gets another's session.
        if record.id() != id {
            let mixed_up = "the record is another session's";
            return Err(StoreError::with_source(StoreErrorKind::Corrupt, mixed_up));
        }
        Ok(record)
    }

    fn check_size(&self, bytes: usize) -> Result<(), StoreError> {
        if bytes > self.shared.max_record_bytes {
            return Err(StoreError::new(StoreErrorKind::TooLarge));
        }
        Ok(())
    }
}

/// The rest of a lease, which is when Redis may collect the key.
///
/// Relative, so that it does not matter whether the server's clock agrees with ours. At least 5 s: a
/// session that ends within milliseconds is to be judged by the times in its record, which does not
/// work if it vanishes while its requests are still on their way. At most 2^52, since Redis adds the
/// present to it in 64 bits. `renew.lua` has the same bounds.
fn ttl_millis(lease_end: Timestamp, now: Timestamp) -> String {
    let left = lease_end.since(now).as_millis();
    left.clamp(5000, 1 << 52).to_string()
}

/// What the deletion's script says.
pub(crate) fn deletion(reply: &Value) -> Option<Delete> {
    match reply {
        Value::Int(1) => Some(Delete::Deleted),
        Value::Int(0) => Some(Delete::Absent),
        Value::Int(-1) => Some(Delete::Superseded),
        _ => None,
    }
}

fn time_bytes(time: Timestamp) -> [u8; 8] {
    time.as_millis().to_be_bytes()
}

fn version_bytes(version: Version) -> [u8; 16] {
    (u128::from(version.counter()) << 64 | u128::from(version.tag())).to_be_bytes()
}

fn version_from(bytes: &[u8]) -> Option<Version> {
    let (counter, tag) = bytes.split_first_chunk()?;
    let version = Version::new(
        u64::from_be_bytes(*counter),
        u64::from_be_bytes(tag.try_into().ok()?),
    );
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_survives_the_form_that_scripts_compare() {
        let version = Version::new(0x0102_0304_0506_0708, u64::MAX - 1);
        let bytes = version_bytes(version);
        assert_eq!(bytes[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(version_from(&bytes), Some(version));
        assert_eq!(version_from(&bytes[1..]), None);
    }

    #[test]
    fn a_time_to_live_is_the_rest_of_the_lease_within_bounds() {
        let at = Timestamp::from_millis;
        assert_eq!(ttl_millis(at(9000), at(2000)), "7000");
        assert_eq!(ttl_millis(at(2001), at(2000)), "5000");
        assert_eq!(ttl_millis(at(2000), at(9000)), "5000");
        assert_eq!(ttl_millis(at(u64::MAX), at(0)), (1_u64 << 52).to_string());
    }
}
