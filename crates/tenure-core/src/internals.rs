//! What benchmarks measure by itself, although applications meet it only inside of requests.

use crate::{
    KeyRing, SessionId, SessionSecret, Version,
    cookie::{RawToken, Token, TokenKeys},
};

/// A cookie's value, to be signed and verified over and over.
#[derive(Debug)]
pub struct SignedToken {
    keys: TokenKeys,
    token: Token,
}

impl SignedToken {
    /// Some session's.
    #[must_use]
    pub fn new(ring: &KeyRing) -> Self {
        Self {
            keys: ring.token_keys("__Host-session", ""),
            token: Token {
                id: SessionId::from_bytes([1; 16]),
                secret: SessionSecret::from_bytes([2; 16]),
                version: Version::new(3, 4),
            },
        }
    }

    /// Writes and signs the value.
    #[must_use]
    pub fn sign(&self) -> String {
        self.token.sign(&self.keys)
    }

    /// Reads a value; whether it is genuine.
    #[must_use]
    pub fn verify(&self, value: &str) -> bool {
        RawToken::new(value.as_bytes()).is_some_and(|raw| raw.verify(&self.keys).is_ok())
    }
}
