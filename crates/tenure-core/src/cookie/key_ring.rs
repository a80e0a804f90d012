//! The keys that sign cookies.

use std::{env, fmt, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    SessionId,
    entropy::{Entropy, EntropyError, OsEntropy},
};

/// The secret keys of an application: one that signs, and any number that only verify.
///
/// All nodes of a cluster need the same ring. To replace a key, first add the new one as a verifying
/// key on all nodes, then make it the signing key and keep the old one for verifying, and drop the
/// old one when no session from before can be alive any more. A cookie under a verifying key is
/// accepted and issued anew.
///
/// Make a key with `openssl rand -hex 32`.
///
/// # Security
///
/// A key has 32 bytes or more. Keys that are evidently not random are refused: repeated or counted-up
/// bytes, few different bytes, and those that the documentation shows.
pub struct KeyRing {
    /// The signing key first.
    keys: Vec<Key>,
}

impl KeyRing {
    /// A ring of one signing key, 32 bytes or more of raw key material.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the key is short or evidently not random.
    pub fn new(signing_key: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        Ok(Self {
            keys: vec![Key::new(signing_key.as_ref())?],
        })
    }

    /// Adds a key that verifies but does not sign.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the key is short, evidently not random, or in the ring already.
    pub fn and_verifying(mut self, key: impl AsRef<[u8]>) -> Result<Self, KeyError> {
        let key = Key::new(key.as_ref())?;
        if self.keys.iter().any(|known| known.bytes == key.bytes) {
            return Err(KeyError::Twice);
        }
        if self.keys.iter().any(|known| known.id == key.id) {
            return Err(KeyError::SameId);
        }
        self.keys.push(key);
        Ok(self)
    }

    /// Reads a ring from an environment variable: keys in hexadecimal, separated by commas, the
    /// signing key first.
    ///
    /// # Errors
    ///
    /// [`KeyError`] if the variable is not set or does not hold such a list.
    pub fn from_env(variable: &str) -> Result<Self, KeyError> {
        let Ok(text) = env::var(variable) else {
            return Err(KeyError::NotSet {
                variable: variable.to_owned(),
            });
        };
        Zeroizing::new(text).parse()
    }

    /// A ring of one new random key, for a single process: cookies from before a restart are
    /// worthless after it.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the system's generator fails.
    pub fn generate() -> Result<Self, EntropyError> {
        let mut bytes = Zeroizing::new(vec![0; Key::MIN_BYTES]);
        OsEntropy.fill(&mut bytes)?;
        let key = Key::of(bytes);
        Ok(Self { keys: vec![key] })
    }

    /// The ring of the documentation's test vectors, which nobody else can make.
    #[cfg(test)]
    pub(super) fn documented() -> Self {
        let key = |bytes: &&[u8]| Key::of(Zeroizing::new(bytes.to_vec()));
        Self {
            keys: DOCUMENTED.iter().map(key).collect(),
        }
    }

    /// The keys for one cookie of one application.
    pub(crate) fn token_keys(&self, cookie_name: &str, application: &str) -> TokenKeys {
        let derive = |key: &Key, purpose: &str| {
            let mut mac = hmac(&key.bytes);
            for part in [purpose, cookie_name, application] {
                // Lengths first, so that no two sets of parts run together to the same text.
                mac.update(&(part.len() as u64).to_be_bytes());
                mac.update(part.as_bytes());
            }
            hmac(&mac.finalize().into_bytes())
        };
        TokenKeys {
            macs: self
                .keys
                .iter()
                .map(|key| (key.id, derive(key, "tenure cookie")))
                .collect(),
            correlation: derive(&self.keys[0], "tenure correlation"),
        }
    }
}

impl FromStr for KeyRing {
    type Err = KeyError;

    fn from_str(list: &str) -> Result<Self, KeyError> {
        let mut keys = list.split(',').map(|key| decode_hex(key.trim()));
        // `split` yields at least one item, if an empty one, which is then too short.
        let signing_key = keys.next().unwrap_or(Err(KeyError::NotHexadecimal))?;
        keys.try_fold(Self::new(&*signing_key)?, |ring, key| {
            ring.and_verifying(&*key?)
        })
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

/// A key, or a list of keys, that must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The environment variable is not set.
    #[error("the environment variable {variable} is not set; `openssl rand -hex 32` makes a key")]
    #[non_exhaustive]
    NotSet {
        /// The variable's name.
        variable: String,
    },
    /// A key is not written in hexadecimal.
    #[error("a key is not an even number of hexadecimal digits")]
    NotHexadecimal,
    /// A key is too short.
    #[error("a key has {bytes} bytes; 32 are the least")]
    #[non_exhaustive]
    TooShort {
        /// The key's length.
        bytes: usize,
    },
    /// A key is evidently not random.
    #[error("a key is evidently not random; `openssl rand -hex 32` makes one")]
    NotRandom,
    /// A key stands in the documentation for everyone to read.
    #[error("a key was copied from the documentation; `openssl rand -hex 32` makes one")]
    Documented,
    /// The same key is in the ring twice.
    #[error("a key is in the ring twice")]
    Twice,
    /// Two keys have the same one-byte id, which happens once in 256 pairs.
    #[error("two keys happen to have the same id; replace the newer one by another random key")]
    SameId,
}

struct Key {
    /// Tells which key of the ring signed a cookie. Derived from the key, so that it needs no
    /// bookkeeping and stays the same whichever place in the ring the key has.
    id: u8,
    bytes: Zeroizing<Vec<u8>>,
}

impl Key {
    fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        if bytes.len() < Self::MIN_BYTES {
            return Err(KeyError::TooShort { bytes: bytes.len() });
        }
        if is_evidently_not_random(bytes) {
            return Err(KeyError::NotRandom);
        }
        if DOCUMENTED.contains(&bytes) {
            return Err(KeyError::Documented);
        }
        Ok(Self::of(Zeroizing::new(bytes.to_vec())))
    }

    fn of(bytes: Zeroizing<Vec<u8>>) -> Self {
        let mut digest = Sha256::new_with_prefix(b"tenure key id");
        digest.update(&*bytes);
        let id = digest.finalize()[0];
        Self { id, bytes }
    }

    const MIN_BYTES: usize = 32;
}

/// Computes and checks the codes of one cookie's values.
pub(crate) struct TokenKeys {
    /// The signing key's first. The key schedule is done once, here.
    macs: Vec<(u8, Hmac<Sha256>)>,
    correlation: Hmac<Sha256>,
}

impl TokenKeys {
    pub(crate) fn signing_id(&self) -> u8 {
        self.macs[0].0
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 16] {
        let mut mac = self.macs[0].1.clone();
        mac.update(message);
        let code = mac.finalize().into_bytes();
        std::array::from_fn(|index| code[index])
    }

    /// `None` if the ring has no such key; otherwise whether the code is right, in constant time.
    pub(crate) fn verify(&self, key_id: u8, message: &[u8], code: &[u8; 16]) -> Option<bool> {
        let (_, mac) = self.macs.iter().find(|(id, _)| *id == key_id)?;
        let mut mac = mac.clone();
        mac.update(message);
        Some(mac.verify_truncated_left(code).is_ok())
    }

    /// A name for a session that may appear in logs: the same on all nodes with these keys, and
    /// worthless without them.
    pub(crate) fn correlation(&self, id: SessionId) -> u64 {
        let mut mac = self.correlation.clone();
        mac.update(id.as_bytes());
        let code = mac.finalize().into_bytes();
        u64::from_be_bytes(std::array::from_fn(|index| code[index]))
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKeys({} keys)", self.macs.len())
    }
}

fn hmac(key: &[u8]) -> Hmac<Sha256> {
    // RFC 2104: a key longer than the hash's block is hashed, a shorter one padded with zeros.
    let digest = Sha256::digest(key);
    let key = if key.len() > 64 { &digest[..] } else { key };
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    Hmac::new((&*block).into())
}

/// Whether this is all one byte, a short pattern repeated, counted up or down, or made of so few
/// different bytes that no generator can have drawn it.
fn is_evidently_not_random(key: &[u8]) -> bool {
    let has_period = |period: usize| key[period..].iter().zip(key).all(|(a, b)| a == b);
    let step = key[1].wrapping_sub(key[0]);
    let is_counted = key
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    let mut seen = [false; 256];
    for byte in key {
        seen[usize::from(*byte)] = true;
    }
    let different = seen.iter().filter(|seen| **seen).count();
    (1..=key.len() / 2).any(has_period) || is_counted || different < LEAST_DIFFERENT_BYTES
}

fn decode_hex(text: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err(KeyError::NotHexadecimal);
    }
    let value = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    let byte = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
    let bytes: Option<Vec<u8>> = digits.chunks_exact(2).map(byte).collect();
    bytes.map(Zeroizing::new).ok_or(KeyError::NotHexadecimal)
}

/// Of 32 random bytes, about 30 are different; fewer than 16 come once in 10^17 keys. Text in
/// hexadecimal taken for raw bytes has at most 16, and is a mistake worth catching.
const LEAST_DIFFERENT_BYTES: usize = 17;

/// The keys of the test vectors in `docs/cookie-format.md`.
pub(super) const DOCUMENTED: &[&[u8]] = &[b"tenure documentation key, public"];

#[cfg(test)]
mod tests {
    use super::*;

    fn random_key() -> Vec<u8> {
        let mut key = vec![0; 32];
        OsEntropy.fill(&mut key).unwrap();
        key
    }

    #[test]
    fn s33_weak_short_documented_and_repeated_keys_are_refused() {
        let error = |key: &[u8]| KeyRing::new(key).unwrap_err();
        assert_eq!(error(&[]), KeyError::TooShort { bytes: 0 });
        assert_eq!(error(&random_key()[..31]), KeyError::TooShort { bytes: 31 });
        assert_eq!(error(&[0; 32]), KeyError::NotRandom);
        assert_eq!(error(&[0xff; 64]), KeyError::NotRandom);
        assert_eq!(error(&(0..32).collect::<Vec<u8>>()), KeyError::NotRandom);
        assert_eq!(
            error(&(0..32).rev().collect::<Vec<u8>>()),
            KeyError::NotRandom
        );
        assert_eq!(error(&random_key()[..16].repeat(2)), KeyError::NotRandom);
        assert_eq!(
            error(b"0123456789abcdef0123456789abcdef"),
            KeyError::NotRandom
        );
        assert_eq!(
            error(b"secret-secret-secret-secret-secret!"),
            KeyError::NotRandom
        );
        assert_eq!(error(DOCUMENTED[0]), KeyError::Documented);
        let key = random_key();
        assert_eq!(
            KeyRing::new(&key).unwrap().and_verifying(&key).unwrap_err(),
            KeyError::Twice
        );
    }

    #[test]
    fn random_keys_are_not_taken_for_weak_ones() {
        for _ in 0..2_000 {
            assert!(KeyRing::new(random_key()).is_ok());
        }
    }

    #[test]
    fn a_list_of_hexadecimal_keys_is_read_signing_key_first() {
        let hex = |key: &[u8]| {
            key.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let (first, second) = loop {
            let (first, second) = (random_key(), random_key());
            if KeyRing::new(&first).unwrap().and_verifying(&second).is_ok() {
                break (first, second);
            }
        };
        let ring: KeyRing = format!("{}, {}", hex(&first), hex(&second))
            .parse()
            .unwrap();
        assert_eq!(*ring.keys[0].bytes, first);
        assert_eq!(*ring.keys[1].bytes, second);
        for wrong in ["", "zz", "abc", ","] {
            assert!(wrong.parse::<KeyRing>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn keys_are_apart_for_each_cookie_name_and_application() {
        let ring = KeyRing::generate().unwrap();
        let code = |name, application| ring.token_keys(name, application).sign(b"message");
        let codes = [
            code("a", ""),
            code("b", ""),
            code("a", "b"),
            code("", "ab"),
            code("ab", ""),
        ];
        for (index, one) in codes.iter().enumerate() {
            assert!(!codes[index + 1..].contains(one));
        }
    }
}
