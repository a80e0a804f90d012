use std::fmt;

use super::{RECORD_HEADER_BYTES, Record, SecretHash, layout};
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

/// The login of a session, if there was one: what a store keeps of it besides the principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// Which login.
    pub stamp: LoginStamp,
    /// The epoch of the principal's logins in which it took place; 0 where nobody counts them.
    pub epoch: u64,
    /// When it took place.
    pub at: Timestamp,
}

impl Login {
    /// A login of the first epoch.
    #[must_use]
    pub const fn new(stamp: LoginStamp, at: Timestamp) -> Self {
        Self {
            stamp,
            epoch: 0,
            at,
        }
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
