//! The cookie's value. `docs/cookie-format.md` shows it byte by byte, with test vectors.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::TokenKeys;
use crate::{SessionId, SessionSecret, Version};

/// What a cookie says: whose session, the credential for it, and the version last seen.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: SessionId,
    pub(crate) secret: SessionSecret,
    pub(crate) version: Version,
}

impl Token {
    /// The cookie's value: 88 characters of `[A-Za-z0-9_-]`.
    pub(crate) fn sign(&self, keys: &TokenKeys) -> String {
        let mut bytes = Zeroizing::new([0; BYTES]);
        let mut rest = &mut bytes[..];
        for part in [
            &[FORMAT, keys.signing_id()][..],
            self.id.as_bytes(),
            self.secret.as_bytes(),
            &self.version.counter().to_be_bytes(),
            &self.version.tag().to_be_bytes(),
        ] {
            let (place, after) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = after;
        }
        let (message, code) = bytes.split_at_mut(SIGNED_BYTES);
        code.copy_from_slice(&keys.sign(message));
        URL_SAFE_NO_PAD.encode(*bytes)
    }
}

/// A cookie's value as it came, of the right length but not verified yet.
#[derive(Clone)]
pub(crate) struct RawToken([u8; CHARACTERS]);

impl RawToken {
    /// Takes a value, if it has the length of one.
    pub(crate) fn new(value: &[u8]) -> Option<Self> {
        value.try_into().ok().map(Self)
    }

    /// Checks the code before anything else is looked at; `true` beside the token if the ring's
    /// signing key made it.
    pub(crate) fn verify(&self, keys: &TokenKeys) -> Result<(Token, bool), Refused> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        let length = URL_SAFE_NO_PAD.decode_slice(self.0, &mut bytes[..]);
        if length != Ok(BYTES) {
            return Err(Refused::Malformed);
        }
        let (message, code) = bytes.split_at(SIGNED_BYTES);
        let code = code.try_into().map_err(|_| Refused::Malformed)?;
        if message[0] != FORMAT {
            return Err(Refused::Format);
        }
        let key_id = message[1];
        match keys.verify(key_id, message, code) {
            Some(true) => {}
            Some(false) => return Err(Refused::Code),
            None => return Err(Refused::Key),
        }
        let token = Token {
            id: SessionId::from_bytes(part(message, 2)),
            secret: SessionSecret::from_bytes(part(message, 18)),
            version: Version::new(
                u64::from_be_bytes(part(message, 34)),
                u64::from_be_bytes(part(message, 42)),
            ),
        };
        Ok((token, key_id == keys.signing_id()))
    }
}

/// In constant time: one of the two may be planted, by somebody who would like to learn the other.
impl PartialEq for RawToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for RawToken {}

/// Why a cookie's value is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not 88 characters of base64url.
    Malformed,
    /// A format that this version does not know.
    Format,
    /// Signed with a key that is not in the ring.
    Key,
    /// The authentication code is wrong.
    Code,
}

impl Refused {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Format => "unknown_format",
            Self::Key => "unknown_key",
            Self::Code => "bad_mac",
        }
    }
}

fn part<const N: usize>(message: &[u8], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&message[at..at + N]);
    bytes
}

const FORMAT: u8 = 1;
/// Format, key id, session id, secret, version.
const SIGNED_BYTES: usize = 1 + 1 + 16 + 16 + 8 + 8;
const BYTES: usize = SIGNED_BYTES + 16;
const CHARACTERS: usize = BYTES / 3 * 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyRing;

    fn keys(ring: &KeyRing) -> TokenKeys {
        ring.token_keys("session", "")
    }

    fn token() -> Token {
        Token {
            id: SessionId::from_bytes([1; 16]),
            secret: SessionSecret::from_bytes([2; 16]),
            version: Version::new(3, 4),
        }
    }

    fn verify(value: &str, keys: &TokenKeys) -> Result<(Token, bool), Refused> {
        RawToken::new(value.as_bytes())
            .ok_or(Refused::Malformed)?
            .verify(keys)
    }

    #[test]
    fn a_signed_token_reads_back() {
        let keys = keys(&KeyRing::generate().unwrap());
        let value = token().sign(&keys);
        assert_eq!(value.len(), CHARACTERS);
        let (read, is_current) = verify(&value, &keys).unwrap();
        assert_eq!((read.id, read.version), (token().id, token().version));
        assert_eq!(read.secret.as_bytes(), token().secret.as_bytes());
        assert!(is_current);
    }

    #[test]
    fn the_documented_vectors_are_what_is_signed_and_verified() {
        let ring = KeyRing::documented();
        for (vector, name, application, version) in [
            (
                "default",
                "__Host-session",
                "",
                Version::new(1, 0x1122_3344_5566_7788),
            ),
            (
                "application",
                "session",
                "shop",
                Version::new(1_099_511_627_783, 0xffee_ddcc_bbaa_9988),
            ),
        ] {
            let value = documented(&format!("value {vector}"));
            let bytes = hexadecimal(&documented(&format!("hex {vector}")));
            assert_eq!(URL_SAFE_NO_PAD.encode(&bytes), value, "{vector}");

            let keys = ring.token_keys(name, application);
            let (token, is_current) = verify(&value, &keys).unwrap();
            assert!(is_current);
            assert_eq!(token.id.as_bytes(), &bytes[2..18]);
            assert_eq!(token.secret.as_bytes(), &bytes[18..34]);
            assert_eq!(token.version, version);
            assert_eq!(token.sign(&keys), value, "{vector}");
            let correlation = format!("`{:016x}`", keys.correlation(token.id));
            assert!(PAGE.contains(&correlation), "{vector}: {correlation}");
        }
    }

    #[test]
    fn s11_a_value_survives_a_proxy_that_decodes_plus_signs() {
        let value = token().sign(&keys(&KeyRing::generate().unwrap()));
        assert!(
            value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        );
    }

    #[test]
    fn s31_every_flipped_bit_and_every_truncation_is_refused() {
        let keys = keys(&KeyRing::generate().unwrap());
        let value = token().sign(&keys);
        let bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(
                verify(&URL_SAFE_NO_PAD.encode(flipped), &keys).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..value.len() {
            assert!(
                verify(&value[..length], &keys).is_err(),
                "{length} characters"
            );
        }
        assert!(verify(&format!("{value}A"), &keys).is_err());
        assert!(verify(&format!("{}=", &value[..87]), &keys).is_err());
    }

    #[test]
    fn s31_swapped_fields_are_refused() {
        let keys = keys(&KeyRing::generate().unwrap());
        let mut bytes = URL_SAFE_NO_PAD.decode(token().sign(&keys)).unwrap();
        let (id, secret) = bytes[2..34].split_at_mut(16);
        id.swap_with_slice(secret);
        assert_eq!(
            verify(&URL_SAFE_NO_PAD.encode(bytes), &keys).unwrap_err(),
            Refused::Code
        );
    }

    #[test]
    fn s32_a_verifying_key_is_accepted_and_a_removed_one_refused() {
        let draw = || {
            let mut key = [0; 32];
            crate::Entropy::fill(&crate::OsEntropy, &mut key).unwrap();
            key
        };
        let (old, new, rotated) = loop {
            let (old, new) = (draw(), draw());
            if let Ok(ring) = KeyRing::new(new).unwrap().and_verifying(old) {
                break (old, new, keys(&ring));
            }
        };
        let value = token().sign(&keys(&KeyRing::new(old).unwrap()));
        let (_, is_current) = verify(&value, &rotated).unwrap();
        assert!(!is_current);
        let without = keys(&KeyRing::new(new).unwrap());
        assert_eq!(verify(&value, &without).unwrap_err(), Refused::Key);
        // The key id is part of what is signed: claiming the other key does not help.
        let mut bytes = URL_SAFE_NO_PAD.decode(&value).unwrap();
        bytes[1] = without.signing_id();
        assert_eq!(
            verify(&URL_SAFE_NO_PAD.encode(bytes), &without).unwrap_err(),
            Refused::Code
        );
    }

    const PAGE: &str = include_str!("../../../../docs/cookie-format.md");

    /// The text of a fenced block on the page.
    fn documented(label: &str) -> String {
        let (_, block) = PAGE.split_once(&format!("```{label}\n")).unwrap();
        block.split("\n```").next().unwrap().to_owned()
    }

    /// The bytes of a block whose lines are hexadecimal digits and a comment behind `#`.
    fn hexadecimal(block: &str) -> Vec<u8> {
        let digits = block.lines().filter_map(|line| line.split('#').next());
        digits
            .flat_map(str::split_whitespace)
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect()
    }
}
