//! The contract of a login index: who is logged in where.

mod roll;
mod words;

use std::{fmt, future::Future, sync::Arc};

pub use self::{
    roll::{LoginEntry, LoginRoll, LoginState},
    words::{
        CONDEMNED_PER_CALL, Confirm, Confirmation, Ended, Ending, LoginCursor, LoginLimit,
        LoginPage, LoginSeen, RESERVED_FOR, Reservation, Reserve, Touch, UserCursor, UserPage,
        UserStanding,
    },
};
use super::StoreError;
use crate::{Epoch, LoginName, Principal};

/// Knows, for each principal, which sessions they are logged in to. Mostly implemented by a [`SessionStore`](crate::SessionStore), beside
/// the sessions; it may be kept elsewhere.
///
/// The index makes a login in steps: its place is [reserved](Self::reserve), the session is committed,
/// and the login is [confirmed](Self::confirm); only then does the browser get its cookie. Whoever wants logins
/// ended [condemns](Self::end) them in the index, deletes their sessions, each
/// [if it still is that login's](crate::Whose::Login), and [settles](Self::settle) them. What a crash leaves
/// undone stays condemned, and is finished by whoever sees it next.
///
/// Implementations must pass every test of `tenure_testing::index_conformance!`. [`LoginRoll`] makes all
/// decisions; a store whose language is not Rust does as it does.
///
/// # Consistency
///
/// Each verb is one atomic step on one principal's entries. Nothing spans two principals, nor the index
/// and a session, so that each may be kept somewhere else.
///
/// - An entry names a login, not a session, and is in one [`LoginState`] at a time.
/// - Logins by which somebody [acts](crate::LoginStamp::is_acting) in the principal's name are counted by no limit, and
///   never make room.
/// - At no time are more logins confirmed and reserved than the reservations' limit allows; one that
///   replaces another counts with it as one.
/// - Epochs only grow, also where the index was lost.
///
/// # Unknown outcomes
///
/// Every verb may be sent again by anyone, unchanged, and may arrive late: it then changes nothing that came
/// after it, or something that mends itself (a reservation lapses, an entry without a session is dropped by
/// whoever lists it). One thing it may cost: where logins make room for others, the reservation of a login that has ended
/// since makes the oldest one end once more.
///
/// # Times
///
/// By the store's own clock. Entries and epochs are kept for as long as a session that they concern may live;
/// then they vanish by themselves. A [block](Ending::blocks) stays until it is lifted.
#[diagnostic::on_unimplemented(
    message = "`{Self}` keeps no index of logins",
    note = "of tenure's stores, those in memory, on Redis and on SQL do, and the near cache over one of them",
    note = "for a store of your own, implement `tenure_core::SessionIndex` and check it with `tenure_testing::index_conformance!`"
)]
pub trait SessionIndex: fmt::Debug + Send + Sync + 'static {
    /// Takes a place among a principal's logins for one that is about to be made.
    ///
    /// A reservation that is not confirmed lapses after [`RESERVED_FOR`]. One that is repeated counts once.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]; the place may be taken then, and lapses.
    fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> impl Future<Output = Result<Reserve, StoreError>> + Send;

    /// Enters a login whose session is stored.
    ///
    /// # Errors
    ///
    /// A [`StoreError`]. While the outcome is unknown, the login must not be used.
    fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> impl Future<Output = Result<Confirm, StoreError>> + Send;

    /// Begins a new epoch, and condemns all of a principal's logins, those included that are only reserved. Again,
    /// with the same tag, it only says what is still condemned.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn end(
        &self,
        user: &Principal,
        ending: Ending,
    ) -> impl Future<Output = Result<Ended, StoreError>> + Send;

    /// Condemns one login, if it is entered or reserved, and says whether it is condemned now: only then may its
    /// session be deleted on behalf of this principal.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn condemn(
        &self,
        user: &Principal,
        login: LoginName,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Drops entries of logins whose sessions are known not to be theirs any more.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn settle(
        &self,
        user: &Principal,
        logins: Vec<LoginName>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Says that a login was in use, which enters it again if its entry was lost; or that it has been ended.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn touch(
        &self,
        user: &Principal,
        seen: LoginSeen,
    ) -> impl Future<Output = Result<Touch, StoreError>> + Send;

    /// The epoch of a principal's logins, and whether they may log in.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn standing(
        &self,
        user: &Principal,
    ) -> impl Future<Output = Result<UserStanding, StoreError>> + Send;

    /// Lets a principal log in again, if the block is the one that began in that epoch.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn unblock(
        &self,
        user: &Principal,
        blocked_in: Epoch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Some of a principal's confirmed logins, at most `most`, in the order of their sessions' absolute ends: the
    /// oldest login first, ordinary ones before those of who asked to be remembered. Their sessions may have ended.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> impl Future<Output = Result<LoginPage, StoreError>> + Send;

    /// Some of the principals of whom there are entries. One that comes or goes meanwhile may be left out, and one may
    /// come twice. For jobs: a store may have to look at all that it holds, page by page.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn users(
        &self,
        after: Option<UserCursor>,
    ) -> impl Future<Output = Result<UserPage, StoreError>> + Send;

    /// The epoch of all sessions. Those that [began](crate::Record::gate) in an earlier one have ended.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn gate(&self) -> impl Future<Output = Result<Epoch, StoreError>> + Send;

    /// Moves the epoch of all sessions on, if it is not there yet, and returns what it is.
    ///
    /// # Errors
    ///
    /// A [`StoreError`].
    fn raise_gate(&self, to: Epoch) -> impl Future<Output = Result<Epoch, StoreError>> + Send;
}

impl<S: SessionIndex> SessionIndex for Arc<S> {
    fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> impl Future<Output = Result<Reserve, StoreError>> + Send {
        (**self).reserve(user, reservation)
    }

    fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> impl Future<Output = Result<Confirm, StoreError>> + Send {
        (**self).confirm(user, confirmation)
    }

    fn end(
        &self,
        user: &Principal,
        ending: Ending,
    ) -> impl Future<Output = Result<Ended, StoreError>> + Send {
        (**self).end(user, ending)
    }

    fn condemn(
        &self,
        user: &Principal,
        login: LoginName,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        (**self).condemn(user, login)
    }

    fn settle(
        &self,
        user: &Principal,
        logins: Vec<LoginName>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).settle(user, logins)
    }

    fn touch(
        &self,
        user: &Principal,
        seen: LoginSeen,
    ) -> impl Future<Output = Result<Touch, StoreError>> + Send {
        (**self).touch(user, seen)
    }

    fn standing(
        &self,
        user: &Principal,
    ) -> impl Future<Output = Result<UserStanding, StoreError>> + Send {
        (**self).standing(user)
    }

    fn unblock(
        &self,
        user: &Principal,
        blocked_in: Epoch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).unblock(user, blocked_in)
    }

    fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> impl Future<Output = Result<LoginPage, StoreError>> + Send {
        (**self).logins(user, after, most)
    }

    fn users(
        &self,
        after: Option<UserCursor>,
    ) -> impl Future<Output = Result<UserPage, StoreError>> + Send {
        (**self).users(after)
    }

    fn gate(&self) -> impl Future<Output = Result<Epoch, StoreError>> + Send {
        (**self).gate()
    }

    fn raise_gate(&self, to: Epoch) -> impl Future<Output = Result<Epoch, StoreError>> + Send {
        (**self).raise_gate(to)
    }
}
