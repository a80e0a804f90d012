//! A small store of bytes that can be broken in one way at a time.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, Principal, RECORD_HEADER_BYTES, Record,
    Renewal, Retention, SessionId, SessionStore, StoreError, StoreErrorKind, Timestamp, Version,
    Whose,
};
use tenure_testing::{ManualClock, records};
use tokio::{sync::Semaphore, task::yield_now};

/// Fulfils the contract, unless it has a bug.
///
/// Three bugs spoil a verb as a whole and are found where it begins; the others are wrong decisions,
/// each beside the right one.
#[derive(Debug)]
pub(crate) struct Ledger {
    clock: ManualClock,
    bug: Option<Bug>,
    entries: Mutex<HashMap<SessionId, Bytes>>,
    /// What each write replaced, for [`Bug::LoadLagsBehind`].
    replaced: Mutex<HashMap<SessionId, Bytes>>,
    /// The last answer to any load, for [`Bug::LoadMixesAnswers`].
    last_answer: Mutex<Option<Bytes>>,
    /// A small pool, for [`Bug::DroppedLoadsKeepTheirConnection`].
    connections: Semaphore,
}

/// Mistakes that a store can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    CommitAcceptsExpired,
    CommitComparesCounters,
    CommitComparesFloats,
    CommitComparesNothing,
    CommitForgetsRetries,
    CommitKeepsLongerLease,
    CommitKeepsPrincipal,
    CommitRecognisesOnlyTheNewest,
    CommitTakesNewerForCurrent,
    CommitTakesOldForRetry,
    CommitUpserts,
    ConflictAnswersWithTheLoser,
    CorruptBytesAreKept,
    CorruptBytesAreNobody,
    CorruptBytesAreOverwritten,
    CreateMakesRetriesAgain,
    CreateOverwrites,
    CreateRevivesWhatExpired,
    DeleteComparesNothing,
    DeleteComparesVersions,
    DeleteDoesNothing,
    DeleteFailsOnAbsent,
    DeleteSparesExpired,
    DeleteTakesDamagedForNobodys,
    DroppedLoadsKeepTheirConnection,
    ForeignRecordsAreServed,
    LoadFailsOnAbsent,
    LoadIgnoresExpiry,
    LoadLagsBehind,
    LoadMixesAnswers,
    LongLeasesOverflow,
    PrincipalsAreForgotten,
    ReadsThenWrites,
    RenewAcceptsExpired,
    RenewComparesNothing,
    RenewCountsAsCommit,
    RenewCreates,
    RenewDoesNothing,
    RenewExceedsTheLimit,
    RenewLosesValues,
    RenewShortens,
    RetentionIsForgotten,
    SizeLimitIsExclusive,
    SizeLimitIsForgotten,
    TextIsAscii,
    WritesInTwoSteps,
    ZerosEndValues,
}

impl Ledger {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        Self {
            clock: ManualClock::new(),
            bug,
            entries: Mutex::default(),
            replaced: Mutex::default(),
            last_answer: Mutex::default(),
            connections: Semaphore::new(3),
        }
    }

    pub(crate) const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    pub(crate) fn plant(&self, id: SessionId, bytes: &[u8]) {
        self.entries
            .lock()
            .insert(id, Bytes::copy_from_slice(bytes));
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn ended(&self, record: &Record) -> bool {
        record.expiry(self.clock.now()).is_some()
    }

    /// Looks at what is stored, decides and writes: one step, unless broken.
    async fn transact<T>(
        &self,
        id: SessionId,
        decide: impl Fn(Option<Bytes>) -> Result<(T, Write), StoreError>,
    ) -> Result<T, StoreError> {
        if self.has(Bug::ReadsThenWrites) {
            let seen = self.entries.lock().get(&id).cloned();
            yield_now().await;
            let (outcome, write) = decide(seen)?;
            self.write(&mut self.entries.lock(), id, write);
            return Ok(outcome);
        }
        if self.has(Bug::WritesInTwoSteps) {
            let seen = self.entries.lock().get(&id).cloned();
            let (outcome, write) = decide(seen)?;
            if !matches!(write, Write::Nothing) {
                self.plant(id, &[0; RECORD_HEADER_BYTES]);
                yield_now().await;
            }
            self.write(&mut self.entries.lock(), id, write);
            return Ok(outcome);
        }
        let mut entries = self.entries.lock();
        let (outcome, write) = decide(entries.get(&id).cloned())?;
        self.write(&mut entries, id, write);
        Ok(outcome)
    }

    fn write(&self, entries: &mut HashMap<SessionId, Bytes>, id: SessionId, write: Write) {
        let replaced = match write {
            Write::Nothing => None,
            Write::Put(record) => entries.insert(id, self.transcribed(record).encode()),
            Write::PutBytes(bytes) => entries.insert(id, bytes),
            Write::Remove => entries.remove(&id),
        };
        if let Some(replaced) = replaced {
            self.replaced.lock().insert(id, replaced);
        }
    }

    fn decode(&self, id: SessionId, bytes: Bytes) -> Result<Record, StoreError> {
        let corrupt = |error| StoreError::with_source(StoreErrorKind::Corrupt, error);
        let record = Record::decode(bytes).map_err(corrupt)?;
        if record.id() != id && !self.has(Bug::ForeignRecordsAreServed) {
            return Err(StoreError::new(StoreErrorKind::Corrupt));
        }
        Ok(record)
    }

    fn check_size(&self, record: &Record) -> Result<(), StoreError> {
        let limit = match self.bug {
            Some(Bug::SizeLimitIsForgotten) => usize::MAX,
            Some(Bug::SizeLimitIsExclusive) => MAX_RECORD_BYTES - 1,
            _ => MAX_RECORD_BYTES,
        };
        if record.encoded_len() > limit {
            return Err(StoreError::new(StoreErrorKind::TooLarge));
        }
        Ok(())
    }

    fn is_retry(&self, stored: &Record, record: &Record) -> bool {
        let (newest, sent) = (stored.version(), record.version());
        let remembered = stored.lineage().contains(sent);
        match self.bug {
            Some(Bug::CommitForgetsRetries) => false,
            Some(Bug::CommitRecognisesOnlyTheNewest) => newest == sent,
            Some(Bug::CommitTakesOldForRetry) => {
                remembered || newest.counter() > sent.counter() + 7
            }
            Some(Bug::CommitComparesFloats) => remembered || as_floats(newest) == as_floats(sent),
            _ => remembered,
        }
    }

    fn is_current(&self, stored: Version, expected: Version) -> bool {
        match self.bug {
            Some(Bug::CommitComparesNothing) => true,
            Some(Bug::CommitComparesCounters) => stored.counter() == expected.counter(),
            Some(Bug::CommitComparesFloats) => as_floats(stored) == as_floats(expected),
            Some(Bug::CommitTakesNewerForCurrent) => {
                stored == expected || expected.counter() > stored.counter()
            }
            _ => stored == expected,
        }
    }

    fn merged(&self, stored: &Record, record: &Record) -> Record {
        match self.bug {
            Some(Bug::CommitKeepsLongerLease) => record
                .clone()
                .with_lease_end(record.lease_end().max(stored.lease_end())),
            Some(Bug::CommitKeepsPrincipal) => {
                record.clone().with_principal(stored.principal().cloned())
            }
            _ => record.clone(),
        }
    }

    fn renewed(&self, stored: &Record, lease_end: Timestamp) -> Write {
        let later = stored
            .clone()
            .with_lease_end(lease_end.max(stored.lease_end()));
        let renewed = if later == *stored {
            later
        } else {
            later.with_seen_at(self.clock.now())
        };
        match self.bug {
            Some(Bug::RenewDoesNothing) => Write::Nothing,
            Some(Bug::RenewShortens) => Write::Put(stored.clone().with_lease_end(lease_end)),
            Some(Bug::RenewLosesValues) => {
                Write::Put(renewed.with_values(records::values::<&str, str>([])))
            }
            Some(Bug::RenewCountsAsCommit) => Write::Put(records::successor(&renewed)),
            Some(Bug::RenewExceedsTheLimit) => {
                let mut bytes = renewed.encode().to_vec();
                bytes[LEASE_END..LEASE_END + 8]
                    .copy_from_slice(&lease_end.as_millis().to_be_bytes());
                Write::PutBytes(bytes.into())
            }
            _ => Write::Put(renewed),
        }
    }

    /// What a store that is careless with contents would store.
    fn transcribed(&self, record: Record) -> Record {
        match self.bug {
            Some(Bug::PrincipalsAreForgotten) => record.with_principal(None),
            Some(Bug::RetentionIsForgotten) => record.with_retention(Retention::Ordinary),
            Some(Bug::TextIsAscii) => {
                let ascii = |name: &Principal| name.as_str().replace(|c: char| !c.is_ascii(), "?");
                let principal = record.principal().map(ascii);
                record.with_principal(principal.and_then(|name| Principal::new(name).ok()))
            }
            Some(Bug::ZerosEndValues) => {
                let cut = |value: &[u8]| value.split(|byte| *byte == 0).next().map(<[u8]>::to_vec);
                let values: Vec<_> = record
                    .values()
                    .iter()
                    .map(|(name, value)| (name.to_owned(), cut(value).unwrap_or_default()))
                    .collect();
                let values = values.iter().map(|(name, value)| (name.as_str(), value));
                record.with_values(records::values(values))
            }
            Some(Bug::LongLeasesOverflow) => {
                let span = record.lease_end().since(record.created_at());
                let most = Duration::from_millis(u32::MAX.into());
                record
                    .clone()
                    .with_lease_end(record.created_at().after(span.min(most)))
            }
            _ => record,
        }
    }
}

impl SessionStore for Ledger {
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        if self.has(Bug::DroppedLoadsKeepTheirConnection) {
            let exhausted = |_| StoreError::new(StoreErrorKind::Unavailable);
            self.connections.try_acquire().map_err(exhausted)?.forget();
            yield_now().await;
            self.connections.add_permits(1);
        }
        let stored = self.entries.lock().get(&id).cloned();
        if self.has(Bug::LoadMixesAnswers) {
            *self.last_answer.lock() = stored;
            yield_now().await;
            let mixed = self.last_answer.lock().clone();
            let record = mixed.and_then(|bytes| Record::decode(bytes).ok());
            return Ok(record.map_or(Load::Absent, Load::Found));
        }
        let lagging = self.replaced.lock().get(&id).cloned();
        let Some(bytes) = lagging.filter(|_| self.has(Bug::LoadLagsBehind)).or(stored) else {
            return match self.bug {
                Some(Bug::LoadFailsOnAbsent) => Err(StoreError::new(StoreErrorKind::Refused)),
                _ => Ok(Load::Absent),
            };
        };
        match self.decode(id, bytes) {
            Ok(record) if self.has(Bug::LoadIgnoresExpiry) => Ok(Load::Found(record)),
            Ok(record) => Ok(Load::judge(record, self.clock.now())),
            Err(_) if self.has(Bug::CorruptBytesAreNobody) => Ok(Load::Absent),
            Err(error) => Err(error),
        }
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.check_size(&record)?;
        self.transact(record.id(), |stored| {
            let put = || Ok((Create::Created, Write::Put(record.clone())));
            let Some(bytes) = stored else {
                return put();
            };
            if self.has(Bug::CreateOverwrites) || self.has(Bug::CorruptBytesAreOverwritten) {
                return put();
            }
            let stored = self.decode(record.id(), bytes)?;
            if self.has(Bug::CreateRevivesWhatExpired) && self.ended(&stored) {
                let revived = record.clone().with_values(stored.values().clone());
                return Ok((Create::Created, Write::Put(revived)));
            }
            let retried = stored.lineage().contains(record.version());
            if retried && self.has(Bug::CreateMakesRetriesAgain) {
                return put();
            }
            Ok((Create::Exists, Write::Nothing))
        })
        .await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.check_size(&record)?;
        self.transact(record.id(), |stored| {
            let Some(bytes) = stored else {
                return Ok(match self.bug {
                    Some(Bug::CommitUpserts) => (Commit::Stored, Write::Put(record.clone())),
                    _ => (Commit::Gone, Write::Nothing),
                });
            };
            let stored = self.decode(record.id(), bytes)?;
            if self.ended(&stored) && !self.has(Bug::CommitAcceptsExpired) {
                return Ok((Commit::Gone, Write::Nothing));
            }
            if self.is_retry(&stored, &record) {
                let outcome = if stored.version() == record.version() {
                    Commit::Stored
                } else {
                    Commit::Overtaken(stored)
                };
                return Ok((outcome, Write::Nothing));
            }
            if !self.is_current(stored.version(), expected) {
                let answer = match self.bug {
                    Some(Bug::ConflictAnswersWithTheLoser) => record.clone(),
                    _ => stored,
                };
                return Ok((Commit::Conflict(answer), Write::Nothing));
            }
            Ok((Commit::Stored, Write::Put(self.merged(&stored, &record))))
        })
        .await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.transact(id, |stored| {
            let Some(bytes) = stored else {
                return Ok(match self.bug {
                    Some(Bug::RenewCreates) => {
                        let revived = records::fresh_under(id, self.clock.now());
                        (Renewal::Renewed(revived.version()), Write::Put(revived))
                    }
                    _ => (Renewal::Gone, Write::Nothing),
                });
            };
            let stored = self.decode(id, bytes)?;
            if self.ended(&stored) && !self.has(Bug::RenewAcceptsExpired) {
                return Ok((Renewal::Gone, Write::Nothing));
            }
            if !whose.is(&stored) && !self.has(Bug::RenewComparesNothing) {
                return Ok((Renewal::Superseded, Write::Nothing));
            }
            let write = self.renewed(&stored, lease_end);
            Ok((Renewal::Renewed(stored.version()), write))
        })
        .await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.transact(id, |stored| {
            let Some(bytes) = stored else {
                return match self.bug {
                    Some(Bug::DeleteFailsOnAbsent) => Err(StoreError::new(StoreErrorKind::Refused)),
                    _ => Ok((Delete::Absent, Write::Nothing)),
                };
            };
            let is_other = !whose.is_stored_in(&bytes);
            let decoded = self.decode(id, bytes);
            if is_other && !self.has(Bug::DeleteComparesNothing) {
                let is_damaged = decoded.is_err();
                if !(is_damaged && self.has(Bug::DeleteTakesDamagedForNobodys)) {
                    return Ok((Delete::Superseded, Write::Nothing));
                }
            }
            let write = match (self.bug, decoded) {
                (Some(Bug::DeleteDoesNothing), _) => Write::Nothing,
                (Some(Bug::DeleteComparesVersions), Ok(stored))
                    if stored.version().counter() > 1 =>
                {
                    Write::Nothing
                }
                (Some(Bug::DeleteSparesExpired), Ok(stored)) if self.ended(&stored) => {
                    Write::Nothing
                }
                (Some(Bug::CorruptBytesAreKept), Err(error)) => return Err(error),
                _ => Write::Remove,
            };
            Ok((Delete::Deleted, write))
        })
        .await
    }
}

pub(crate) const MAX_RECORD_BYTES: usize = 16 << 10;

enum Write {
    Nothing,
    Put(Record),
    PutBytes(Bytes),
    Remove,
}

/// As a script in Lua would compare, whose numbers have 53 bits.
#[expect(clippy::cast_precision_loss, reason = "the lost precision is the bug")]
fn as_floats(version: Version) -> (f64, f64) {
    (version.counter() as f64, version.tag() as f64)
}

/// Where a stored record keeps the end of its lease; see `Record::encode`.
const LEASE_END: usize = 90;
