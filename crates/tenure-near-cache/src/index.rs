//! The login index behind the cache: nothing of it is kept.

use tenure_core::{
    Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginName, LoginPage, LoginSeen,
    Principal, Reservation, Reserve, SessionIndex, StoreError, Touch, UserCursor, UserPage,
    UserStanding,
};

use crate::NearCache;

/// Passed on to the store. Who is logged in where is asked for seldom and must be right; and the sessions that an ending
/// is about are deleted through the cache like all others.
impl<S: SessionIndex> SessionIndex for NearCache<S> {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        self.store.reserve(user, reservation).await
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        self.store.confirm(user, confirmation).await
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        self.store.end(user, ending).await
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        self.store.condemn(user, login).await
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        self.store.settle(user, logins).await
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        self.store.touch(user, seen).await
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        self.store.standing(user).await
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        self.store.unblock(user, blocked_in).await
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        self.store.logins(user, after, most).await
    }

    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        self.store.users(after).await
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        self.store.gate().await
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        self.store.raise_gate(to).await
    }
}
