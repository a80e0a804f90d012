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
        let left_by_others = self.condemned(CONDEMNED_PER_CALL);
        let mut condemned = match self.make_room(reservation, now) {
            Ok(victims) => victims,
            Err(full) => return full,
        };
        condemned.extend(left_by_others);
        if self.state(reservation.login).is_none() {
            self.enter(reservation.login, LoginState::Reserved, now);
        }
        self.keep_until(reservation.kept_until);
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
        if self.state(reservation.login).is_some() || reservation.login.stamp().is_acting() {
            // It has its place already, and may come late: others have come since. Or it takes none.
            return Ok(Vec::new());
        }
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
            // A place that the same login has given up for this one.
            self.drop_if(replaced, LoginState::Reserved);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{LoginStamp, SessionId};

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    /// Of few sessions, so that they meet.
    fn login(number: u8) -> LoginName {
        let session = SessionId::from_bytes([number % 3; 16]);
        LoginName::new(session, LoginStamp::from_u64(2 + 2 * u64::from(number)))
    }

    fn minutes(minutes: u64) -> Timestamp {
        NOW.after(Duration::from_secs(60 * minutes))
    }

    fn asked(number: u8, limit: Option<LoginLimit>) -> Reservation {
        Reservation {
            login: login(number),
            replaces: None,
            limit,
            fence: None,
            dead: Vec::new(),
            kept_until: minutes(1000),
        }
    }

    fn made(number: u8, epoch: Epoch) -> Confirmation {
        Confirmation {
            login: login(number),
            replaces: None,
            epoch,
            ends_at: minutes(100 + u64::from(number)),
        }
    }

    fn ending(tag: u64) -> Ending {
        Ending {
            tag,
            spares: None,
            blocks: false,
            kept_until: minutes(1000),
        }
    }

    fn roll_of(confirmed: &[u8]) -> LoginRoll {
        let mut roll = LoginRoll::default();
        for number in confirmed {
            let _ = roll.reserve(&asked(*number, None), NOW);
            let outcome = roll.confirm(&made(*number, Epoch::default()));
            assert_eq!(outcome, Confirm::Confirmed);
        }
        roll
    }

    const fn limit(most: u32, evicts: bool) -> Option<LoginLimit> {
        Some(LoginLimit { most, evicts })
    }

    #[test]
    fn what_a_reservation_comes_to() {
        let admitted = |condemned: &[u8]| Reserve::Admitted {
            epoch: Epoch::default(),
            condemned: condemned.iter().map(|number| login(*number)).collect(),
        };
        let full = |confirmed: &[u8]| {
            Reserve::Full(confirmed.iter().map(|number| login(*number)).collect())
        };
        let replacing = Reservation {
            replaces: Some(login(0)),
            ..asked(9, limit(2, false))
        };
        let burying = Reservation {
            dead: vec![login(0)],
            ..asked(9, limit(2, false))
        };
        let fenced = Reservation {
            fence: Some(Epoch::from_u64(1)),
            ..asked(9, None)
        };
        let rows = [
            (asked(9, None), admitted(&[])),
            (asked(9, limit(3, false)), admitted(&[])),
            (asked(9, limit(2, false)), full(&[0, 1])),
            (asked(9, limit(2, true)), admitted(&[0])),
            (asked(9, limit(1, true)), admitted(&[0, 1])),
            // Again, or once more in the same session: nobody makes room.
            (asked(0, limit(2, false)), admitted(&[])),
            (replacing, admitted(&[])),
            (burying, admitted(&[])),
            (fenced, Reserve::Revoked),
        ];
        for (row, (reservation, outcome)) in rows.into_iter().enumerate() {
            let mut roll = roll_of(&[0, 1]);
            assert_eq!(roll.reserve(&reservation, NOW), outcome, "row {row}");
        }
    }

    #[test]
    fn what_a_confirmation_comes_to() {
        let mut roll = roll_of(&[0]);
        let _ = roll.reserve(&asked(1, None), NOW);
        let _ = roll.reserve(&asked(2, None), NOW);
        assert!(roll.condemn(login(2), NOW));
        let first = Epoch::default();
        let rows = [
            (made(0, first), Confirm::Confirmed),
            (made(1, first), Confirm::Confirmed),
            (made(1, Epoch::from_u64(7)), Confirm::Revoked),
            (made(2, first), Confirm::Displaced),
            (made(3, first), Confirm::Displaced),
        ];
        for (row, (confirmation, outcome)) in rows.into_iter().enumerate() {
            assert_eq!(roll.clone().confirm(&confirmation), outcome, "row {row}");
        }
    }

    #[test]
    fn what_a_use_comes_to() {
        let mut roll = roll_of(&[0, 1]);
        let _ = roll.end(&ending(1), NOW);
        roll.settle(&[login(0)]);
        let epoch = roll.epoch.as_u64();
        let rows = [
            (0, epoch - 1, Touch::Ended),
            (0, epoch, Touch::Entered),
            (0, epoch + 1, Touch::Entered),
            (1, epoch + 1, Touch::Ended),
        ];
        for (number, epoch, outcome) in rows {
            let mut roll = roll.clone();
            let seen = LoginSeen {
                login: login(number),
                epoch: Epoch::from_u64(epoch),
                ends_at: minutes(100),
            };
            let before = roll.epoch;
            assert_eq!(roll.touch(&seen), outcome, "{number} of {epoch}");
            assert!(roll.epoch >= before, "an epoch was unlearnt");
            if outcome == Touch::Entered {
                assert_eq!(roll.touch(&seen), Touch::Known);
                assert_eq!(roll.epoch, seen.epoch);
            }
        }
    }

    #[test]
    fn an_epoch_jumps_over_what_a_lost_roll_may_have_given_out() {
        let mut roll = LoginRoll::default();
        assert_eq!(roll.end(&ending(1), NOW).epoch.as_u64(), NOW.as_millis());
        assert_eq!(
            roll.end(&ending(2), NOW).epoch.as_u64(),
            NOW.as_millis() + 1
        );
        let lost = LoginRoll::default().end(&ending(3), minutes(1)).epoch;
        assert!(lost > roll.epoch);
    }

    #[test]
    fn the_last_eight_endings_are_remembered() {
        let mut roll = LoginRoll::default();
        for tag in 0..8 {
            let _ = roll.end(&ending(tag), NOW);
        }
        let epoch = roll.epoch;
        assert_eq!(roll.end(&ending(0), NOW).epoch, epoch);
        assert!(roll.end(&ending(8), NOW).epoch > epoch);
        assert_eq!(roll.endings.len(), LoginRoll::MOST_ENDINGS);
    }

    #[test]
    fn a_roll_is_blank_when_all_have_logged_out_and_nothing_was_ended() {
        let mut roll = roll_of(&[0, 1]);
        assert!(!roll.is_blank());
        roll.settle(&[login(0), login(1)]);
        assert!(roll.is_blank());
        let _ = roll.end(&ending(1), NOW);
        assert!(!roll.is_blank(), "an epoch must not be forgotten");
        assert!(!roll.is_over(minutes(999)));
        assert!(roll.is_over(minutes(1000)));
        let block = Ending {
            blocks: true,
            ..ending(2)
        };
        let epoch = roll.end(&block, NOW).epoch;
        assert!(!roll.is_over(minutes(1000)), "a block stays");
        roll.unblock(epoch);
        assert!(roll.is_over(minutes(1000)));
    }

    #[derive(Clone, Debug)]
    enum Verb {
        Reserve(Reservation),
        Confirm(Confirmation),
        End(Ending),
        Condemn(LoginName),
        Settle(LoginName),
        Touch(LoginSeen),
        Unblock(Epoch),
    }

    /// What a verb says, in a form that can be compared.
    fn told(roll: &mut LoginRoll, verb: &Verb, now: Timestamp) -> String {
        match verb {
            Verb::Reserve(reservation) => format!("{:?}", roll.reserve(reservation, now)),
            Verb::Confirm(confirmation) => format!("{:?}", roll.confirm(confirmation)),
            Verb::End(ending) => format!("{:?}", roll.end(ending, now)),
            Verb::Condemn(login) => format!("{}", roll.condemn(*login, now)),
            Verb::Settle(login) => {
                roll.settle(&[*login]);
                String::new()
            }
            Verb::Touch(seen) => format!("{:?}", roll.touch(seen)),
            Verb::Unblock(epoch) => {
                roll.unblock(*epoch);
                String::new()
            }
        }
    }

    fn verbs() -> impl Strategy<Value = Verb> {
        let some = prop::option::weighted(0.3, (0..6_u8).prop_map(login));
        // Epochs near those that endings begin, and the first.
        let epoch =
            prop_oneof![Just(0), NOW.as_millis()..NOW.as_millis() + 6].prop_map(Epoch::from_u64);
        let limit = prop::option::of((1..4_u32, any::<bool>()))
            .prop_map(|limit| limit.map(|(most, evicts)| LoginLimit { most, evicts }));
        let reserve = (
            0..6_u8,
            some.clone(),
            limit,
            prop::option::weighted(0.2, epoch.clone()),
        );
        prop_oneof![
            reserve.prop_map(
                |(number, replaces, limit, fence)| Verb::Reserve(Reservation {
                    replaces: replaces.filter(|old| *old != login(number)),
                    fence,
                    ..asked(number, limit)
                })
            ),
            (0..6_u8, some.clone(), epoch.clone()).prop_map(|(number, replaces, epoch)| {
                Verb::Confirm(Confirmation {
                    replaces,
                    ..made(number, epoch)
                })
            }),
            (0..20_u64, some, prop::bool::weighted(0.2)).prop_map(|(tag, spares, blocks)| {
                Verb::End(Ending {
                    spares,
                    blocks,
                    ..ending(tag)
                })
            }),
            (0..6_u8).prop_map(|number| Verb::Condemn(login(number))),
            (0..6_u8).prop_map(|number| Verb::Settle(login(number))),
            (0..6_u8, epoch.clone()).prop_map(|(number, epoch)| Verb::Touch(LoginSeen {
                login: login(number),
                epoch,
                ends_at: minutes(100),
            })),
            epoch.prop_map(Verb::Unblock),
        ]
    }

    fn of_others(roll: &LoginRoll, verb: &Verb) -> BTreeMap<LoginName, LoginEntry> {
        let own = match verb {
            Verb::Reserve(reservation) => Some(reservation.login),
            Verb::Confirm(confirmation) => Some(confirmation.login),
            Verb::Condemn(login) | Verb::Settle(login) => Some(*login),
            Verb::Touch(seen) => Some(seen.login),
            Verb::End(_) | Verb::Unblock(_) => None,
        };
        let mut entries = roll.entries.clone();
        entries.retain(|login, _| Some(*login) != own);
        entries
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn whatever_comes_a_repeated_verb_says_the_same_and_epochs_only_grow(
            verbs in prop::collection::vec(verbs(), 1..40)
        ) {
            let mut roll = LoginRoll::default();
            for verb in &verbs {
                let before = roll.epoch;
                let first = told(&mut roll, verb, NOW);
                prop_assert!(roll.epoch >= before);
                let after = roll.clone();
                let again = told(&mut roll, verb, NOW);
                prop_assert_eq!(&roll, &after, "{:?} made again changes something", verb);
                match verb {
                    // What it has made room by is told with what others have left.
                    Verb::Reserve(_) if first.starts_with("Admitted") => {
                        prop_assert!(again.starts_with("Admitted"));
                    }
                    Verb::Touch(_) if first == "Entered" => prop_assert_eq!(again, "Known"),
                    _ => prop_assert_eq!(again, first),
                }
            }
        }

        #[test]
        fn a_limit_is_kept_whatever_came_before(
            verbs in prop::collection::vec(verbs(), 1..40)
        ) {
            let mut roll = LoginRoll::default();
            for verb in &verbs {
                let before = roll.clone();
                let outcome = told(&mut roll, verb, NOW);
                let Verb::Reserve(Reservation { login, limit: Some(limit), replaces, .. }) = verb
                else {
                    continue;
                };
                // One that has its place already takes none, nor does who acts for somebody else.
                let takes_a_place = !before.entries.contains_key(login) && !login.stamp().is_acting();
                if outcome.starts_with("Admitted") && takes_a_place {
                    let counted = roll.entries.iter().filter(|(login, entry)| {
                        entry.state != LoginState::Condemned
                            && Some(**login) != *replaces
                            && !login.stamp().is_acting()
                    });
                    prop_assert!(counted.count() <= limit.most as usize);
                }
            }
        }

        /// Of reservations this holds only as long as they let nobody make room.
        #[test]
        fn a_late_verb_changes_nothing_of_others(
            early in verbs(),
            verbs in prop::collection::vec(verbs(), 1..7)
        ) {
            let mut roll = LoginRoll::default();
            let _ = told(&mut roll, &early, NOW);
            for verb in &verbs {
                let _ = told(&mut roll, verb, NOW);
            }
            let before = of_others(&roll, &early);
            let blocked_in = roll.blocked_in;
            let early = match early {
                Verb::Reserve(reservation) => Verb::Reserve(Reservation {
                    limit: reservation.limit.map(|limit| LoginLimit { evicts: false, ..limit }),
                    ..reservation
                }),
                // One that had not happened happens now, and so takes the place of the other.
                Verb::Confirm(confirmation) => Verb::Confirm(Confirmation {
                    replaces: None,
                    ..confirmation
                }),
                other => other,
            };
            let _ = told(&mut roll, &early, NOW);
            prop_assert_eq!(before, of_others(&roll, &early));
            if !matches!(early, Verb::Unblock(_)) {
                prop_assert_eq!(roll.blocked_in, blocked_in);
            }
        }
    }
}
