//! Sessions in this process's memory.

mod rolls;

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

use self::rolls::Rolls;
use super::{
    Commit, Create, Delete, Freshness, Load, Renewal, SessionStore, StoreError, StoreErrorKind,
    VersionUse,
};
use crate::{Clock, Record, SessionId, SystemClock, Timestamp, Version, Whose, model::BySession};

/// Keeps sessions in the memory of this process: for one node, for tests, and for trying things out.
///
/// Clones share the same sessions. The store is bounded: at [`max_bytes`](MemoryStoreBuilder::max_bytes)
/// new sessions and growing ones are refused with [`StoreErrorKind::Full`], and no live session is
/// ever evicted to make room. Expired sessions are collected a few at a time by the calls that write, so
/// there is no background task. Entries of the [index](crate::SessionIndex) count towards the limit like sessions.
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
        let shard = self.shared.shard(id).lock();
        let found = shard.records.get(&id).map(|kept| kept.record.clone());
        drop(shard);
        Ok(found.map_or(Load::Absent, |record| {
            Load::judge(record, self.shared.clock.now())
        }))
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let (mut shard, now) = self.shared.enter(record.id());
        self.shared.check_size(&record)?;
        if shard.records.contains_key(&record.id()) {
            return Ok(Create::Exists);
        }
        self.shared.reserve(&mut shard, now, weight(&record))?;
        shard.put(record);
        Ok(Create::Created)
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let (mut shard, now) = self.shared.enter(record.id());
        self.shared.check_size(&record)?;
        let Some(stored) = shard.live(record.id(), now) else {
            return Ok(Commit::Gone);
        };
        if stored.version() != expected {
            return Ok(if stored.version() == record.version() {
                Commit::Stored
            } else if stored.lineage().contains(record.version()) {
                Commit::Overtaken(stored.clone())
            } else {
                Commit::Conflict(stored.clone())
            });
        }
        let (before, after) = (weight(stored), weight(&record));
        self.shared
            .reserve(&mut shard, now, after.saturating_sub(before))?;
        self.shared.release(before.saturating_sub(after));
        shard.put(record);
        Ok(Commit::Stored)
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let (mut shard, now) = self.shared.enter(id);
        let Some(stored) = shard.live(id, now) else {
            return Ok(Renewal::Gone);
        };
        if !whose.is(stored) {
            return Ok(Renewal::Superseded);
        }
        let renewed = stored.clone().with_lease_end(lease_end);
        if renewed.lease_end() > stored.lease_end() {
            *stored = renewed.with_seen_at(now.max(stored.seen_at()));
        }
        Ok(Renewal::Renewed(stored.version()))
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let (mut shard, _) = self.shared.enter(id);
        let Some(kept) = shard.records.get(&id) else {
            return Ok(Delete::Absent);
        };
        if !whose.is(&kept.record) {
            return Ok(Delete::Superseded);
        }
        self.shared.release(weight(&kept.record));
        shard.records.remove(&id);
        shard.forget_removed();
        Ok(Delete::Deleted)
    }

    fn version_use(&self) -> VersionUse {
        VersionUse::Unused
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
                rolls: Rolls::default(),
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
    rolls: Rolls,
    bytes: AtomicUsize,
    max_bytes: usize,
    max_record_bytes: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Shard {
    records: BySession<Kept>,
    /// When to look at a session next: never after its lease ends. A renewal leaves the entry alone: a
    /// session that turns out to live on when its time comes is simply entered again. One whose lease became
    /// shorter has a second entry, and the first is void.
    expiries: BinaryHeap<Reverse<(Timestamp, SessionId)>>,
}

struct Kept {
    record: Record,
    /// The time of the entry in `expiries` that counts.
    due: Timestamp,
}

impl Shard {
    fn live(&mut self, id: SessionId, now: Timestamp) -> Option<&mut Record> {
        let stored = &mut self.records.get_mut(&id)?.record;
        stored.expiry(now).is_none().then_some(stored)
    }

    fn put(&mut self, record: Record) {
        let (id, end) = (record.id(), record.lease_end());
        let due = self.records.get(&id).map(|kept| kept.due);
        let due = match due {
            Some(due) if due <= end => due,
            Some(_) | None => {
                self.expiries.push(Reverse((end, id)));
                end
            }
        };
        self.records.insert(id, Kept { record, due });
    }

    /// Drops the expiries of sessions that were deleted, once those are the greater part. Otherwise
    /// logins and logouts would pile them up until their leases end.
    fn forget_removed(&mut self) {
        if self.expiries.len() > 2 * self.records.len() + EXPIRIES_NOT_WORTH_SWEEPING {
            let ends = self.records.values_mut().map(|kept| {
                kept.due = kept.record.lease_end();
                Reverse((kept.due, kept.record.id()))
            });
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
        self.collect_other_rolls(now);
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
            let Some(Reverse((due, id))) = shard.expiries.pop() else {
                return;
            };
            let Some(kept) = shard.records.get_mut(&id).filter(|kept| kept.due == due) else {
                continue;
            };
            if kept.record.expiry(now).is_some() {
                self.release(weight(&kept.record));
                shard.records.remove(&id);
            } else {
                kept.due = kept.record.lease_end();
                shard.expiries.push(Reverse((kept.due, id)));
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
    use crate::{
        Lifetimes, Lineage, LoginName, LoginStamp, Principal, Reservation, SecretHash,
        SessionIndex, Values,
    };

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
            let _ = store
                .delete(first.id(), Whose::Login(first.login().stamp))
                .await
                .unwrap();
            assert_eq!(store.bytes(), 0, "lease of {lease} s");
            assert_eq!(store.create(record(2, 60)).await.unwrap(), Create::Created);
        }
    }

    #[tokio::test]
    async fn a_full_store_collects_sessions_whose_lease_became_shorter() {
        let clock = Arc::new(RestlessClock::default());
        let long = record(1, 1_000_000);
        let store = MemoryStore::builder()
            .max_bytes(weight(&long))
            .clock(Arc::clone(&clock))
            .build();
        assert_eq!(store.create(long.clone()).await.unwrap(), Create::Created);
        let short = long
            .clone()
            .next(2)
            .with_lease_end(Timestamp::from_millis(60_000));
        let committed = store.commit(long.version(), short).await.unwrap();
        assert_eq!(committed, Commit::Stored);
        assert!(
            store.create(record(2, 1_000_000)).await.is_err(),
            "it lives"
        );
        clock.0.fetch_add(60, Ordering::Relaxed);
        assert_eq!(
            store.create(record(2, 1_000_000)).await.unwrap(),
            Create::Created
        );
        assert_eq!(store.len(), 1);
    }

    #[tokio::test]
    async fn a_full_store_makes_room_for_sessions_of_what_is_over_in_the_index() {
        let clock = Arc::new(RestlessClock::default());
        let store = MemoryStore::builder()
            .max_bytes(4000)
            .clock(Arc::clone(&clock))
            .build();
        let mut number = 0_u8;
        let login = LoginName::new(SessionId::from_bytes([1; 16]), LoginStamp::from_u64(2));
        loop {
            let user = Principal::new(number.to_string()).unwrap();
            let reservation = Reservation {
                login,
                replaces: None,
                limit: None,
                fence: None,
                dead: Vec::new(),
                kept_until: Timestamp::from_millis(10_000_000),
            };
            if store.reserve(&user, reservation).await.is_err() {
                break;
            }
            number += 1;
        }
        assert!(number > 3, "{number}");
        let session = record(1, 1_000_000);
        assert!(store.create(session.clone()).await.is_err(), "all live");
        clock.0.fetch_add(10_000, Ordering::Relaxed);
        assert_eq!(store.create(session).await.unwrap(), Create::Created);
    }

    #[tokio::test]
    async fn sessions_that_come_and_go_leave_nothing_behind() {
        let store = MemoryStore::new();
        for number in 0..10_000_u32 {
            let record = record(number, 60);
            let _ = store.create(record.clone()).await.unwrap();
            let _ = store
                .delete(record.id(), Whose::Login(record.login().stamp))
                .await
                .unwrap();
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
