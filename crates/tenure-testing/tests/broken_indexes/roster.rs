//! A small login index that can be broken in one way at a time.

use std::collections::{BTreeMap, HashMap};

use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Confirm, Confirmation, Create, Delete, Ended, Ending, Epoch, Freshness, Load,
    LoginCursor, LoginEntry, LoginName, LoginPage, LoginRoll, LoginSeen, LoginStamp, LoginState,
    MemoryStore, Principal, Record, Renewal, Reservation, Reserve, SessionId, SessionIndex,
    SessionStore, StoreError, Timestamp, Touch, UserCursor, UserPage, UserStanding, Version, Whose,
};
use tenure_testing::ManualClock;
use tokio::task::yield_now;

/// Fulfils the contract, unless it has a bug.
///
/// A bug asks the right decision something wrong, or spoils what it has left.
#[derive(Debug)]
pub(crate) struct Roster {
    clock: ManualClock,
    bug: Option<Bug>,
    sessions: MemoryStore,
    rolls: Mutex<HashMap<String, (Principal, LoginRoll)>>,
    gate: Mutex<Epoch>,
}

/// Mistakes that an index can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    ActingCount,
    BlankRollsStay,
    BlockedAreAdmitted,
    BlocksEndWithTheNextEnding,
    BlocksLapse,
    CondemnedAreForgotten,
    CondemnedAreListed,
    CondemnedAreLost,
    CondemnedCount,
    CondemnsAnything,
    CondemnsBySession,
    CondemnTellsNothing,
    ConfirmAcceptsAnything,
    ConfirmForgetsRetries,
    ConfirmIgnoresEpochs,
    ConfirmKeepsRevoked,
    ConfirmKeepsReplaced,
    ConfirmReplacesAnything,
    ConfirmReplacesBySession,
    DeadIncludeReserved,
    DeadStay,
    EndedIsToldAll,
    EndingsAreNotTagged,
    EndingsRememberOneTag,
    EndingSparesAll,
    EndingSparesNobody,
    EndingSparesReserved,
    EndingsOfNobodyDoNothing,
    EndsAtRounded,
    EndsOverflow,
    EpochsAreCounted,
    EpochsFollowTheClock,
    EvictedAreLost,
    EvictsOneOnly,
    EvictsReservedFirst,
    EvictsTheNewest,
    FencesAreIgnored,
    FencesNeverAdmit,
    FullTellsReserved,
    FullTellsAll,
    GateCanFall,
    GateForgets,
    KeepsNoLongerThanFirstAsked,
    KeepsOnlyWhatWasAskedLast,
    LapsedCount,
    LimitCountsReplaced,
    LimitCountsTheMissing,
    LimitCountsTwice,
    LimitIgnoresReserved,
    LimitIsForgotten,
    ListsDropEqualEnds,
    ListsStopAtTheGone,
    ListsAreUnordered,
    NamesAreAscii,
    PrincipalsMeet,
    ReadsThenWrites,
    RefusedAreReserved,
    RepeatsTellNothing,
    ReservationTellsVictimsOnly,
    ReservedAreLogins,
    ReservedLapseEarly,
    ReservedNeverLapse,
    ReservesTheCondemned,
    ReservesTheConfirmedAnew,
    SettlesBySession,
    SettlesCondemnedOnly,
    SettlesReserved,
    SpareFailsToEnd,
    TouchEntersTheReserved,
    TouchForgetsTheEpoch,
    TouchIgnoresEpochs,
    TouchLowersEpochs,
    TouchOnlyLooks,
    TouchRevives,
    UnblockComparesNothing,
    UnblockDoesNothing,
    UsersFillOnePage,
    UsersMissReserved,
    WritesInTwoSteps,
}

impl Roster {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        let clock = ManualClock::new();
        Self {
            bug,
            sessions: MemoryStore::builder().clock(clock.clone()).build(),
            rolls: Mutex::default(),
            gate: Mutex::default(),
            clock,
        }
    }

    pub(crate) const fn clock(&self) -> &ManualClock {
        &self.clock
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn key(&self, user: &Principal) -> String {
        if self.has(Bug::PrincipalsMeet) {
            return user.as_str().chars().take(5).collect();
        }
        user.as_str().to_owned()
    }

    /// One verb on a principal's roll: one step, unless broken.
    async fn change<T>(
        &self,
        user: &Principal,
        decide: impl Fn(&mut LoginRoll, Timestamp) -> T,
    ) -> T {
        let now = self.clock.now();
        let mut roll = self.read(user, now);
        if self.has(Bug::ReadsThenWrites) {
            yield_now().await;
        } else if self.has(Bug::WritesInTwoSteps) {
            let mut half = roll.clone();
            decide(&mut half, now);
            half.entries = half
                .entries
                .into_iter()
                .filter(|(login, entry)| roll.entries.get(login) == Some(entry))
                .skip(1)
                .collect();
            self.write(user, half);
            yield_now().await;
        } else {
            let mut rolls = self.rolls.lock();
            let mut roll = self.present(&rolls, user, now);
            let outcome = self.decided(&mut roll, now, &decide);
            self.put(&mut rolls, user, roll);
            return outcome;
        }
        let outcome = self.decided(&mut roll, now, &decide);
        self.write(user, roll);
        outcome
    }

    fn decided<T>(
        &self,
        roll: &mut LoginRoll,
        now: Timestamp,
        decide: &impl Fn(&mut LoginRoll, Timestamp) -> T,
    ) -> T {
        let before = roll.clone();
        let outcome = decide(roll, now);
        self.spoil_whatever_was_done(roll, &before);
        outcome
    }

    fn read(&self, user: &Principal, now: Timestamp) -> LoginRoll {
        self.present(&self.rolls.lock(), user, now)
    }

    fn present(
        &self,
        rolls: &HashMap<String, (Principal, LoginRoll)>,
        user: &Principal,
        now: Timestamp,
    ) -> LoginRoll {
        let kept = rolls.get(&self.key(user)).map(|(_, roll)| roll);
        let is_over = |roll: &LoginRoll| match self.bug {
            Some(Bug::BlocksLapse) => roll.kept_until <= now,
            _ => roll.is_over(now),
        };
        kept.filter(|roll| !is_over(roll))
            .cloned()
            .unwrap_or_default()
    }

    fn write(&self, user: &Principal, roll: LoginRoll) {
        self.put(&mut self.rolls.lock(), user, roll);
    }

    fn put(
        &self,
        rolls: &mut HashMap<String, (Principal, LoginRoll)>,
        user: &Principal,
        roll: LoginRoll,
    ) {
        if roll.is_blank() && !self.has(Bug::BlankRollsStay) {
            rolls.remove(&self.key(user));
        } else {
            rolls.insert(self.key(user), (user.clone(), roll));
        }
    }

    /// Mistakes that are the same in every verb.
    fn spoil_whatever_was_done(&self, roll: &mut LoginRoll, before: &LoginRoll) {
        match self.bug {
            Some(Bug::ReservedAreLogins) => {
                for entry in of_state(roll, LoginState::Reserved) {
                    entry.state = LoginState::Confirmed;
                    entry.time = FAR;
                }
            }
            Some(Bug::KeepsNoLongerThanFirstAsked) if before.kept_until > Timestamp::default() => {
                roll.kept_until = before.kept_until;
            }
            Some(Bug::EpochsAreCounted) if roll.epoch > before.epoch => {
                roll.epoch = Epoch::from_u64(before.epoch.as_u64() + 1);
            }
            Some(Bug::EpochsFollowTheClock) if roll.epoch > before.epoch => {
                roll.epoch = Epoch::from_u64(self.clock.now().as_millis());
            }
            Some(Bug::EndsAtRounded) => {
                for entry in of_state(roll, LoginState::Confirmed) {
                    entry.time =
                        Timestamp::from_millis(entry.time.as_millis() / 1_000_000 * 1_000_000);
                }
            }
            Some(Bug::EndsOverflow) => {
                for entry in of_state(roll, LoginState::Confirmed) {
                    entry.time = Timestamp::from_millis(entry.time.as_millis() & ((1 << 42) - 1));
                }
            }
            _ => {}
        }
    }

    fn reserved(&self, roll: &mut LoginRoll, asked: &Reservation, now: Timestamp) -> Reserve {
        let before = roll.clone();
        let mut asked = asked.clone();
        let mut at = now;
        self.ask_something_wrong(roll, &mut asked, &mut at);
        let mut outcome = roll.reserve(&asked, at);
        let is_admitted = matches!(outcome, Reserve::Admitted { .. });
        match self.bug {
            Some(Bug::BlockedAreAdmitted) => roll.blocked_in = before.blocked_in,
            Some(Bug::LimitIgnoresReserved | Bug::CondemnedCount) => {
                for (login, entry) in before.entries {
                    roll.entries.entry(login).or_insert(entry);
                }
            }
            Some(Bug::RefusedAreReserved) if matches!(outcome, Reserve::Full(_)) => {
                let _ = roll.reserve(&unlimited(&asked), now);
            }
            Some(Bug::FullTellsReserved | Bug::FullTellsAll) => {
                if let Reserve::Full(told) = &mut outcome {
                    let telling = |entry: &LoginEntry| match self.bug {
                        Some(Bug::FullTellsReserved) => entry.state != LoginState::Condemned,
                        _ => entry.state == LoginState::Confirmed,
                    };
                    let entries = roll.entries.iter();
                    let all = entries.filter(|(_, entry)| telling(entry));
                    *told = all.map(|(login, _)| *login).collect();
                }
            }
            Some(Bug::EvictedAreLost) => {
                let (old, new) = (&before.entries, &mut roll.entries);
                new.retain(|login, entry| {
                    entry.state != LoginState::Condemned || old.get(login) == Some(entry)
                });
            }
            Some(Bug::ReservationTellsVictimsOnly) => {
                if let Reserve::Admitted { condemned, .. } = &mut outcome {
                    condemned.retain(|login| {
                        before.entries.get(login).map(|entry| entry.state)
                            != Some(LoginState::Condemned)
                    });
                }
            }
            Some(Bug::EvictsOneOnly) => {
                if let Reserve::Admitted { condemned, .. } = &mut outcome {
                    for login in condemned.drain(condemned.len().min(1)..) {
                        roll.entries.insert(login, before.entries[&login]);
                    }
                }
            }
            Some(Bug::ReservesTheConfirmedAnew) if is_admitted => {
                enter(roll, asked.login, LoginState::Reserved, now);
            }
            Some(Bug::KeepsOnlyWhatWasAskedLast) => roll.kept_until = asked.kept_until,
            _ => {}
        }
        outcome
    }

    fn ask_something_wrong(
        &self,
        roll: &mut LoginRoll,
        asked: &mut Reservation,
        at: &mut Timestamp,
    ) {
        let replaced = asked.replaces.and_then(|login| roll.entries.get(&login));
        let is_missing = asked.replaces.is_some() && replaced.is_none();
        match self.bug {
            Some(Bug::ActingCount) => {
                let acting = roll.entries.iter().filter(|(login, entry)| {
                    login.stamp().is_acting() && entry.state != LoginState::Condemned
                });
                let many = u32::try_from(acting.count()).unwrap_or(u32::MAX);
                let limit = asked.limit.as_mut();
                limit
                    .into_iter()
                    .for_each(|limit| limit.most = limit.most.saturating_sub(many));
            }
            Some(Bug::BlockedAreAdmitted) => roll.blocked_in = None,
            Some(Bug::FencesAreIgnored) => asked.fence = None,
            Some(Bug::FencesNeverAdmit) if asked.fence.is_some() => {
                asked.fence = Some(Epoch::from_u64(roll.epoch.as_u64() + 1));
            }
            Some(Bug::LimitIsForgotten) => asked.limit = None,
            Some(Bug::LimitCountsReplaced) => asked.replaces = None,
            Some(Bug::LimitCountsTheMissing) if is_missing => {
                let limit = asked.limit.as_mut();
                limit.into_iter().for_each(|limit| limit.most += 1);
            }
            Some(Bug::LimitCountsTwice) => {
                // What is there already looks like another login.
                if let Some(entry) = roll.entries.remove(&asked.login) {
                    let stamp = LoginStamp::from_u64(asked.login.stamp().as_u64() ^ 2);
                    let other = LoginName::new(asked.login.session(), stamp);
                    roll.entries.insert(other, entry);
                }
            }
            Some(Bug::LimitIgnoresReserved) => {
                let own = asked.login;
                roll.entries
                    .retain(|login, entry| entry.state != LoginState::Reserved || *login == own);
            }
            Some(Bug::CondemnedCount) => {
                for entry in of_state(roll, LoginState::Condemned) {
                    entry.state = LoginState::Confirmed;
                    entry.time = FAR;
                }
            }
            Some(Bug::DeadIncludeReserved) => {
                for dead in &asked.dead {
                    roll.entries.remove(dead);
                }
            }
            Some(Bug::DeadStay) => asked.dead.clear(),
            Some(Bug::EvictsReservedFirst) if asked.limit.is_some_and(|limit| limit.evicts) => {
                for entry in of_state(roll, LoginState::Reserved) {
                    entry.state = LoginState::Confirmed;
                    entry.time = Timestamp::from_millis(at.as_millis() + 1);
                }
            }
            Some(Bug::EvictsTheNewest) if asked.limit.is_some_and(|limit| limit.evicts) => {
                for entry in of_state(roll, LoginState::Confirmed) {
                    entry.time = Timestamp::from_millis(FAR.as_millis() - entry.time.as_millis());
                }
            }
            Some(Bug::LapsedCount) => {
                for entry in of_state(roll, LoginState::Confirmed) {
                    entry.time = entry.time.max(FAR);
                }
            }
            Some(Bug::ReservedLapseEarly) => {
                for entry in of_state(roll, LoginState::Reserved) {
                    entry.time = Timestamp::from_millis(entry.time.as_millis() - 5000);
                }
            }
            Some(Bug::ReservedNeverLapse) => {
                for entry in of_state(roll, LoginState::Reserved) {
                    entry.time = *at;
                }
            }
            Some(Bug::ReservesTheCondemned) => {
                roll.entries.retain(|login, entry| {
                    *login != asked.login || entry.state != LoginState::Condemned
                });
            }
            _ => {}
        }
    }

    fn confirmed(&self, roll: &mut LoginRoll, asked: &Confirmation, now: Timestamp) -> Confirm {
        let before = roll.clone();
        let state = roll.entries.get(&asked.login).map(|entry| entry.state);
        let is_confirmed = state == Some(LoginState::Confirmed);
        match self.bug {
            Some(Bug::ConfirmAcceptsAnything) if !is_confirmed => {
                enter(roll, asked.login, LoginState::Reserved, now);
                roll.epoch = asked.epoch;
            }
            Some(Bug::ConfirmForgetsRetries) if is_confirmed => return Confirm::Displaced,
            _ => {}
        }
        let asked = Confirmation {
            epoch: match self.bug {
                Some(Bug::ConfirmIgnoresEpochs) => roll.epoch,
                _ => asked.epoch,
            },
            ..*asked
        };
        let outcome = roll.confirm(&asked);
        match (self.bug, asked.replaces) {
            (Some(Bug::ConfirmAcceptsAnything), _) => roll.epoch = before.epoch,
            (Some(Bug::ConfirmKeepsReplaced), Some(old)) => {
                roll.entries
                    .extend(before.entries.get(&old).map(|at| (old, *at)));
            }
            (Some(Bug::ConfirmReplacesAnything), Some(old)) => {
                roll.entries.remove(&old);
            }
            (Some(Bug::ConfirmReplacesBySession), Some(old)) => {
                drop_session(roll, old, LoginState::Confirmed);
            }
            (Some(Bug::ConfirmKeepsRevoked), _) if outcome == Confirm::Revoked => {
                roll.entries = before.entries;
            }
            (Some(Bug::KeepsOnlyWhatWasAskedLast), _) => roll.kept_until = asked.ends_at,
            _ => {}
        }
        outcome
    }

    fn ended(&self, roll: &mut LoginRoll, ending: &Ending, now: Timestamp) -> Ended {
        let before = roll.clone();
        let mut ending = *ending;
        match self.bug {
            Some(Bug::EndingsAreNotTagged) => roll.endings.clear(),
            Some(Bug::EndingsRememberOneTag) => roll.endings.truncate(1),
            Some(Bug::EndingSparesNobody) => ending.spares = None,
            Some(Bug::SpareFailsToEnd) if ending.spares.is_none() => {}
            Some(Bug::EndingsOfNobodyDoNothing) if !roll.entries.is_empty() => {}
            Some(Bug::SpareFailsToEnd | Bug::EndingsOfNobodyDoNothing) => {
                return Ended {
                    epoch: roll.epoch,
                    condemned: Vec::new(),
                };
            }
            _ => {}
        }
        let mut ended = roll.end(&ending, now);
        let has_begun = roll.epoch > before.epoch;
        let spares = |login: &LoginName| match (self.bug, ending.spares) {
            (Some(Bug::EndingSparesReserved), _) => {
                before.entries.get(login).map(|entry| entry.state) == Some(LoginState::Reserved)
            }
            (Some(Bug::EndingSparesAll), Some(spared)) => login.session() == spared.session(),
            _ => false,
        };
        let spared = before.entries.iter().filter(|(login, _)| spares(login));
        roll.entries
            .extend(spared.map(|(login, entry)| (*login, *entry)));
        ended.condemned.retain(|login| !spares(login));
        match self.bug {
            Some(Bug::BlocksEndWithTheNextEnding) if has_begun && !ending.blocks => {
                roll.blocked_in = None;
            }
            Some(Bug::CondemnedAreLost) => {
                roll.entries
                    .retain(|_, entry| entry.state != LoginState::Condemned);
            }
            Some(Bug::EndedIsToldAll) => {
                let all = roll.entries.iter();
                let all = all.filter(|(_, entry)| entry.state == LoginState::Condemned);
                ended.condemned = all.map(|(login, _)| *login).collect();
            }
            Some(Bug::RepeatsTellNothing) if !has_begun => ended.condemned.clear(),
            Some(Bug::KeepsOnlyWhatWasAskedLast) => roll.kept_until = ending.kept_until,
            _ => {}
        }
        if self.has(Bug::EpochsAreCounted) && has_begun {
            ended.epoch = Epoch::from_u64(before.epoch.as_u64() + 1);
        } else if self.has(Bug::EpochsFollowTheClock) && has_begun {
            ended.epoch = Epoch::from_u64(now.as_millis());
        }
        ended
    }

    fn condemned(&self, roll: &mut LoginRoll, login: LoginName, now: Timestamp) -> bool {
        if self.has(Bug::CondemnsBySession) {
            let all: Vec<_> = roll.entries.keys().copied().collect();
            for other in all {
                if other.session() == login.session() {
                    roll.condemn(other, now);
                }
            }
        }
        let is_condemned = roll.condemn(login, now);
        match self.bug {
            Some(Bug::CondemnedAreLost) => {
                roll.entries.remove(&login);
            }
            Some(Bug::CondemnsAnything) => {
                enter(roll, login, LoginState::Condemned, now);
                return true;
            }
            Some(Bug::CondemnTellsNothing) => return true,
            _ => {}
        }
        is_condemned
    }

    fn touched(&self, roll: &mut LoginRoll, seen: &LoginSeen) -> Touch {
        let before = roll.clone();
        match self.bug {
            Some(Bug::TouchIgnoresEpochs) => roll.epoch = roll.epoch.min(seen.epoch),
            Some(Bug::TouchEntersTheReserved) => roll
                .entries
                .retain(|login, entry| *login != seen.login || entry.state != LoginState::Reserved),
            Some(Bug::TouchRevives) => roll.entries.retain(|login, entry| {
                *login != seen.login || entry.state != LoginState::Condemned
            }),
            _ => {}
        }
        let touch = roll.touch(seen);
        match self.bug {
            Some(Bug::TouchIgnoresEpochs) => roll.epoch = roll.epoch.max(before.epoch),
            Some(Bug::TouchForgetsTheEpoch) => roll.epoch = before.epoch,
            Some(Bug::TouchLowersEpochs) => roll.epoch = seen.epoch,
            Some(Bug::TouchOnlyLooks) => *roll = before,
            Some(Bug::KeepsOnlyWhatWasAskedLast) if touch == Touch::Entered => {
                roll.kept_until = seen.ends_at;
            }
            _ => {}
        }
        touch
    }

    fn settled(&self, roll: &mut LoginRoll, logins: &[LoginName]) {
        for login in logins {
            match self.bug {
                Some(Bug::SettlesBySession) => {
                    drop_session(roll, *login, LoginState::Confirmed);
                    drop_session(roll, *login, LoginState::Condemned);
                }
                Some(Bug::SettlesReserved) => {
                    roll.entries.remove(login);
                }
                _ => {}
            }
        }
        let confirmed = roll.clone().entries.into_iter();
        let confirmed = confirmed.filter(|(_, entry)| entry.state == LoginState::Confirmed);
        roll.settle(logins);
        if self.has(Bug::SettlesCondemnedOnly) {
            roll.entries.extend(confirmed);
        }
    }

    fn listed(&self, roll: &LoginRoll, after: Option<LoginCursor>, most: usize) -> LoginPage {
        let mut roll = roll.clone();
        let mut after = after;
        match (self.bug, after) {
            (Some(Bug::CondemnedAreListed), _) => {
                for entry in of_state(&mut roll, LoginState::Condemned) {
                    entry.state = LoginState::Confirmed;
                }
            }
            (Some(Bug::ListsDropEqualEnds), Some(cursor)) => {
                roll.entries.retain(|_, entry| {
                    entry.state != LoginState::Confirmed || entry.time > cursor.ends_at
                });
            }
            (Some(Bug::ListsStopAtTheGone), Some(cursor))
                if !roll.entries.contains_key(&cursor.login) =>
            {
                return LoginPage::default();
            }
            (Some(Bug::ListsAreUnordered), _) => {
                let start = after.map(|cursor| cursor.login);
                after = None;
                let from = |login: &LoginName| start.is_none_or(|start| *login > start);
                let entries = roll
                    .entries
                    .iter()
                    .filter(|(login, entry)| entry.state == LoginState::Confirmed && from(login));
                let logins = entries.take(most).map(|(login, entry)| LoginCursor {
                    login: *login,
                    ends_at: entry.time,
                });
                let condemned = roll.logins(after, 0).condemned;
                return LoginPage {
                    logins: logins.collect(),
                    condemned,
                };
            }
            _ => {}
        }
        let mut page = roll.logins(after, most);
        if self.has(Bug::CondemnedAreForgotten) {
            page.condemned.clear();
        }
        page
    }
}

impl SessionIndex for Roster {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        Ok(self
            .change(user, |roll, now| self.reserved(roll, &reservation, now))
            .await)
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        Ok(self
            .change(user, |roll, now| self.confirmed(roll, &confirmation, now))
            .await)
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        Ok(self
            .change(user, |roll, now| self.ended(roll, &ending, now))
            .await)
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        Ok(self
            .change(user, |roll, now| self.condemned(roll, login, now))
            .await)
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        self.change(user, |roll, _| self.settled(roll, &logins))
            .await;
        Ok(())
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        Ok(self.change(user, |roll, _| self.touched(roll, &seen)).await)
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        Ok(self.read(user, self.clock.now()).standing())
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        self.change(user, |roll, _| match self.bug {
            Some(Bug::UnblockComparesNothing) => roll.blocked_in = None,
            Some(Bug::UnblockDoesNothing) => {}
            _ => roll.unblock(blocked_in),
        })
        .await;
        Ok(())
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        let roll = self.read(user, self.clock.now());
        Ok(self.listed(&roll, after, most))
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        let rolls = self.rolls.lock();
        let is_missed = |roll: &LoginRoll| {
            let mut entries = roll.entries.values();
            self.has(Bug::UsersMissReserved)
                && entries.all(|entry| entry.state == LoginState::Reserved)
        };
        let sorted: BTreeMap<_, _> = rolls
            .values()
            .filter(|(_, roll)| !is_missed(roll))
            .map(|(user, _)| (user.as_str(), user))
            .collect();
        let after = after.map(|cursor| cursor.as_bytes().to_vec());
        let behind = |name: &str| {
            after
                .as_ref()
                .is_none_or(|after| name.as_bytes() > &after[..])
        };
        let rest = sorted.iter().filter(|(name, _)| behind(name));
        let mut users: Vec<_> = rest.map(|(_, user)| Principal::clone(user)).collect();
        let next = (users.len() > USERS_PER_PAGE).then(|| {
            users.truncate(USERS_PER_PAGE);
            UserCursor::new(users[USERS_PER_PAGE - 1].as_str().as_bytes().to_vec())
        });
        if self.has(Bug::NamesAreAscii) {
            let ascii = |user: &Principal| user.as_str().replace(|c: char| !c.is_ascii(), "?");
            users = users
                .iter()
                .filter_map(|user| Principal::new(ascii(user)).ok())
                .collect();
        }
        let next = next.filter(|_| !self.has(Bug::UsersFillOnePage));
        Ok(UserPage { users, next })
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        if self.has(Bug::GateForgets) {
            return Ok(Epoch::default());
        }
        Ok(*self.gate.lock())
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        let seen = *self.gate.lock();
        if self.has(Bug::ReadsThenWrites) {
            yield_now().await;
            *self.gate.lock() = seen.max(to);
            return Ok(seen.max(to));
        }
        let mut gate = self.gate.lock();
        *gate = match self.bug {
            Some(Bug::GateCanFall) => to,
            _ => gate.max(to),
        };
        Ok(*gate)
    }
}

impl SessionStore for Roster {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        self.sessions.load(id, freshness).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.sessions.create(record).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.sessions.commit(expected, record).await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.sessions.renew(id, whose, lease_end).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.sessions.delete(id, whose).await
    }
}

fn of_state(roll: &mut LoginRoll, state: LoginState) -> impl Iterator<Item = &mut LoginEntry> {
    let entries = roll.entries.values_mut();
    entries.filter(move |entry| entry.state == state)
}

fn enter(roll: &mut LoginRoll, login: LoginName, state: LoginState, time: Timestamp) {
    roll.entries.insert(login, LoginEntry { state, time });
}

fn drop_session(roll: &mut LoginRoll, login: LoginName, state: LoginState) {
    roll.entries
        .retain(|other, entry| other.session() != login.session() || entry.state != state);
}

fn unlimited(asked: &Reservation) -> Reservation {
    Reservation {
        limit: None,
        ..asked.clone()
    }
}

const USERS_PER_PAGE: usize = 64;

/// Later than any session ends.
const FAR: Timestamp = Timestamp::from_millis(253_402_300_800_000);
