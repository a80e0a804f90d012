//! What an index is asked, and what it answers.

use std::{fmt, time::Duration};

use crate::{Epoch, LoginName, Principal, Timestamp};

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

/// How many logins a principal may have at a time. Those by which somebody
/// [acts](crate::LoginStamp::is_acting) in their name do not count.
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
    /// Whether the principal may not log in again until [unblocked](super::SessionIndex::unblock).
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
/// `Debug` hides it: it may hold a name.
#[derive(Clone, PartialEq, Eq)]
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

impl fmt::Debug for UserCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCursor(..)")
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
