//! Looking for what must not be there.

use std::{collections::HashMap, fmt};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::CookieParts;

/// Byte strings that must appear nowhere, in every form in which a program might print them.
pub struct Secrets {
    /// By their first bytes, so that a search costs one look-up per position, however many there are.
    needles: HashMap<[u8; PREFIX], Vec<(&'static str, Vec<u8>)>>,
    /// Which hashes of first bytes there are, so that most positions do not even cost that.
    hashes: Vec<bool>,
}

impl Secrets {
    /// Nothing to look for, so far.
    #[must_use]
    pub fn new() -> Self {
        Self {
            needles: HashMap::new(),
            hashes: vec![false; 1 << HASH_BITS],
        }
    }

    /// Adds a cookie's value, its secret and its code.
    pub fn add_credential(&mut self, value: &str) {
        let cookie = CookieParts::of(value);
        self.add_text("cookie value", value);
        // Where the secret and the code lie in the value's text.
        self.add_text("secret within a cookie value", &value[24..45]);
        self.add_text("code within a cookie value", &value[67..88]);
        self.add_bytes("secret", &cookie.secret());
        self.add_bytes("code", &cookie.code());
    }

    /// Adds the id of a cookie's session.
    pub fn add_id(&mut self, value: &str) {
        let id = CookieParts::of(value).id();
        self.add_text("id within a cookie value", &value[3..24]);
        self.add_text("hyphenated id", &id.as_uuid().hyphenated().to_string());
        let upper = id.as_uuid().hyphenated().to_string().to_ascii_uppercase();
        self.add_text("upper-case id", &upper);
        self.add_bytes("id", id.as_bytes());
    }

    /// Adds a text of 12 bytes or more.
    ///
    /// # Panics
    ///
    /// If it is shorter.
    pub fn add_text(&mut self, what: &'static str, text: &str) {
        self.add(what, text.as_bytes());
    }

    /// What of all this a text contains, with the text around the first find.
    #[must_use]
    pub fn find_in(&self, text: impl AsRef<[u8]>) -> Option<Leak> {
        let text = text.as_ref();
        let mut at = 0;
        while let Some(prefix) = text.get(at..).and_then(<[u8]>::first_chunk) {
            if self.hashes[hash(prefix)]
                && let Some(what) = self.find_at(&text[at..], prefix)
            {
                let from = text[..at].iter().rposition(|byte| *byte == b'\n');
                let to = text[at..].iter().position(|byte| *byte == b'\n');
                let line =
                    &text[from.map_or(0, |end| end + 1)..to.map_or(text.len(), |to| at + to)];
                let around = String::from_utf8_lossy(line).into_owned();
                return Some(Leak { what, around });
            }
            at += 1;
        }
        None
    }

    fn find_at(&self, text: &[u8], prefix: &[u8; PREFIX]) -> Option<&'static str> {
        let mut needles = self.needles.get(prefix)?.iter();
        needles.find_map(|(what, needle)| text.starts_with(needle).then_some(*what))
    }

    fn add_bytes(&mut self, what: &'static str, bytes: &[u8]) {
        let hex = |byte: &u8| format!("{byte:02x}");
        let lower: String = bytes.iter().map(hex).collect();
        self.add(what, lower.to_ascii_uppercase().as_bytes());
        self.add(what, lower.as_bytes());
        self.add(what, STANDARD.encode(bytes).as_bytes());
        self.add(what, URL_SAFE_NO_PAD.encode(bytes).as_bytes());
        self.add(what, bytes.escape_ascii().to_string().as_bytes());
        self.add(what, bytes);
        // As `Debug` prints a slice.
        let list: Vec<_> = bytes.iter().map(u8::to_string).collect();
        self.add(what, list.join(", ").as_bytes());
    }

    fn add(&mut self, what: &'static str, needle: &[u8]) {
        let prefix = needle.first_chunk().expect("a needle of 12 bytes or more");
        self.hashes[hash(prefix)] = true;
        let needles = self.needles.entry(*prefix).or_default();
        if !needles.iter().any(|(_, known)| known == needle) {
            needles.push((what, needle.to_vec()));
        }
    }
}

impl Default for Secrets {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.needles.len())
    }
}

/// A secret where none must be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// What was found.
    pub what: &'static str,
    /// The line in which it was found.
    pub around: String,
}

/// Mixes the first bytes of a needle. Nobody chooses them to collide.
fn hash(prefix: &[u8; PREFIX]) -> usize {
    let (first, last) = (prefix[..8].try_into(), prefix[4..].try_into());
    let mixed = u64::from_le_bytes(first.expect("8 bytes"))
        ^ u64::from_le_bytes(last.expect("8 bytes")).rotate_left(29);
    let mixed = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - HASH_BITS);
    usize::try_from(mixed).expect("fewer bits than a pointer has")
}

const PREFIX: usize = 12;
const HASH_BITS: u32 = 22;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let mut cookie = [0; CookieParts::BYTES];
        for (byte, value) in cookie.iter_mut().zip(150..) {
            *byte = value;
        }
        let value = URL_SAFE_NO_PAD.encode(cookie);
        let mut secrets = Secrets::new();
        secrets.add_credential(&value);
        secrets.add_id(&value);
        let secret = CookieParts::of(&value).secret();
        let id = CookieParts::of(&value).id();
        for leak in [
            format!("cookie: session={value}"),
            format!("{secret:?}"),
            format!("{:x}", u128::from_be_bytes(secret)),
            id.as_uuid().to_string(),
            id.as_uuid().simple().to_string(),
            format!("key tenure:{}\nnext line", id.as_uuid()),
        ] {
            assert!(secrets.find_in(&leak).is_some(), "{leak}");
        }
        assert_eq!(secrets.find_in("nothing of the kind is in here"), None);
    }
}
