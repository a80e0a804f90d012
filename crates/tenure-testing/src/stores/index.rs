//! The login index of the stores around a store.

use tenure_core::{
    Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginName, LoginPage, LoginSeen,
    Principal, Reservation, Reserve, SessionIndex, SessionStore, StoreError, Touch, UserCursor,
    UserPage, UserStanding,
};

use super::{FaultyStore, FedStore, Outcome, SlowStore, SpyStore, Verb};

/// What an index answers, in the words of a [`CallLog`](super::CallLog).
pub(super) trait IndexAnswer: Send {
    fn outcome(&self) -> Outcome {
        Outcome::Answered
    }
}

impl IndexAnswer for Reserve {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Admitted { .. } => Outcome::Admitted,
            Self::Full(_) => Outcome::Full,
            Self::Revoked => Outcome::Revoked,
            Self::Displaced => Outcome::Displaced,
            Self::Blocked => Outcome::Blocked,
        }
    }
}

impl IndexAnswer for Confirm {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Confirmed => Outcome::Confirmed,
            Self::Revoked => Outcome::Revoked,
            Self::Displaced => Outcome::Displaced,
        }
    }
}

impl IndexAnswer for Touch {
    fn outcome(&self) -> Outcome {
        match self {
            Self::Known => Outcome::Known,
            Self::Entered => Outcome::Entered,
            Self::Ended => Outcome::Ended,
        }
    }
}

impl IndexAnswer for () {}

impl IndexAnswer for bool {}

impl IndexAnswer for Ended {}

impl IndexAnswer for Epoch {}

impl IndexAnswer for LoginPage {}

impl IndexAnswer for UserPage {}

impl IndexAnswer for UserStanding {}

/// Each verb is the wrapped store's, called as the store around it calls everything.
macro_rules! pass_on {
    ($($store:ident)*) => {
        $(impl<S: SessionStore + SessionIndex> SessionIndex for $store<S> {
            async fn reserve(&self, user: &Principal, reservation: Reservation) -> Result<Reserve, StoreError> {
                let call = self.inner().reserve(user, reservation);
                self.pass_on(Verb::Reserve, Some(user), call).await
            }

            async fn confirm(&self, user: &Principal, confirmation: Confirmation) -> Result<Confirm, StoreError> {
                let call = self.inner().confirm(user, confirmation);
                self.pass_on(Verb::Confirm, Some(user), call).await
            }

            async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
                let call = self.inner().end(user, ending);
                self.pass_on(Verb::End, Some(user), call).await
            }

            async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
                let call = self.inner().condemn(user, login);
                self.pass_on(Verb::Condemn, Some(user), call).await
            }

            async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
                let call = self.inner().settle(user, logins);
                self.pass_on(Verb::Settle, Some(user), call).await
            }

            async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
                let call = self.inner().touch(user, seen);
                self.pass_on(Verb::Touch, Some(user), call).await
            }

            async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
                let call = self.inner().standing(user);
                self.pass_on(Verb::Standing, Some(user), call).await
            }

            async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
                let call = self.inner().unblock(user, blocked_in);
                self.pass_on(Verb::Unblock, Some(user), call).await
            }

            async fn logins(&self, user: &Principal, after: Option<LoginCursor>, most: usize) -> Result<LoginPage, StoreError> {
                let call = self.inner().logins(user, after, most);
                self.pass_on(Verb::Logins, Some(user), call).await
            }

            async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
                let call = self.inner().users(after);
                self.pass_on(Verb::Users, None, call).await
            }

            async fn gate(&self) -> Result<Epoch, StoreError> {
                let call = self.inner().gate();
                self.pass_on(Verb::Gate, None, call).await
            }

            async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
                let call = self.inner().raise_gate(to);
                self.pass_on(Verb::RaiseGate, None, call).await
            }
        })*
    };
}

pass_on!(FaultyStore FedStore SlowStore SpyStore);
