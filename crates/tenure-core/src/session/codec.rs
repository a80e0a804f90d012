//! Values as bytes: MessagePack with field names.
//!
//! Field names let a struct gain and lose fields across a rolling deployment, which compact forms
//! do not.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::SessionError;
use crate::model::{MAX_VALUE_BYTES, Name};

pub(crate) fn encode<T: Serialize + ?Sized>(name: &Name, value: &T) -> Result<Bytes, SessionError> {
    let encoded = rmp_serde::to_vec_named(value).map_err(|error| SessionError::Encode {
        key: name.as_str().to_owned(),
        source: Arc::new(error),
    })?;
    if encoded.len() > MAX_VALUE_BYTES {
        return Err(SessionError::TooLarge {
            bytes: encoded.len(),
            limit: MAX_VALUE_BYTES,
        });
    }
    Ok(encoded.into())
}

pub(crate) fn decode<T: DeserializeOwned>(name: &Name, bytes: &[u8]) -> Result<T, SessionError> {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder).map_err(|error| SessionError::Decode {
        key: name.as_str().to_owned(),
        source: Arc::new(error),
    })
}

pub(crate) fn decode_optional<T: DeserializeOwned>(
    name: &Name,
    bytes: Option<&[u8]>,
) -> Result<Option<T>, SessionError> {
    bytes.map(|bytes| decode(name, bytes)).transpose()
}

/// Deep enough for any sensible type, shallow enough for any stack.
const MAX_DEPTH: usize = 64;
