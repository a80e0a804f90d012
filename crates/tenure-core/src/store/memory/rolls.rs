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

/// What a verb needs of the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    /// Room for an entry.
    Entry,
    /// Nothing, but for the roll of a principal who had none.
    None,
}

impl SessionIndex for MemoryStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        self.shared.change_roll(user, Growth::Entry, |roll, now| {
            roll.reserve(&reservation, now)
        })
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        self.shared
            .change_roll(user, Growth::None, |roll, _| roll.confirm(&confirmation))
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        self.shared
            .change_roll(user, Growth::None, |roll, now| roll.end(&ending, now))
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        self.shared
            .change_roll(user, Growth::None, |roll, now| roll.condemn(login, now))
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        self.shared
            .change_roll(user, Growth::None, |roll, _| roll.settle(&logins))
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        self.shared
            .change_roll(user, Growth::Entry, |roll, _| roll.touch(&seen))
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        Ok(self.shared.read_roll(user, LoginRoll::standing))
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        self.shared
            .change_roll(user, Growth::None, |roll, _| roll.unblock(blocked_in))
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
        let now = self.clock.now();
        // One that is over is as good as collected.
        let roll = shard.rolls.get(user).filter(|roll| !roll.is_over(now));
        roll.map(read).unwrap_or_default()
    }

    /// One verb on a principal's roll. None makes it grow by more than one entry, and most by none: those that end
    /// something are never refused for want of room, lest whoever fills the store keeps others logged in.
    fn change_roll<T>(
        &self,
        user: &Principal,
        growth: Growth,
        change: impl FnOnce(&mut LoginRoll, Timestamp) -> T,
    ) -> Result<T, StoreError> {
        let mut shard = self.rolls.shard(user).lock();
        let now = self.clock.now();
        self.collect_rolls(&mut shard, now, COLLECTED_PER_CALL);
        let before = shard.rolls.get(user).map_or(0, |roll| weight(user, roll));
        let most = match before {
            0 => weight(user, &LoginRoll::default()) + ENTRY_BYTES,
            before => before + ENTRY_BYTES,
        };
        match growth {
            Growth::Entry => self.reserve_for_roll(&mut shard, now, most - before)?,
            Growth::None => self.take_over(most - before),
        }
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

    fn reserve_for_roll(
        &self,
        held: &mut Shard,
        now: Timestamp,
        bytes: usize,
    ) -> Result<(), StoreError> {
        if self.try_reserve(bytes) {
            return Ok(());
        }
        self.collect_rolls(held, now, usize::MAX);
        self.collect_other_rolls(now);
        // Whoever holds a shard of sessions never waits for one of rolls.
        for shard in &self.shards {
            self.collect(&mut shard.lock(), now, usize::MAX);
        }
        if self.try_reserve(bytes) {
            return Ok(());
        }
        Err(StoreError::new(StoreErrorKind::Full))
    }

    /// Drops all rolls that are over, for a store that is full. The caller may hold one of the shards, so they are
    /// only tried.
    pub(super) fn collect_other_rolls(&self, now: Timestamp) {
        for mut other in self.rolls.shards.iter().filter_map(Mutex::try_lock) {
            self.collect_rolls(&mut other, now, usize::MAX);
        }
    }

    /// Takes bytes out of the limit, and beyond it if need be.
    fn take_over(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Looks at the rolls that are due first.
    fn collect_rolls(&self, shard: &mut Shard, now: Timestamp, most: usize) {
        let is_due = |due: &Reverse<(Timestamp, Principal)>| due.0.0 <= now;
        for _ in 0..most {
            if !shard.due.peek().is_some_and(is_due) {
                return;
            }
            let Some(Reverse((_, user))) = shard.due.pop() else {
                return;
            };
            let Some(roll) = shard.rolls.get(&user) else {
                continue;
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{Clock, LoginStamp, SessionId};

    #[derive(Clone, Debug, Default)]
    struct SetClock(Arc<AtomicU64>);

    impl SetClock {
        fn advance(&self, span: Duration) {
            let now = self.now().after(span);
            self.0.store(now.as_millis(), Ordering::Relaxed);
        }
    }

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn user(number: u32) -> Principal {
        Principal::new(format!("user-{number}")).unwrap()
    }

    fn login(number: u32) -> LoginName {
        let id = u128::from(number).to_be_bytes();
        LoginName::new(SessionId::from_bytes(id), LoginStamp::from_u64(2))
    }

    fn asked(number: u32, kept_until: Timestamp) -> Reservation {
        Reservation {
            login: login(number),
            replaces: None,
            limit: None,
            fence: None,
            dead: Vec::new(),
            kept_until,
        }
    }

    async fn log_in(store: &MemoryStore, user: &Principal, number: u32) {
        let ends_at = store.shared.clock.now().after(HOUR);
        let _ = store.reserve(user, asked(number, ends_at)).await.unwrap();
        let confirmation = Confirmation {
            login: login(number),
            replaces: None,
            epoch: Epoch::default(),
            ends_at,
        };
        let outcome = store.confirm(user, confirmation).await.unwrap();
        assert_eq!(outcome, Confirm::Confirmed);
    }

    fn dues(store: &MemoryStore) -> usize {
        let shards = store.shared.rolls.shards.iter();
        shards.map(|shard| shard.lock().due.len()).sum()
    }

    #[tokio::test]
    async fn logins_that_come_and_go_leave_nothing_behind() {
        let store = MemoryStore::new();
        for number in 0..10_000 {
            let user = user(number);
            log_in(&store, &user, number).await;
            store.settle(&user, vec![login(number)]).await.unwrap();
        }
        assert_eq!(store.bytes(), 0);
        assert!(dues(&store) <= SHARDS * (DUES_NOT_WORTH_SWEEPING + 1));
        // Of one user, too.
        let one = user(0);
        for number in 0..10_000 {
            log_in(&store, &one, number).await;
            store.settle(&one, vec![login(number)]).await.unwrap();
        }
        assert_eq!(store.bytes(), 0);
        assert!(dues(&store) <= SHARDS * (DUES_NOT_WORTH_SWEEPING + 1));
    }

    #[tokio::test]
    async fn what_is_over_is_collected_by_the_calls_that_come_later() {
        let clock = SetClock::default();
        let store = MemoryStore::builder().clock(clock.clone()).build();
        for number in 0..1000 {
            log_in(&store, &user(number), number).await;
        }
        let full = store.bytes();
        clock.advance(HOUR);
        for number in 1000..2000 {
            log_in(&store, &user(number), number).await;
        }
        assert!(store.bytes() <= full + full / 10, "{}", store.bytes());
        // A block is kept, however often it is looked at.
        let blocked = user(1000);
        let ending = Ending {
            tag: 1,
            spares: None,
            blocks: true,
            kept_until: clock.now().after(HOUR),
        };
        let epoch = store.end(&blocked, ending).await.unwrap().epoch;
        for _ in 0..5 {
            clock.advance(2 * HOUR);
            for number in 2000..2200 {
                log_in(&store, &user(number), number).await;
            }
        }
        let standing = store.standing(&blocked).await.unwrap();
        assert_eq!(standing.blocked_in, Some(epoch));
        store.unblock(&blocked, epoch).await.unwrap();
        clock.advance(2 * HOUR);
        for number in 2200..2600 {
            log_in(&store, &user(number), number).await;
        }
        let standing = store.standing(&blocked).await.unwrap();
        assert_eq!(standing, UserStanding::default(), "unblocked, it is over");
    }

    #[tokio::test]
    async fn a_full_store_takes_no_login_and_changes_nothing() {
        let clock = SetClock::default();
        let builder = MemoryStore::builder().clock(clock.clone());
        let store = builder.max_bytes(5000).build();
        let mut number = 0;
        let until = clock.now().after(HOUR);
        let refused = loop {
            match store.reserve(&user(number), asked(number, until)).await {
                Ok(_) => number += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), StoreErrorKind::Full);
        assert!(number > 5, "{number}");
        let bytes = store.bytes();
        assert!(bytes <= 5000);
        let standing = store.standing(&user(number)).await.unwrap();
        assert_eq!(standing, UserStanding::default());
        let users = store.users(None).await.unwrap().users;
        assert!(!users.contains(&user(number)));
        // An ending of what is there needs no room that is not there.
        store.settle(&user(0), vec![login(0)]).await.unwrap();
        assert_eq!(store.bytes(), bytes);
        clock.advance(HOUR);
        let until = clock.now().after(HOUR);
        let outcome = store.reserve(&user(number), asked(number, until)).await;
        assert!(outcome.is_ok(), "what was over has made room: {outcome:?}");
        let left = store.bytes();
        assert!(left < bytes / 4, "all of it: {left}");
    }

    #[tokio::test]
    async fn principals_are_listed_completely_page_by_page() {
        let store = MemoryStore::new();
        let mut expected: Vec<_> = (0..4000).map(user).collect();
        for (number, user) in (0..).zip(&expected) {
            log_in(&store, user, number).await;
        }
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = store.users(after).await.unwrap();
            assert!(page.users.len() <= USERS_PER_PAGE);
            listed.extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        listed.sort_unstable();
        expected.sort_unstable();
        assert!(listed == expected, "{} of 4000", listed.len());
        for foreign in [&b""[..], &[200], &[0, 0xff]] {
            let cursor = UserCursor::new(foreign.to_vec());
            let error = store.users(Some(cursor)).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);
}
