//! Names of values.

use std::{borrow::Cow, fmt, marker::PhantomData};

/// A typed name of a session value.
///
/// A constant of this type ties a name to the type that is stored under it, so that two parts of an
/// application cannot disagree on it:
///
/// ```
/// use tenure_core::Key;
///
/// const VISITS: Key<u64> = Key::new("visits");
/// const RESET_EMAIL: Key<String> = Key::new("email").in_namespace("password-reset");
/// ```
///
/// # Security
///
/// A namespace keeps the values of one flow from satisfying the checks of another ("session
/// puzzling", OWASP WSTG-SESS-08): `email` of `password-reset` and `email` of `sign-up` are
/// different values.
pub struct Key<T> {
    namespace: Option<&'static str>,
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// Names a value.
    ///
    /// # Panics
    ///
    /// If the name is empty, longer than 255 bytes or holds a control character; in a constant that
    /// is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(is_valid(name), "{}", RULES);
        Self {
            namespace: None,
            name,
            value: PhantomData,
        }
    }

    /// The same name, within a namespace.
    ///
    /// # Panics
    ///
    /// If the namespace is empty or holds a control character, or if it is longer than 255 bytes
    /// together with the name; in a constant that is a compile error.
    #[must_use]
    pub const fn in_namespace(self, namespace: &'static str) -> Self {
        assert!(is_valid(namespace), "{}", RULES);
        assert!(
            namespace.len() + 1 + self.name.len() <= MAX_BYTES,
            "{}",
            RULES
        );
        Self {
            namespace: Some(namespace),
            name: self.name,
            value: PhantomData,
        }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .finish()
    }
}

/// What names a session value of type `T`: a typed [`Key`], or a string for any type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session value of type `{T}`",
    label = "expected a string or a `Key<{T}>`",
    note = "a `Key<A>` names values of type `A` only; see `tenure_core::Key`"
)]
pub trait SessionKey<T>: AnyKey {}

impl<T> SessionKey<T> for Key<T> {}
impl<T> SessionKey<T> for &str {}
impl<T> SessionKey<T> for String {}
impl<T> SessionKey<T> for &String {}

/// What names a session value of whatever type: a [`Key`] or a string.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not name a session value",
    label = "expected a string or a `Key`"
)]
pub trait AnyKey: IntoName {}

impl<K: IntoName> AnyKey for K {}

/// A name that cannot be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{RULES}")]
#[non_exhaustive]
pub struct InvalidKey;

/// A checked name, as stored.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(unnameable_types, reason = "part of a sealed trait")]
pub struct Name(Cow<'static, str>);

impl Name {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

mod sealed {
    use super::{Cow, InvalidKey, Key, Name, SEPARATOR, is_valid};

    #[expect(unnameable_types, reason = "seals the traits above")]
    pub trait IntoName {
        fn into_name(self) -> Result<Name, InvalidKey>;
    }

    impl<T> IntoName for Key<T> {
        fn into_name(self) -> Result<Name, InvalidKey> {
            Ok(Name(match self.namespace {
                None => Cow::Borrowed(self.name),
                Some(namespace) => Cow::Owned(format!("{namespace}{SEPARATOR}{}", self.name)),
            }))
        }
    }

    impl IntoName for &str {
        fn into_name(self) -> Result<Name, InvalidKey> {
            self.to_owned().into_name()
        }
    }

    impl IntoName for &String {
        fn into_name(self) -> Result<Name, InvalidKey> {
            self.clone().into_name()
        }
    }

    impl IntoName for String {
        fn into_name(self) -> Result<Name, InvalidKey> {
            if is_valid(&self) {
                Ok(Name(Cow::Owned(self)))
            } else {
                Err(InvalidKey)
            }
        }
    }
}

pub(crate) use sealed::IntoName;

const fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > MAX_BYTES {
        return false;
    }
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] < 0x20 || bytes[index] == 0x7f {
            return false;
        }
        index += 1;
    }
    true
}

const MAX_BYTES: usize = 255;

/// A control character (`US`, unit separator), which no name can hold: a namespaced key never
/// equals a plain one.
const SEPARATOR: char = '\u{1f}';

const RULES: &str = "a key has 1 to 255 bytes, its namespace included, and no control characters";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_told_apart_or_printed_are_refused() {
        for name in ["", "a\u{1f}b", "line\n", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(name.into_name(), Err(InvalidKey), "{name:?}");
        }
        assert!("x".repeat(255).into_name().is_ok());
        assert!("ключ with spaces".into_name().is_ok());
    }

    #[test]
    fn a_namespaced_key_differs_from_every_plain_one() {
        let namespaced = Key::<u8>::new("b").in_namespace("a").into_name().unwrap();
        assert_ne!(namespaced, Key::<u8>::new("b").into_name().unwrap());
        assert_eq!(namespaced.as_str().into_name(), Err(InvalidKey));
    }
}
