//! The one place in which a store loses its type, so that managers, layers and sessions need no
//! type parameter.

use std::{fmt, future::Future, pin::Pin};

use super::{
    Commit, Confirm, Confirmation, Create, Delete, Ended, Ending, Freshness, Load, LoginCursor,
    LoginPage, LoginSeen, Renewal, Reservation, Reserve, SessionIndex, SessionStore, StoreError,
    Touch, UserCursor, UserPage, UserStanding, VersionUse,
};
use crate::{Epoch, LoginName, Principal, Record, SessionId, Timestamp, Version, Whose};

type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// [`SessionStore`] with boxed futures.
pub(crate) trait ErasedStore: fmt::Debug + Send + Sync {
    fn load(&self, id: SessionId, freshness: Freshness) -> Pending<'_, Load>;
    fn create(&self, record: Record) -> Pending<'_, Create>;
    fn commit(&self, expected: Version, record: Record) -> Pending<'_, Commit>;
    fn renew(&self, id: SessionId, whose: Whose, lease_end: Timestamp) -> Pending<'_, Renewal>;
    fn delete(&self, id: SessionId, whose: Whose) -> Pending<'_, Delete>;
    fn version_use(&self) -> VersionUse;
}

impl<S: SessionStore> ErasedStore for S {
    fn load(&self, id: SessionId, freshness: Freshness) -> Pending<'_, Load> {
        Box::pin(SessionStore::load(self, id, freshness))
    }

    fn create(&self, record: Record) -> Pending<'_, Create> {
        Box::pin(SessionStore::create(self, record))
    }

    fn commit(&self, expected: Version, record: Record) -> Pending<'_, Commit> {
        Box::pin(SessionStore::commit(self, expected, record))
    }

    fn renew(&self, id: SessionId, whose: Whose, lease_end: Timestamp) -> Pending<'_, Renewal> {
        Box::pin(SessionStore::renew(self, id, whose, lease_end))
    }

    fn delete(&self, id: SessionId, whose: Whose) -> Pending<'_, Delete> {
        Box::pin(SessionStore::delete(self, id, whose))
    }

    fn version_use(&self) -> VersionUse {
        SessionStore::version_use(self)
    }
}

/// [`SessionIndex`] with boxed futures.
pub(crate) trait ErasedIndex: fmt::Debug + Send + Sync {
    fn reserve<'a>(&'a self, user: &'a Principal, asked: Reservation) -> Pending<'a, Reserve>;
    fn confirm<'a>(&'a self, user: &'a Principal, made: Confirmation) -> Pending<'a, Confirm>;
    fn end<'a>(&'a self, user: &'a Principal, ending: Ending) -> Pending<'a, Ended>;
    fn condemn<'a>(&'a self, user: &'a Principal, login: LoginName) -> Pending<'a, bool>;
    fn settle<'a>(&'a self, user: &'a Principal, logins: Vec<LoginName>) -> Pending<'a, ()>;
    fn touch<'a>(&'a self, user: &'a Principal, seen: LoginSeen) -> Pending<'a, Touch>;
    fn standing<'a>(&'a self, user: &'a Principal) -> Pending<'a, UserStanding>;
    fn unblock<'a>(&'a self, user: &'a Principal, blocked_in: Epoch) -> Pending<'a, ()>;
    fn logins<'a>(
        &'a self,
        user: &'a Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Pending<'a, LoginPage>;
    fn users(&self, after: Option<UserCursor>) -> Pending<'_, UserPage>;
    fn gate(&self) -> Pending<'_, Epoch>;
    fn raise_gate(&self, to: Epoch) -> Pending<'_, Epoch>;
}

impl<I: SessionIndex> ErasedIndex for I {
    fn reserve<'a>(&'a self, user: &'a Principal, asked: Reservation) -> Pending<'a, Reserve> {
        Box::pin(SessionIndex::reserve(self, user, asked))
    }

    fn confirm<'a>(&'a self, user: &'a Principal, made: Confirmation) -> Pending<'a, Confirm> {
        Box::pin(SessionIndex::confirm(self, user, made))
    }

    fn end<'a>(&'a self, user: &'a Principal, ending: Ending) -> Pending<'a, Ended> {
        Box::pin(SessionIndex::end(self, user, ending))
    }

    fn condemn<'a>(&'a self, user: &'a Principal, login: LoginName) -> Pending<'a, bool> {
        Box::pin(SessionIndex::condemn(self, user, login))
    }

    fn settle<'a>(&'a self, user: &'a Principal, logins: Vec<LoginName>) -> Pending<'a, ()> {
        Box::pin(SessionIndex::settle(self, user, logins))
    }

    fn touch<'a>(&'a self, user: &'a Principal, seen: LoginSeen) -> Pending<'a, Touch> {
        Box::pin(SessionIndex::touch(self, user, seen))
    }

    fn standing<'a>(&'a self, user: &'a Principal) -> Pending<'a, UserStanding> {
        Box::pin(SessionIndex::standing(self, user))
    }

    fn unblock<'a>(&'a self, user: &'a Principal, blocked_in: Epoch) -> Pending<'a, ()> {
        Box::pin(SessionIndex::unblock(self, user, blocked_in))
    }

    fn logins<'a>(
        &'a self,
        user: &'a Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Pending<'a, LoginPage> {
        Box::pin(SessionIndex::logins(self, user, after, most))
    }

    fn users(&self, after: Option<UserCursor>) -> Pending<'_, UserPage> {
        Box::pin(SessionIndex::users(self, after))
    }

    fn gate(&self) -> Pending<'_, Epoch> {
        Box::pin(SessionIndex::gate(self))
    }

    fn raise_gate(&self, to: Epoch) -> Pending<'_, Epoch> {
        Box::pin(SessionIndex::raise_gate(self, to))
    }
}
