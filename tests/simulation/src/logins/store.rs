//! A node's way to the storage and to the index, turn by turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use parking_lot::Mutex;
use tenure_core::{
    Clock, Commit, Confirm, Confirmation, Create, Delete, Ended, Ending, Epoch, Freshness, Load,
    LoginCursor, LoginEntry, LoginName, LoginPage, LoginRoll, LoginSeen, LoginState, MemoryStore,
    Principal, Record, Renewal, Reservation, Reserve, SessionId, SessionIndex, SessionStore,
    StoreError, Timestamp, Touch, UserCursor, UserPage, UserStanding, Version, Whose,
};

use super::stage::Stage;

/// A rule of the protocol that is left out on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the rules")]
pub enum LeftOut {
    /// A login counts as soon as it has a place; nobody looks again after its commit.
    Confirmation,
    /// Who drops an entry drops those of all logins of its session.
    ExactDrops,
    /// What is condemned is forgotten at once.
    Condemned,
    /// Who ends a login deletes its session, whoever has logged in since.
    ExactDeletions,
    /// A session in use tells the index nothing.
    Touches,
}

/// What all nodes share.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) stage: Stage,
    pub(super) sessions: MemoryStore,
    pub(super) ids: Mutex<BTreeSet<SessionId>>,
    pub(super) rolls: Mutex<BTreeMap<Principal, LoginRoll>>,
    pub(super) clock: FixedClock,
    pub(super) left_out: Option<LeftOut>,
}

/// One node's handle, by which it is known whose turn it is.
#[derive(Clone)]
pub(super) struct NodeStore {
    pub(super) actor: usize,
    pub(super) storage: Arc<Storage>,
}

impl NodeStore {
    fn has_left_out(&self, rule: LeftOut) -> bool {
        self.storage.left_out == Some(rule)
    }

    async fn session<T: fmt::Debug>(
        &self,
        label: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
        told: impl FnOnce(&T) -> u64,
    ) -> Result<T, StoreError> {
        self.storage.stage.turn(self.actor, label).await;
        let answer = call.await?;
        self.storage.stage.told(self.actor, label, &told(&answer));
        Ok(answer)
    }

    async fn index<T: fmt::Debug>(
        &self,
        label: &'static str,
        user: &Principal,
        change: impl FnOnce(&mut LoginRoll, Timestamp) -> T,
        told: impl FnOnce(&T) -> u64,
    ) -> Result<T, StoreError> {
        self.storage.stage.turn(self.actor, label).await;
        let answer = {
            let mut rolls = self.storage.rolls.lock();
            let roll = rolls.entry(user.clone()).or_default();
            let answer = change(roll, self.storage.clock.now());
            self.leave_out(roll);
            answer
        };
        self.storage.stage.told(self.actor, label, &told(&answer));
        Ok(answer)
    }

    fn leave_out(&self, roll: &mut LoginRoll) {
        match self.storage.left_out {
            Some(LeftOut::Confirmation) => {
                for entry in roll.entries.values_mut() {
                    if entry.state == LoginState::Reserved {
                        entry.state = LoginState::Confirmed;
                        entry.time = FAR;
                    }
                }
            }
            Some(LeftOut::Condemned) => {
                roll.entries
                    .retain(|_, entry| entry.state != LoginState::Condemned);
            }
            _ => {}
        }
    }
}

impl SessionStore for NodeStore {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        let call = self.storage.sessions.load(id, freshness);
        let told = |load: &Load| match load {
            Load::Found(record) => hash_of(&record.encode()),
            Load::Expired(_) => 1,
            Load::Absent => 0,
        };
        self.session("load", call, told).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.storage.ids.lock().insert(record.id());
        let call = self.storage.sessions.create(record);
        let told = |create: &Create| (*create == Create::Created).into();
        self.session("create", call, told).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let call = self.storage.sessions.commit(expected, record);
        let told = |commit: &Commit| match commit {
            Commit::Stored => 0,
            Commit::Gone => 1,
            Commit::Overtaken(record) | Commit::Conflict(record) => hash_of(&record.encode()),
        };
        self.session("commit", call, told).await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let call = self.storage.sessions.renew(id, whose, lease_end);
        let told = |renewal: &Renewal| match renewal {
            Renewal::Renewed(version) => hash_of(&(version.counter(), version.tag())),
            Renewal::Superseded => 1,
            Renewal::Gone => 0,
        };
        self.session("renew", call, told).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let call = async {
            let mut whose = whose;
            if self.has_left_out(LeftOut::ExactDeletions)
                && let Load::Found(record) =
                    self.storage.sessions.load(id, Freshness::Latest).await?
            {
                whose = Whose::Login(record.login().stamp);
            }
            self.storage.sessions.delete(id, whose).await
        };
        let told = |delete: &Delete| match delete {
            Delete::Deleted => 0,
            Delete::Absent => 1,
            Delete::Superseded => 2,
        };
        self.session("delete", call, told).await
    }
}

impl SessionIndex for NodeStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        let told = |reserve: &Reserve| match reserve {
            Reserve::Admitted { epoch, condemned } => hash_of(&(epoch, condemned)),
            Reserve::Full(logins) => hash_of(logins),
            Reserve::Revoked => 1,
            Reserve::Displaced => 2,
            Reserve::Blocked => 3,
        };
        let change = |roll: &mut LoginRoll, now| roll.reserve(&reservation, now);
        self.index("reserve", user, change, told).await
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        let change = |roll: &mut LoginRoll, _| match self.storage.left_out {
            Some(LeftOut::Confirmation) => Confirm::Confirmed,
            _ => roll.confirm(&confirmation),
        };
        let told = |confirm: &Confirm| match confirm {
            Confirm::Confirmed => 0,
            Confirm::Revoked => 1,
            Confirm::Displaced => 2,
        };
        self.index("confirm", user, change, told).await
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        let change = |roll: &mut LoginRoll, now| roll.end(&ending, now);
        let told = |ended: &Ended| hash_of(&(ended.epoch, &ended.condemned));
        self.index("end", user, change, told).await
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        let change = |roll: &mut LoginRoll, now| roll.condemn(login, now);
        self.index("condemn", user, change, |is| (*is).into()).await
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        let by_session = self.has_left_out(LeftOut::ExactDrops);
        let change = |roll: &mut LoginRoll, _| {
            let mut dropped = logins;
            if by_session {
                let sessions: BTreeSet<_> = dropped.iter().map(|login| login.session()).collect();
                let all = roll.entries.keys();
                dropped = all
                    .filter(|login| sessions.contains(&login.session()))
                    .copied()
                    .collect();
            }
            roll.settle(&dropped);
        };
        self.index("settle", user, change, |()| 0).await
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        let change = |roll: &mut LoginRoll, _| match self.storage.left_out {
            Some(LeftOut::Touches) => Touch::Known,
            _ => roll.touch(&seen),
        };
        let told = |touch: &Touch| match touch {
            Touch::Known => 0,
            Touch::Entered => 1,
            Touch::Ended => 2,
        };
        self.index("touch", user, change, told).await
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        let told = |standing: &UserStanding| hash_of(&(standing.epoch, standing.blocked_in));
        self.index("standing", user, |roll, _| roll.standing(), told)
            .await
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        let change = |roll: &mut LoginRoll, _| roll.unblock(blocked_in);
        self.index("unblock", user, change, |()| 0).await
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        let told = |page: &LoginPage| {
            let logins: Vec<_> = page.logins.iter().map(|listed| listed.login).collect();
            hash_of(&(logins, &page.condemned))
        };
        self.index("logins", user, |roll, _| roll.logins(after, most), told)
            .await
    }

    /// Nobody asks for them here.
    async fn users(&self, _: Option<UserCursor>) -> Result<UserPage, StoreError> {
        Ok(UserPage::default())
    }

    /// Nobody moves it here, so that asking for it takes no turn.
    async fn gate(&self) -> Result<Epoch, StoreError> {
        Ok(Epoch::default())
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        Ok(to)
    }
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NodeStore").field(&self.actor).finish()
    }
}

/// A clock that stands still, until it is set.
#[derive(Clone, Debug)]
pub(super) struct FixedClock(Arc<Mutex<Timestamp>>);

impl FixedClock {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::from_millis(
            1_700_000_000_000,
        ))))
    }

    pub(super) fn advance(&self, span: std::time::Duration) {
        let mut now = self.0.lock();
        *now = now.after(span);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

pub(super) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

pub(super) fn hash_roll(roll: &LoginRoll, hasher: &mut impl Hasher) {
    (roll.epoch, &roll.endings, roll.blocked_in).hash(hasher);
    for (login, LoginEntry { state, time }) in &roll.entries {
        (login, *state as u8, time.as_millis()).hash(hasher);
    }
}

/// Later than any session ends.
const FAR: Timestamp = Timestamp::from_millis(253_402_300_800_000);
