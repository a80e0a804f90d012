use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::entropy::{Entropy, EntropyError, random};

/// The credential in the cookie: 128 bits from the operating system's generator.
///
/// # Security
///
/// 128 bits is twice the 64 that OWASP's Session Management Cheat Sheet and NIST SP 800-63B ask for.
/// It is wiped from memory on drop, hidden from `Debug`, and never stored: a store sees only its
/// [`SecretHash`], so a leaked dump contains no working cookie.
#[derive(Clone)]
pub struct SessionSecret([u8; 16]);

impl SessionSecret {
    /// Draws a new secret.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the generator fails.
    pub fn random(source: &dyn Entropy) -> Result<Self, EntropyError> {
        random(source).map(Self)
    }

    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What a store keeps of it.
    ///
    /// Plain SHA-256: the input is uniformly random and 128 bits long, so neither salt nor a slow
    /// hash would make guessing any harder.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(..)")
    }
}

impl Drop for SessionSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// SHA-256 of a [`SessionSecret`]. Compares in constant time.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash that a store wrote down as these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks();
        std::array::from_fn(|index| u64::from_ne_bytes(words[index]))
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        // By words: the constant-time comparison costs as much for eight bytes as for one.
        self.words().ct_eq(&other.words()).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(..)")
    }
}
