use std::{fmt, sync::Arc};

/// Who a session belongs to since its login: the application's own name for the user.
///
/// Between 1 and 255 bytes of text. `Debug` hides it, since user names are personal data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Checks and takes a principal's name.
    ///
    /// # Errors
    ///
    /// [`InvalidPrincipal`] if the name is empty or longer than 255 bytes.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidPrincipal> {
        let name = name.as_ref();
        if name.is_empty() || name.len() > Self::MAX_BYTES {
            return Err(InvalidPrincipal { bytes: name.len() });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The longest name, in bytes. Long enough for an email address (254, RFC 5321) or a URI.
    pub const MAX_BYTES: usize = 255;
}

impl AsRef<str> for Principal {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Principal {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Principal {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Principal(..)")
    }
}

/// A principal's name must have between 1 and [`Principal::MAX_BYTES`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a principal's name has 1 to 255 bytes, not {bytes}")]
#[non_exhaustive]
pub struct InvalidPrincipal {
    /// The length of the name that was refused.
    pub bytes: usize,
}
