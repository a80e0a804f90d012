//! Sessions in this process's memory.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};

use super::{Commit, Create, Freshness, Load, Renewal, SessionStore, StoreError, StoreErrorKind};
use crate::{Clock, Record, SessionId, SystemClock, Timestamp, Version, model::BySession};

/// Keeps sessions in the memory of this process: for one node, for tests, and for trying things out.
///
/// Clones share the same sessions. The store is bounded: at [`max_bytes`](MemoryStoreBuilder::max_bytes)
/// new sessions and growing ones are refused with [`StoreErrorKind::Full`], and no live session is
/// ever evicted to make room. Expired sessions are collected a few at a time by the calls that write, so
/// there is no background task.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

impl MemoryStore {
    /// An empty store with the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Begins a store with other limits.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// How many sessions are stored, those included that have expired and are not collected yet.
    #[must_use]
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| shard.lock().records.len();
        self.shared.shards.iter().map(count).sum()
    }

    /// Whether no session is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much of the limit is in use, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("sessions", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl SessionStore for MemoryStore {
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        let found = self.shared.shard(id).lock().records.get(&id).cloned();
        Ok(found.map_or(Load::Absent, |record| {
            Load::judge(record, self.shared.clock.now())
        }))
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let (mut shard, now) = self.shared.enter(record.id());
        self.shared.check_size(&record)?;
        if let Some(stored) = shard.records.get(&record.id()) {
            let this_creation = stored.lineage().contains(record.version());
            return Ok(if this_creation {
                Create::Created
            } else {
                Create::Exists
            });
        }
        self.shared.reserve(&mut shard, now, weight(&record))?;
        shard
            .expiries
            .push(Reverse((record.lease_end(), record.id())));
        shard.records.insert(record.id(), record);
        Ok(Create::Created)
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let (mut shard, now) = self.shared.enter(record.id());
        self.shared.check_size(&record)?;
        let Some(stored) = shard.live(record.id(), now) else {
            return Ok(Commit::Gone);
        };
        if stored.lineage().contains(record.version()) {
            return Ok(Commit::Stored(stored.version()));
        }
        if stored.version() != expected {
            return Ok(Commit::Conflict(stored.clone()));
        }
        let (before, after) = (weight(stored), weight(&record));
        self.shared
            .reserve(&mut shard, now, after.saturating_sub(before))?;
        self.shared.release(before.saturating_sub(after));
        let version = record.version();
        shard.records.insert(record.id(), record);
        Ok(Commit::Stored(version))
    }

    async fn renew(&self, id: SessionId, lease_end: Timestamp) -> Result<Renewal, StoreError> {
        let (mut shard, now) = self.shared.enter(id);
        let Some(stored) = shard.live(id, now) else {
            return Ok(Renewal::Gone);
        };
        let not_before = stored.lease_end();
        *stored = stored.clone().with_lease_end(lease_end.max(not_before));
        Ok(Renewal::Renewed(stored.version()))
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        let (mut shard, _) = self.shared.enter(id);
        if let Some(removed) = shard.records.remove(&id) {
            self.shared.release(weight(&removed));
            shard.forget_removed();
        }
        Ok(())
    }
}

/// Sets a [`MemoryStore`]'s limits.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct MemoryStoreBuilder {
    max_bytes: usize,
    max_record_bytes: usize,
    clock: Arc<dyn Clock>,
}

impl MemoryStoreBuilder {
    /// The most memory that all sessions together may take, in bytes: their records as stored, and
    /// 256 bytes for each. Default 256 MiB, room for about 500,000 sessions of 256 bytes.
    pub fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The largest single record, in bytes as stored. Default 1 MiB.
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.max_record_bytes = max_record_bytes;
        self
    }

    /// The clock by which sessions expire. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The store.
    #[must_use]
    pub fn build(self) -> MemoryStore {
        MemoryStore {
            shared: Arc::new(Shared {
                shards: std::array::from_fn(|_| Mutex::default()),
                bytes: AtomicUsize::new(0),
                max_bytes: self.max_bytes,
                max_record_bytes: self.max_record_bytes,
                clock: self.clock,
            }),
        }
    }
}

impl Default for MemoryStoreBuilder {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_record_bytes: 1 << 20,
            clock: Arc::new(SystemClock),
        }
    }
}

struct Shared {
    shards: [Mutex<Shard>; SHARDS],
    bytes: AtomicUsize,
    max_bytes: usize,
    max_record_bytes: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shard {
    records: BySession<Record>,
    /// When to look at a session next; one entry per session. A renewal leaves it alone: a session
    /// that turns out to live on when its time comes is simply entered again.
    expiries: BinaryHeap<Reverse<(Timestamp, SessionId)>>,
}

impl Shard {
    fn live(&mut self, id: SessionId, now: Timestamp) -> Option<&mut Record> {
        let stored = self.records.get_mut(&id)?;
        stored.expiry(now).is_none().then_some(stored)
    }

    /// Drops the expiries of sessions that were deleted, once those are the greater part. Otherwise
    /// logins and logouts would pile them up until their leases end.
    fn forget_removed(&mut self) {
        if self.expiries.len() > 2 * self.records.len() + EXPIRIES_NOT_WORTH_SWEEPING {
            let ends = self
                .records
                .values()
                .map(|record| Reverse((record.lease_end(), record.id())));
            self.expiries = ends.collect();
        }
    }
}

impl Shared {
    fn shard(&self, id: SessionId) -> &Mutex<Shard> {
        // Byte 15 of a version 4 UUID is random.
        &self.shards[usize::from(id.as_bytes()[15]) % SHARDS]
    }

    /// Locks a session's shard for a call that writes. The call has to judge by this one time: what
    /// it takes for live must not be collected while it makes room for it.
    fn enter(&self, id: SessionId) -> (MutexGuard<'_, Shard>, Timestamp) {
        let mut shard = self.shard(id).lock();
        let now = self.clock.now();
        self.collect(&mut shard, now, COLLECTED_PER_CALL);
        (shard, now)
    }

    fn check_size(&self, record: &Record) -> Result<(), StoreError> {
        if record.encoded_len() > self.max_record_bytes {
            return Err(StoreError::new(StoreErrorKind::TooLarge));
        }
        Ok(())
    }

    /// Takes `bytes` out of the limit; when none are left, after collecting all that has expired.
    fn reserve(&self, shard: &mut Shard, now: Timestamp, bytes: usize) -> Result<(), StoreError> {
        if self.try_reserve(bytes) {
            return Ok(());
        }
        self.collect(shard, now, usize::MAX);
        // The caller holds one shard, so another may only be tried: two such callers could
        // otherwise wait for each other.
        for mut other in self.shards.iter().filter_map(Mutex::try_lock) {
            self.collect(&mut other, now, usize::MAX);
        }
        if self.try_reserve(bytes) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Full))
    }

    fn try_reserve(&self, bytes: usize) -> bool {
        let within_limit =
            |used: usize| Some(used.checked_add(bytes)?).filter(|sum| *sum <= self.max_bytes);
        self.bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within_limit)
            .is_ok()
    }

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn collect(&self, shard: &mut Shard, now: Timestamp, most: usize) {
        for _ in 0..most {
            match shard.expiries.peek() {
                Some(Reverse((due, _))) if *due <= now => {}
                Some(_) | None => return,
            }
            let Some(Reverse((_, id))) = shard.expiries.pop() else {
                return;
            };
            match shard.records.get(&id) {
                Some(record) if record.expiry(now).is_some() => {
                    self.release(weight(record));
                    shard.records.remove(&id);
                }
                Some(record) => shard.expiries.push(Reverse((record.lease_end(), id))),
                None => {}
            }
        }
    }
}

fn weight(record: &Record) -> usize {
    record.encoded_len() + OVERHEAD_BYTES
}

/// Enough that two cores seldom meet.
const SHARDS: usize = 64;

/// Each call that may add one session takes two away, so a store that is in use shrinks.
const COLLECTED_PER_CALL: usize = 2;

const EXPIRIES_NOT_WORTH_SWEEPING: usize = 64;

/// Map slot, heap entry and allocations of one session, rounded up.
const OVERHEAD_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicU64, time::Duration};

    use bytes::Bytes;

    use super::*;
    use crate::{Lifetimes, Lineage, SecretHash, Values};

    /// Moves on by a second whenever it is read.
    #[derive(Debug, Default)]
    struct RestlessClock(AtomicU64);

    impl Clock for RestlessClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1000 * self.0.fetch_add(1, Ordering::Relaxed))
        }
    }

    fn record(number: u32, lease: u64) -> Record {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let lease = Duration::from_secs(lease);
        Record::new(
            SessionId::from_bytes(id),
            Lineage::first(1),
            SecretHash::from_bytes([0; 32]),
            Timestamp::default(),
            Lifetimes::new(lease, lease).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_session_that_expires_during_its_own_commit_leaves_the_accounts_right() {
        for lease in 1..8 {
            let first = record(1, lease);
            let store = MemoryStore::builder()
                .max_bytes(weight(&first) + 10)
                .clock(RestlessClock::default())
                .build();
            assert_eq!(store.create(first.clone()).await.unwrap(), Create::Created);
            let values =
                Values::decode(Bytes::from_static(b"\0\x01n\0\0\0\x14...................."))
                    .unwrap();
            let larger = first.clone().next(2).with_values(values);
            // Whatever this comes to: it does not fit, or the session has expired.
            let _ = store.commit(first.version(), larger).await;
            store.delete(first.id()).await.unwrap();
            assert_eq!(store.bytes(), 0, "lease of {lease} s");
            assert_eq!(store.create(record(2, 60)).await.unwrap(), Create::Created);
        }
    }

    #[tokio::test]
    async fn sessions_that_come_and_go_leave_nothing_behind() {
        let store = MemoryStore::new();
        for number in 0..10_000_u32 {
            let record = record(number, 60);
            let _ = store.create(record.clone()).await.unwrap();
            store.delete(record.id()).await.unwrap();
        }
        let left: usize = store
            .shared
            .shards
            .iter()
            .map(|shard| shard.lock().expiries.len())
            .sum();
        assert!(left <= SHARDS * (EXPIRIES_NOT_WORTH_SWEEPING + 1), "{left}");
    }
}
