//! What an index decides: a principal's logins as a value, and the verbs as changes of it.

use std::collections::BTreeMap;

use super::{
    CONDEMNED_PER_CALL, Confirm, Confirmation, Ended, Ending, LoginCursor, LoginLimit, LoginPage,
    LoginSeen, RESERVED_FOR, Reservation, Reserve, Touch, UserStanding,
};
use crate::{Epoch, LoginName, Timestamp};

/// A principal's logins, and all that an index decides about them.
///
/// A store that can run Rust on what it holds, as in a transaction, changes a roll and writes it back; scripts do
/// the same in their own language. An entry that expires and one that was never there make no
/// difference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "stores write all of it")]
pub struct LoginRoll {
    /// The epoch of the principal's logins.
    pub epoch: Epoch,
    /// The tags of the last endings, the newest first, up to [`Self::MOST_ENDINGS`].
    pub endings: Vec<u64>,
    /// The epoch in which the principal was blocked, if they are.
    pub blocked_in: Option<Epoch>,
    /// The logins.
    pub entries: BTreeMap<LoginName, LoginEntry>,
    /// Until when a session may live that the roll concerns. It can be dropped then, unless the principal is
    /// blocked.
    pub kept_until: Timestamp,
}

/// A login in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "stores write all of it")]
pub struct LoginEntry {
    /// What is known of it.
    pub state: LoginState,
    /// Confirmed: the session's absolute end. Reserved or condemned: since when.
    pub time: Timestamp,
}

/// What is known of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has three states")]
pub enum LoginState {
    /// Its session was stored before it was entered.
    Confirmed,
    /// It is about to be made.
    Reserved,
    /// Its session is to be deleted, or has been.
    Condemned,
}

impl LoginRoll {
    /// See [`SessionIndex::reserve`](super::SessionIndex::reserve).
    pub fn reserve(&mut self, reservation: &Reservation, now: Timestamp) -> Reserve {
        if self.blocked_in.is_some() {
            return Reserve::Blocked;
        }
        if reservation.fence.is_some_and(|fence| fence != self.epoch) {
            return Reserve::Revoked;
        }
        if self.state(reservation.login) == Some(LoginState::Condemned) {
            return Reserve::Displaced;
        }
        self.drop_lapsed(now);
        for dead in &reservation.dead {
            self.drop_if(*dead, LoginState::Confirmed);
        }
        let mut condemned = match self.make_room(reservation, now) {
            Ok(victims) => victims,
            Err(full) => return full,
        };
        if self.state(reservation.login).is_none() {
            self.enter(reservation.login, LoginState::Reserved, now);
        }
        self.keep_until(reservation.kept_until);
        let others = self.condemned(usize::MAX);
        let left_by_others = others.iter().filter(|login| !condemned.contains(login));
        let left_by_others: Vec<_> = left_by_others.take(CONDEMNED_PER_CALL).copied().collect();
        condemned.extend(left_by_others);
        Reserve::Admitted {
            epoch: self.epoch,
            condemned,
        }
    }

    /// Condemns as many logins as there are too many with the new one, or says that it is full.
    fn make_room(
        &mut self,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Result<Vec<LoginName>, Reserve> {
        let Some(LoginLimit { most, evicts }) = reservation.limit else {
            return Ok(Vec::new());
        };
        let is_counted = |login: &LoginName, entry: &LoginEntry| {
            entry.state != LoginState::Condemned
                && !login.stamp().is_acting()
                && *login != reservation.login
                && Some(*login) != reservation.replaces
        };
        let mut taken: Vec<_> = self
            .entries
            .iter()
            .filter(|(login, entry)| is_counted(login, entry))
            .map(|(login, entry)| (*entry, *login))
            .collect();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let Some(victims) = (taken.len() + 1).checked_sub(most).filter(|many| *many > 0) else {
            return Ok(Vec::new());
        };
        if !evicts {
            let told = most.saturating_add(CONDEMNED_PER_CALL);
            let logins = self.confirmed().into_iter().take(told);
            return Err(Reserve::Full(logins.map(|listed| listed.login).collect()));
        }
        taken.sort_unstable();
        let victims: Vec<_> = taken
            .iter()
            .take(victims)
            .map(|(_, login)| *login)
            .collect();
        for victim in &victims {
            self.enter(*victim, LoginState::Condemned, now);
        }
        Ok(victims)
    }

    /// See [`SessionIndex::confirm`](super::SessionIndex::confirm).
    pub fn confirm(&mut self, confirmation: &Confirmation) -> Confirm {
        let Confirmation {
            login,
            replaces,
            epoch,
            ends_at,
        } = *confirmation;
        let state = self.state(login);
        if state == Some(LoginState::Confirmed) {
            return Confirm::Confirmed;
        }
        if self.epoch != epoch {
            self.drop_if(login, LoginState::Reserved);
            return Confirm::Revoked;
        }
        if state != Some(LoginState::Reserved) {
            return Confirm::Displaced;
        }
        self.enter(login, LoginState::Confirmed, ends_at);
        if let Some(replaced) = replaces.filter(|replaced| *replaced != login) {
            self.drop_if(replaced, LoginState::Confirmed);
        }
        self.keep_until(ends_at);
        Confirm::Confirmed
    }

    /// See [`SessionIndex::end`](super::SessionIndex::end).
    pub fn end(&mut self, ending: &Ending, now: Timestamp) -> Ended {
        if !self.endings.contains(&ending.tag) {
            self.epoch = self.epoch.next(now);
            self.endings.insert(0, ending.tag);
            self.endings.truncate(Self::MOST_ENDINGS);
            if ending.blocks {
                self.blocked_in = Some(self.epoch);
            }
            for (login, entry) in &mut self.entries {
                if entry.state != LoginState::Condemned && Some(*login) != ending.spares {
                    *entry = LoginEntry {
                        state: LoginState::Condemned,
                        time: now,
                    };
                }
            }
        }
        self.keep_until(ending.kept_until);
        Ended {
            epoch: self.epoch,
            condemned: self.condemned(CONDEMNED_PER_CALL),
        }
    }

    /// See [`SessionIndex::condemn`](super::SessionIndex::condemn).
    pub fn condemn(&mut self, login: LoginName, now: Timestamp) -> bool {
        match self.state(login) {
            Some(LoginState::Confirmed | LoginState::Reserved) => {
                self.enter(login, LoginState::Condemned, now);
                true
            }
            Some(LoginState::Condemned) => true,
            None => false,
        }
    }

    /// See [`SessionIndex::settle`](super::SessionIndex::settle). Reservations stay: what they name may not
    /// be stored yet.
    pub fn settle(&mut self, logins: &[LoginName]) {
        for login in logins {
            self.drop_if(*login, LoginState::Confirmed);
            self.drop_if(*login, LoginState::Condemned);
        }
    }

    /// See [`SessionIndex::touch`](super::SessionIndex::touch).
    pub fn touch(&mut self, seen: &LoginSeen) -> Touch {
        match self.state(seen.login) {
            Some(LoginState::Confirmed | LoginState::Reserved) => Touch::Known,
            Some(LoginState::Condemned) => Touch::Ended,
            None if self.epoch > seen.epoch => Touch::Ended,
            None => {
                self.epoch = seen.epoch;
                self.enter(seen.login, LoginState::Confirmed, seen.ends_at);
                self.keep_until(seen.ends_at);
                Touch::Entered
            }
        }
    }

    /// See [`SessionIndex::standing`](super::SessionIndex::standing).
    #[must_use]
    pub const fn standing(&self) -> UserStanding {
        UserStanding {
            epoch: self.epoch,
            blocked_in: self.blocked_in,
        }
    }

    /// See [`SessionIndex::unblock`](super::SessionIndex::unblock).
    pub fn unblock(&mut self, blocked_in: Epoch) {
        if self.blocked_in == Some(blocked_in) {
            self.blocked_in = None;
        }
    }

    /// See [`SessionIndex::logins`](super::SessionIndex::logins).
    #[must_use]
    pub fn logins(&self, after: Option<LoginCursor>, most: usize) -> LoginPage {
        let listed = self.confirmed().into_iter();
        LoginPage {
            logins: listed
                .filter(|login| after.is_none_or(|after| *login > after))
                .take(most)
                .collect(),
            condemned: self.condemned(CONDEMNED_PER_CALL),
        }
    }

    /// Whether it says no more than one that is not there.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.entries.is_empty() && self.epoch == Epoch::default() && self.blocked_in.is_none()
    }

    /// Whether nothing is lost any more by dropping it.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.blocked_in.is_none() && self.kept_until <= now
    }

    /// The confirmed logins in order.
    fn confirmed(&self) -> Vec<LoginCursor> {
        let mut logins: Vec<_> = self
            .of_state(LoginState::Confirmed)
            .map(|(login, ends_at)| LoginCursor { ends_at, login })
            .collect();
        logins.sort_unstable();
        logins
    }

    /// Those that have been condemned for the longest time.
    fn condemned(&self, most: usize) -> Vec<LoginName> {
        let mut logins: Vec<_> = self
            .of_state(LoginState::Condemned)
            .map(|(login, since)| (since, login))
            .collect();
        logins.sort_unstable();
        logins
            .into_iter()
            .take(most)
            .map(|(_, login)| login)
            .collect()
    }

    fn of_state(&self, state: LoginState) -> impl Iterator<Item = (LoginName, Timestamp)> {
        self.entries
            .iter()
            .filter(move |(_, entry)| entry.state == state)
            .map(|(login, entry)| (*login, entry.time))
    }

    fn state(&self, login: LoginName) -> Option<LoginState> {
        self.entries.get(&login).map(|entry| entry.state)
    }

    fn enter(&mut self, login: LoginName, state: LoginState, time: Timestamp) {
        self.entries.insert(login, LoginEntry { state, time });
    }

    fn drop_if(&mut self, login: LoginName, state: LoginState) {
        if self.state(login) == Some(state) {
            self.entries.remove(&login);
        }
    }

    /// Drops logins whose sessions have ended by now, and reservations that nobody has confirmed.
    fn drop_lapsed(&mut self, now: Timestamp) {
        self.entries.retain(|_, entry| match entry.state {
            LoginState::Confirmed => entry.time > now,
            LoginState::Reserved => entry.time.after(RESERVED_FOR) > now,
            LoginState::Condemned => true,
        });
    }

    fn keep_until(&mut self, time: Timestamp) {
        self.kept_until = self.kept_until.max(time);
    }

    /// How many endings are remembered, so that one that arrives late does not end the logins after it.
    pub const MOST_ENDINGS: usize = 8;
}
