//! What a session cookie's value says.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The parts of a session cookie that the checker reasons with. See `docs/cookie-format.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) session: SessionName,
    pub(crate) secret: Secret,
    pub(crate) counter: u64,
}

/// A session's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionName(pub(crate) u128);

/// A secret, of sessions that live for seconds and on the loopback interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Secret(pub(crate) u128);

impl Token {
    /// Takes a value apart, genuine or not. `None` if it does not have the form of one.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let number = |at: usize| Some(u128::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        Some(Self {
            session: SessionName(number(SESSION)?),
            secret: Secret(number(SECRET)?),
            counter: u64::from_be_bytes(*bytes.get(COUNTER..)?.first_chunk()?),
        })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.session, self.secret, self.counter)
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(self.0))
    }
}

impl fmt::Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(self.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Enough to tell apart those of one round.
fn shortened(number: u128) -> String {
    let digits = format!("{number:032x}");
    digits[digits.len() - 6..].to_owned()
}

const SESSION: usize = 2;
const SECRET: usize = 18;
const COUNTER: usize = 34;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_where_the_format_has_them() {
        let mut bytes = [0; 66];
        bytes[17] = 1;
        bytes[33] = 2;
        bytes[41] = 3;
        let token = Token::parse(&URL_SAFE_NO_PAD.encode(bytes)).unwrap();
        assert_eq!(token.session, SessionName(1));
        assert_eq!(token.secret, Secret(2));
        assert_eq!(token.counter, 3);
        assert_eq!(token.to_string(), "000001/000002@3");
    }

    #[test]
    fn what_is_no_token_is_none() {
        assert_eq!(Token::parse(""), None);
        assert_eq!(Token::parse("AAAA"), None);
        assert_eq!(Token::parse("the-application's"), None);
    }
}
