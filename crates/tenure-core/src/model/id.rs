use std::{collections::HashMap, fmt};

use uuid::Uuid;

use crate::entropy::{Entropy, EntropyError, random};

/// Names a session for its whole life; a random (version 4) UUID.
///
/// It is the storage key, and it is never reused: after a deletion nothing is ever stored under the
/// same id again.
///
/// # Security
///
/// The id is not a credential: whoever knows it, without the [`SessionSecret`], gets nothing. It is
/// kept out of logs all the same, so there is no `Display`, and `Debug` hides it.
///
/// [`SessionSecret`]: crate::SessionSecret
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

/// Things by session. Nobody can choose ids that collide, since they are random and cookies are
/// authenticated; so the hash is one for speed.
pub(crate) type BySession<T> = HashMap<SessionId, T, foldhash::fast::RandomState>;

impl SessionId {
    /// Draws a new id.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the generator fails.
    pub fn random(source: &dyn Entropy) -> Result<Self, EntropyError> {
        let bytes = random(source)?;
        Ok(Self(uuid::Builder::from_random_bytes(bytes).into_uuid()))
    }

    /// The id that a store or a cookie wrote down as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes of the UUID.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The UUID, for stores that have a type for it or need its text.
    #[must_use]
    pub const fn as_uuid(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}
