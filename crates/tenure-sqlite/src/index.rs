//! The login index, in terms of an SQLite file.

use tenure_core::{
    Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginName, LoginPage, LoginRoll,
    LoginSeen, Principal, Reservation, Reserve, SessionIndex, StoreError, Timestamp, Touch,
    UserCursor, UserPage, UserStanding,
};

use crate::{SqliteStore, rolls::Scope, sessions::Sessions, work::Subject};

/// In the same file as the sessions. Each verb is a part of a transaction, in which [`LoginRoll`] decides.
impl SessionIndex for SqliteStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        let change = move |roll: &mut LoginRoll, now| roll.reserve(&reservation, now);
        self.change_roll(user, None, change).await
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        let concerned = [Some(confirmation.login), confirmation.replaces]
            .into_iter()
            .flatten()
            .collect();
        let change = move |roll: &mut LoginRoll, _| roll.confirm(&confirmation);
        self.change_roll(user, Some(concerned), change).await
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        let change = move |roll: &mut LoginRoll, now| roll.end(&ending, now);
        self.change_roll(user, None, change).await
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        let concerned = vec![login];
        let change = move |roll: &mut LoginRoll, now| roll.condemn(login, now);
        self.change_roll(user, Some(concerned), change).await
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        let concerned = logins.clone();
        let change = move |roll: &mut LoginRoll, _| roll.settle(&logins);
        self.change_roll(user, Some(concerned), change).await
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        let concerned = vec![seen.login];
        let change = move |roll: &mut LoginRoll, _| roll.touch(&seen);
        self.change_roll(user, Some(concerned), change).await
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        let (subject, user) = (Subject::of(user), user.clone());
        self.read(subject, move |sessions| sessions.standing_of(&user))
            .await
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        let concerned = Vec::new();
        let change = move |roll: &mut LoginRoll, _| roll.unblock(blocked_in);
        self.change_roll(user, Some(concerned), change).await
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        let (subject, user) = (Subject::of(user), user.clone());
        let logins =
            move |sessions: &Sessions<'_>| Ok(sessions.logins_of(&user)?.logins(after, most));
        self.read(subject, logins).await
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        // Whoever comes or goes meanwhile may be left out.
        let users = move |sessions: &Sessions<'_>| sessions.users(after.as_ref());
        self.read(Subject::of("users"), users).await
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        self.read(Subject::of("gate"), |sessions| sessions.gate())
            .await
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        self.write(Subject::of("gate"), move |sessions| sessions.raise_gate(to))
            .await
    }
}

impl SqliteStore {
    /// `concerned` are the only logins that the change looks at; `None` for all.
    async fn change_roll<T: Send + 'static>(
        &self,
        user: &Principal,
        concerned: Option<Vec<LoginName>>,
        change: impl Fn(&mut LoginRoll, Timestamp) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (subject, user) = (Subject::of(user), user.clone());
        let action = move |sessions: &Sessions<'_>| {
            let scope = concerned.as_deref().map_or(Scope::All, Scope::Only);
            sessions.change_roll(&user, scope, &change)
        };
        self.write(subject, action).await
    }
}
