//! Looking for what must not be there.

use std::{fmt, sync::OnceLock};

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use crate::CookieParts;

/// Byte strings that must appear nowhere, in every form in which a program might print them.
#[derive(Default)]
pub struct Secrets {
    needles: Vec<(&'static str, Vec<u8>)>,
    /// Finds all of them in one pass. Made by the first search after an addition.
    matcher: OnceLock<AhoCorasick>,
}

impl Secrets {
    /// Nothing to look for, so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
    ///
    /// # Panics
    ///
    /// If there is more to look for than a search can hold: gigabytes.
    #[must_use]
    pub fn find_in(&self, text: impl AsRef<[u8]>) -> Option<Leak> {
        let text = text.as_ref();
        let matcher = self.matcher.get_or_init(|| {
            let needles = self.needles.iter().map(|(_, needle)| needle);
            AhoCorasick::new(needles).expect("fewer states than a search can hold")
        });
        let found = matcher.find(text)?;
        let is_end = |byte: &u8| *byte == b'\n';
        let from = text[..found.start()].iter().rposition(is_end);
        let to = text[found.end()..].iter().position(is_end);
        let line =
            from.map_or(0, |end| end + 1)..to.map_or(text.len(), |length| found.end() + length);
        Some(Leak {
            what: self.needles[found.pattern().as_usize()].0,
            around: String::from_utf8_lossy(&text[line]).into_owned(),
        })
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
        assert!(needle.len() >= SHORTEST, "chance would find that");
        self.matcher.take();
        self.needles.push((what, needle.to_vec()));
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

const SHORTEST: usize = 12;

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
