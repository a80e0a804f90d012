//! What a session cookie says, after `docs/cookie-format.md`.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use tenure_core::{SecretHash, SessionId, Version};

/// A cookie, read without any key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) id: SessionId,
    pub(crate) secret: SecretHash,
    pub(crate) version: Version,
}

impl Cookie {
    /// Reads `name=value`, with or without attributes.
    pub(crate) fn parse(field: &str) -> Option<Self> {
        let value = field.split(';').next()?.split_once('=')?.1;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(value).ok()?;
        let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        Some(Self {
            id: SessionId::from_bytes(bytes.get(2..18)?.try_into().ok()?),
            secret: SecretHash::from_bytes(Sha256::digest(bytes.get(18..34)?).into()),
            version: Version::new(number(34)?, number(42)?),
        })
    }
}
