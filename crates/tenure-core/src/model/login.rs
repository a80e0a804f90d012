use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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
        Ok(Self((u64::from_be_bytes(random(source)?) & !ACTING).max(2)))
    }

    /// Draws the stamp of a login by which somebody acts in another one's name.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the generator fails.
    pub fn random_acting(source: &dyn Entropy) -> Result<Self, EntropyError> {
        Ok(Self(u64::from_be_bytes(random(source)?) | ACTING))
    }

    /// Whether somebody acts in another one's name by it. Such logins take nobody's place: no limit counts them.
    /// Odd stamps are theirs.
    #[must_use]
    pub const fn is_acting(self) -> bool {
        self.0 & ACTING != 0
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

const ACTING: u64 = 1;

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

/// As text, for the forms of pages such as "my devices": 32 characters of base64url. It is no secret, and lets nobody
/// do anything.
impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.to_bytes()))
    }
}

impl FromStr for LoginName {
    type Err = InvalidLoginName;

    fn from_str(text: &str) -> Result<Self, InvalidLoginName> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let name = bytes.and_then(|bytes| Self::from_bytes(&bytes));
        name.ok_or(InvalidLoginName)
    }
}

/// A text that names no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text names no login")]
#[non_exhaustive]
pub struct InvalidLoginName;

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

/// Why the login index has refused a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoginRefusal {
    /// The user has as many logins as they [may have](crate::SessionManagerBuilder::max_sessions), and none is to
    /// be ended for this one. Nothing was written.
    #[error("the user has as many logins as are allowed")]
    TooMany,
    /// The user's logins were ended while this one was under way, or after its
    /// [fence](crate::LoginOptions::fence) was taken: whatever it was based on, as the old password, may not count any
    /// more.
    #[error("the user's logins were ended meanwhile")]
    Revoked,
    /// Other logins of the user took the place of this one while it was under way.
    #[error("other logins of the user took its place")]
    Displaced,
    /// The user [may not log in](crate::LoginIndex::block).
    #[error("the user may not log in")]
    Blocked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_can_be_named_in_a_form() {
        let name = LoginName::new(SessionId::from_bytes([7; 16]), LoginStamp::from_u64(9));
        let text = name.to_string();
        assert_eq!((text.len(), text.parse()), (32, Ok(name)));
        for other in [
            "",
            "x",
            &text[1..],
            &format!("{text}AAAA"),
            "!".repeat(32).as_str(),
        ] {
            assert_eq!(other.parse::<LoginName>(), Err(InvalidLoginName), "{other}");
        }
    }

    #[test]
    fn a_stamp_tells_acting_from_logging_in() {
        use crate::OsEntropy;
        for _ in 0..100 {
            assert!(!LoginStamp::random(&OsEntropy).unwrap().is_acting());
            assert!(LoginStamp::random_acting(&OsEntropy).unwrap().is_acting());
        }
        assert!(!LoginStamp::NOBODY.is_acting());
    }

    #[test]
    fn epochs_grow_also_where_the_clock_does_not_and_jump_over_what_was_lost() {
        let at = Timestamp::from_millis;
        assert_eq!(Epoch::default().next(at(1000)), Epoch::from_u64(1000));
        assert_eq!(Epoch::from_u64(1000).next(at(900)), Epoch::from_u64(1001));
        assert_eq!(
            Epoch::from_u64(u64::MAX).next(at(0)),
            Epoch::from_u64(u64::MAX)
        );
    }
}
