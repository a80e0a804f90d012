use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RECORD_HEADER_BYTES, Record, SecretHash, SessionId, layout};
use crate::{
    Timestamp,
    entropy::{Entropy, EntropyError, random},
};

/// Names one login of a session: drawn at random for each, so that the logins of a session, which keeps its id
/// for life, can be told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginStamp(u64);

impl LoginStamp {
    /// Draws the stamp of a new login.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the generator fails.
    pub fn random(source: &dyn Entropy) -> Result<Self, EntropyError> {
        // Zero stands for nobody.
        Ok(Self(u64::from_be_bytes(random(source)?).max(1)))
    }

    /// The stamp of that number.
    #[must_use]
    pub const fn from_u64(stamp: u64) -> Self {
        Self(stamp)
    }

    /// The number, as stored.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// That of sessions in which nobody has logged in.
    pub const NOBODY: Self = Self(0);
}

/// Names one login of one session: what a login index lists, and what it ends. An id alone would not do, since
/// a session keeps it for life, whoever logs in.
///
/// `Debug` hides it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginName {
    session: SessionId,
    stamp: LoginStamp,
}

impl LoginName {
    /// The login of that stamp in that session.
    #[must_use]
    pub const fn new(session: SessionId, stamp: LoginStamp) -> Self {
        Self { session, stamp }
    }

    /// The last login of that record, if somebody has logged in.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let stamp = record.login().stamp;
        (stamp != LoginStamp::NOBODY).then(|| Self::new(record.id(), stamp))
    }

    /// The session.
    #[must_use]
    pub const fn session(self) -> SessionId {
        self.session
    }

    /// Which of the session's logins.
    #[must_use]
    pub const fn stamp(self) -> LoginStamp {
        self.stamp
    }

    /// As stored: the session's id, and the stamp in big-endian order.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (id, stamp) = bytes.split_at_mut(16);
        id.copy_from_slice(self.session.as_bytes());
        stamp.copy_from_slice(&self.stamp.0.to_be_bytes());
        bytes
    }

    /// What was stored, if that is a name.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (id, stamp) = bytes.split_first_chunk()?;
        let stamp = u64::from_be_bytes(stamp.try_into().ok()?);
        Some(Self::new(SessionId::from_bytes(*id), LoginStamp(stamp)))
    }

    /// How long a stored name is.
    pub const BYTES: usize = 24;
}

impl fmt::Debug for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginName(..)")
    }
}

/// A state of a principal's logins, or of all sessions: it moves on whenever all of them are ended, and never
/// back.
///
/// As a *fence* it says "what was before does not count": a password that was verified in one epoch logs nobody in
/// during the next. An application can keep it, in a session's values or elsewhere.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of that number.
    #[must_use]
    pub const fn from_u64(epoch: u64) -> Self {
        Self(epoch)
    }

    /// The number, as stored.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The next epoch. It is not before the present in milliseconds, so that epochs go on growing where the last
    /// one was lost: a counter that began at zero again would make revocations void.
    #[must_use]
    pub fn next(self, now: Timestamp) -> Self {
        Self(self.0.saturating_add(1).max(now.as_millis()))
    }
}

/// The login of a session, if there was one: what a store keeps of it besides the principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// Which login.
    pub stamp: LoginStamp,
    /// The epoch of the principal's logins in which it took place; the first where there is no index of them.
    pub epoch: Epoch,
    /// When it took place.
    pub at: Timestamp,
}

impl Login {
    /// A login.
    #[must_use]
    pub const fn new(stamp: LoginStamp, epoch: Epoch, at: Timestamp) -> Self {
        Self { stamp, epoch, at }
    }
}

/// Whose a session has to be for a deletion to end it.
#[derive(Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "stores must handle every condition"
)]
pub enum Whose {
    /// Theirs who logged in by this login, or nobody's. What a logout names: a rotation of the secret that
    /// happens meanwhile does not save the session, a later login does.
    Login(LoginStamp),
    /// Theirs whose secret has this hash. For sessions whose record cannot be read.
    Secret(SecretHash),
}

impl Whose {
    /// Whether that session is theirs.
    #[must_use]
    pub fn is(&self, record: &Record) -> bool {
        match self {
            Self::Login(stamp) => record.login().stamp == *stamp,
            Self::Secret(hash) => record.secret_hash() == *hash,
        }
    }

    /// Whether stored bytes are theirs, for stores that keep bytes: in whatever format, and however damaged the
    /// rest is, since the places of the two fields are the same in every format. Bytes that are too few
    /// for a record are anybody's.
    #[must_use]
    pub fn is_stored_in(&self, stored: &[u8]) -> bool {
        let (at, expected) = self.stored_field();
        stored.len() <= RECORD_HEADER_BYTES
            || stored.get(at..at + expected.len()) == Some(&expected[..])
    }

    /// At which offset of a stored record the condition's field lies, and what must stand there.
    #[must_use]
    pub fn stored_field(&self) -> (usize, Vec<u8>) {
        match self {
            Self::Login(stamp) => (layout::STAMP, stamp.0.to_be_bytes().to_vec()),
            Self::Secret(hash) => (layout::SECRET_HASH, hash.as_bytes().to_vec()),
        }
    }
}

impl fmt::Debug for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login(_) => "Login(..)",
            Self::Secret(_) => "Secret(..)",
        })
    }
}
