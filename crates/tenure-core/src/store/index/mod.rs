//! The contract of a login index: who is logged in where.

mod roll;

use std::{fmt, future::Future, sync::Arc, time::Duration};

pub use self::roll::{LoginEntry, LoginRoll, LoginState};
use super::StoreError;
use crate::{Epoch, LoginName, Principal, Timestamp};

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
/// - At no time are more logins confirmed and reserved than the reservations' limit allows; one that
///   replaces another counts with it as one.
/// - Epochs only grow, also where the index was lost.
///
/// # Unknown outcomes
///
/// Every verb may be sent again by anyone, unchanged, and may arrive late: it then changes nothing that came
/// after it, or something that mends itself (a reservation lapses, an entry without a session is dropped by
/// whoever lists it).
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

/// How long a reservation is good for: longer than a login's steps may take, at any sensible deadline. For so long
/// does a node that crashed in the middle of a login hold a place.
pub const RESERVED_FOR: Duration = Duration::from_secs(10);

/// How many condemned logins are told at a time to who has not condemned them just now, so that no login has to
/// finish the ending of thousands.
pub const CONDEMNED_PER_CALL: usize = 100;

/// A login that asks for a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must heed every part of it"
)]
pub struct Reservation {
    /// The login that is about to be made.
    pub login: LoginName,
    /// That of the same principal which it replaces, in the same session.
    pub replaces: Option<LoginName>,
    /// How many logins the principal may have.
    pub limit: Option<LoginLimit>,
    /// The epoch in which the application's checks began: in a later one they do not count.
    pub fence: Option<Epoch>,
    /// Logins that the caller has found dead, to make room.
    pub dead: Vec<LoginName>,
    /// Until when the principal's entries are to be kept, at least: for as long as a session of theirs may
    /// live.
    pub kept_until: Timestamp,
}

/// How many logins a principal may have at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must heed every part of it"
)]
pub struct LoginLimit {
    /// The number, at least 1.
    pub most: u32,
    /// What to do at the limit: `true` to condemn as many as are too many, those first whose sessions end first,
    /// confirmed ones before reserved ones; `false` to say that it is [full](Reserve::Full).
    pub evicts: bool,
}

/// What became of a reservation.
#[must_use = "only one that is admitted may go on"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Reserve {
    /// The place is taken.
    Admitted {
        /// The principal's epoch, to be kept in the session's record and to be confirmed.
        epoch: Epoch,
        /// Logins to be ended: those that made room for this one, and up to [`CONDEMNED_PER_CALL`] that
        /// others have left.
        condemned: Vec<LoginName>,
    },
    /// The limit is reached. Holds the confirmed logins, the oldest first, up to [`CONDEMNED_PER_CALL`] more than the
    /// limit. Their sessions may have ended: those that have can be named in another reservation. If none of them has,
    /// it is full indeed.
    Full(Vec<LoginName>),
    /// The principal's logins were ended since the fence was taken.
    Revoked,
    /// This very login was condemned before.
    Displaced,
    /// The principal may not log in.
    Blocked,
}

/// A login whose session is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must heed every part of it"
)]
pub struct Confirmation {
    /// The login, as reserved.
    pub login: LoginName,
    /// That which it replaces, as reserved.
    pub replaces: Option<LoginName>,
    /// The epoch in which it was reserved.
    pub epoch: Epoch,
    /// The session's absolute end.
    pub ends_at: Timestamp,
}

/// What became of a confirmation.
#[must_use = "a login that is not confirmed must not be used"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Confirm {
    /// The login is entered.
    Confirmed,
    /// The principal's logins were ended since the reservation. Its session is to be deleted.
    Revoked,
    /// Another login took the place, or the reservation has lapsed. Its session is to be deleted.
    Displaced,
}

/// How a principal's logins are to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must heed every part of it"
)]
pub struct Ending {
    /// Names this ending: drawn at random, and the same when it is repeated.
    pub tag: u64,
    /// The one login that lives on.
    pub spares: Option<LoginName>,
    /// Whether the principal may not log in again until [unblocked](SessionIndex::unblock).
    pub blocks: bool,
    /// As in a [`Reservation`].
    pub kept_until: Timestamp,
}

/// What an ending has condemned.
#[must_use = "condemned logins are usable until their sessions are deleted"]
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by every store")]
pub struct Ended {
    /// The epoch that has begun, or a later one.
    pub epoch: Epoch,
    /// Up to [`CONDEMNED_PER_CALL`] of the logins to be ended; all have been told when there are fewer.
    pub condemned: Vec<LoginName>,
}

/// A login in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "stores must heed every part of it"
)]
pub struct LoginSeen {
    /// The login.
    pub login: LoginName,
    /// The epoch in its session's record.
    pub epoch: Epoch,
    /// The session's absolute end.
    pub ends_at: Timestamp,
}

/// What the index knows of a login in use.
#[must_use = "a login that has ended must be deleted"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "callers must handle every outcome")]
pub enum Touch {
    /// It is entered.
    Known,
    /// It was not, and is now.
    Entered,
    /// It was condemned, or belongs to an epoch that is over: its session is to be deleted.
    Ended,
}

/// How a principal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by every store")]
pub struct UserStanding {
    /// The epoch of their logins.
    pub epoch: Epoch,
    /// The epoch in which they were blocked, if they are.
    pub blocked_in: Option<Epoch>,
}

/// A place in a principal's list of logins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_structs, reason = "stores compare both parts")]
pub struct LoginCursor {
    /// The absolute end of the last session that was listed.
    pub ends_at: Timestamp,
    /// Its login.
    pub login: LoginName,
}

/// A part of a principal's list of logins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by every store")]
pub struct LoginPage {
    /// The logins, in order, each with its session's absolute end.
    pub logins: Vec<LoginCursor>,
    /// Up to [`CONDEMNED_PER_CALL`] logins that are to be ended.
    pub condemned: Vec<LoginName>,
}

/// A place in a store's list of principals, in the store's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserCursor(Vec<u8>);

impl UserCursor {
    /// A place, in a store's own words.
    #[must_use]
    pub const fn new(words: Vec<u8>) -> Self {
        Self(words)
    }

    /// The store's words.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A part of a store's list of principals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by every store")]
pub struct UserPage {
    /// The principals. There may be none although others follow.
    pub users: Vec<Principal>,
    /// Where the rest begins; `None` if there is none.
    pub next: Option<UserCursor>,
}
