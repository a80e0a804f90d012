//! What a session cookie's value is made of.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tenure_core::SessionId;

/// A session cookie's value, taken apart: format, key id, session id, secret, counter, tag, code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieParts([u8; Self::BYTES]);

impl CookieParts {
    /// Takes a value apart, whether it is genuine or not.
    ///
    /// # Panics
    ///
    /// If it does not even have the form of one.
    #[must_use]
    pub fn of(value: &str) -> Self {
        let bytes = URL_SAFE_NO_PAD.decode(value).expect("base64url");
        Self(bytes.try_into().expect("66 bytes"))
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        SessionId::from_bytes(self.part(2))
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> [u8; 16] {
        self.part(18)
    }

    /// The version's counter.
    #[must_use]
    pub fn counter(&self) -> u64 {
        u64::from_be_bytes(self.part(34))
    }

    /// The authentication code.
    #[must_use]
    pub fn code(&self) -> [u8; 16] {
        self.part(50)
    }

    /// All bytes, to read and to change.
    pub const fn bytes(&mut self) -> &mut [u8; Self::BYTES] {
        &mut self.0
    }

    /// Puts the value together again.
    #[must_use]
    pub fn value(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|index| self.0[at + index])
    }

    /// How many bytes a value stands for.
    pub const BYTES: usize = 66;
}
