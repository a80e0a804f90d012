//! The login index in this process's memory.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    hash::BuildHasher,
    ops::Bound,
    sync::atomic::{AtomicU64, Ordering},
};

use foldhash::fast::FixedState;
use parking_lot::Mutex;

use super::{MemoryStore, Shared};
use crate::{
    Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginName, LoginPage, LoginRoll,
    LoginSeen, Principal, Reservation, Reserve, SessionIndex, StoreError, StoreErrorKind,
    Timestamp, Touch, UserCursor, UserPage, UserStanding,
};

/// All principals' logins.
#[derive(Default)]
pub(super) struct Rolls {
    shards: [Mutex<Shard>; SHARDS],
    gate: AtomicU64,
}

#[derive(Default)]
struct Shard {
    rolls: BTreeMap<Principal, LoginRoll>,
    /// When to look at a roll next.
    due: BinaryHeap<Reverse<(Timestamp, Principal)>>,
}

impl Shard {
    /// Drops the dues of rolls that are not there any more, once those are the greater part.
    fn forget_removed(&mut self) {
        if self.due.len() > 2 * self.rolls.len() + DUES_NOT_WORTH_SWEEPING {
            let due =
                |(user, roll): (&Principal, &LoginRoll)| Reverse((roll.kept_until, user.clone()));
            self.due = self.rolls.iter().map(due).collect();
        }
    }
}

impl SessionIndex for MemoryStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        self.shared
            .change_roll(user, |roll, now| roll.reserve(&reservation, now))
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        self.shared
            .change_roll(user, |roll, _| roll.confirm(&confirmation))
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        self.shared
            .change_roll(user, |roll, now| roll.end(&ending, now))
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        self.shared
            .change_roll(user, |roll, now| roll.condemn(login, now))
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        self.shared
            .change_roll(user, |roll, _| roll.settle(&logins))
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        self.shared.change_roll(user, |roll, _| roll.touch(&seen))
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        Ok(self.shared.read_roll(user, LoginRoll::standing))
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        self.shared
            .change_roll(user, |roll, _| roll.unblock(blocked_in))
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        Ok(self.shared.read_roll(user, |roll| roll.logins(after, most)))
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        self.shared.rolls.page(after.as_ref())
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        Ok(Epoch::from_u64(
            self.shared.rolls.gate.load(Ordering::Acquire),
        ))
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        let gate = &self.shared.rolls.gate;
        let before = gate.fetch_max(to.as_u64(), Ordering::AcqRel);
        Ok(Epoch::from_u64(before).max(to))
    }
}

impl Shared {
    fn read_roll<T: Default>(&self, user: &Principal, read: impl FnOnce(&LoginRoll) -> T) -> T {
        let shard = self.rolls.shard(user).lock();
        shard.rolls.get(user).map(read).unwrap_or_default()
    }

    /// One verb on a principal's roll. None makes it grow by more than one entry.
    fn change_roll<T>(
        &self,
        user: &Principal,
        change: impl FnOnce(&mut LoginRoll, Timestamp) -> T,
    ) -> Result<T, StoreError> {
        let mut shard = self.rolls.shard(user).lock();
        let now = self.clock.now();
        for _ in 0..COLLECTED_PER_CALL {
            self.collect_roll(&mut shard, now);
        }
        let before = shard.rolls.get(user).map_or(0, |roll| weight(user, roll));
        let most = match before {
            0 => weight(user, &LoginRoll::default()) + ENTRY_BYTES,
            before => before + ENTRY_BYTES,
        };
        self.reserve_for_roll(now, most - before)?;
        let roll = shard.rolls.entry(user.clone()).or_default();
        let outcome = change(roll, now);
        let (is_blank, due) = (roll.is_blank(), roll.kept_until);
        let after = if is_blank { 0 } else { weight(user, roll) };
        if is_blank {
            shard.rolls.remove(user);
            shard.forget_removed();
        } else if before == 0 {
            shard.due.push(Reverse((due, user.clone())));
        }
        self.release(most - after);
        Ok(outcome)
    }

    fn reserve_for_roll(&self, now: Timestamp, bytes: usize) -> Result<(), StoreError> {
        if self.try_reserve(bytes) {
            return Ok(());
        }
        // Whoever holds a shard of sessions never waits for one of rolls.
        for shard in &self.shards {
            self.collect(&mut shard.lock(), now, usize::MAX);
        }
        if self.try_reserve(bytes) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Full))
    }

    /// Looks at the roll that is due first.
    fn collect_roll(&self, shard: &mut Shard, now: Timestamp) {
        let is_due = |due: &Reverse<(Timestamp, Principal)>| due.0.0 <= now;
        if !shard.due.peek().is_some_and(is_due) {
            return;
        }
        let Some(Reverse((_, user))) = shard.due.pop() else {
            return;
        };
        let Some(roll) = shard.rolls.get(&user) else {
            return;
        };
        if roll.is_over(now) {
            self.release(weight(&user, roll));
            shard.rolls.remove(&user);
        } else {
            let next = roll.kept_until.max(now.after(LOOK_AGAIN));
            shard.due.push(Reverse((next, user)));
        }
    }
}

impl Rolls {
    fn shard(&self, user: &Principal) -> &Mutex<Shard> {
        let hash = FixedState::default().hash_one(user);
        &self.shards[usize::from(hash.to_be_bytes()[0]) % SHARDS]
    }

    /// The principals of one shard after the other. A cursor is the shard's number and a name.
    fn page(&self, after: Option<&UserCursor>) -> Result<UserPage, StoreError> {
        let unknown = || StoreError::with_source(StoreErrorKind::Corrupt, "a foreign cursor");
        let (number, name) = match after.map(|cursor| cursor.as_bytes().split_first()) {
            None => (0, None),
            Some(None) => return Err(unknown()),
            Some(Some((number, []))) => (*number, None),
            Some(Some((number, name))) => {
                let name = std::str::from_utf8(name).map_err(|_| unknown())?;
                (*number, Some(Principal::new(name).map_err(|_| unknown())?))
            }
        };
        let shard = self.shards.get(usize::from(number)).ok_or_else(unknown)?;
        let from = name.map_or(Bound::Unbounded, Bound::Excluded);
        let shard = shard.lock();
        let rest = shard.rolls.range((from, Bound::Unbounded));
        let users: Vec<_> = rest
            .map(|(user, _)| user.clone())
            .take(USERS_PER_PAGE)
            .collect();
        let next = match users.last() {
            Some(last) if users.len() == USERS_PER_PAGE => {
                Some([&[number], last.as_str().as_bytes()].concat())
            }
            _ => (usize::from(number) + 1 < SHARDS).then(|| vec![number + 1]),
        };
        Ok(UserPage {
            users,
            next: next.map(UserCursor::new),
        })
    }
}

/// What a roll takes out of the limit.
fn weight(user: &Principal, roll: &LoginRoll) -> usize {
    ROLL_BYTES + 2 * user.as_str().len() + ENTRY_BYTES * roll.entries.len()
}

const SHARDS: usize = 16;

/// As for sessions: twice what a call may add.
const COLLECTED_PER_CALL: usize = 2;

/// When to look again at a roll that is kept for a block alone.
const LOOK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60 * 60);

const DUES_NOT_WORTH_SWEEPING: usize = 64;

const USERS_PER_PAGE: usize = 100;

/// Map slot, heap entry and allocations of one principal, rounded up.
const ROLL_BYTES: usize = 320;

/// Name, state and time, and their share of a tree's node.
const ENTRY_BYTES: usize = 64;
