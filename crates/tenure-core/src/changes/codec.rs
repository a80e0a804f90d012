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
        expected: std::any::type_name::<T>(),
        reason: reason(&error),
    })
}

/// What the decoder said, without what it may have quoted from the value.
fn reason(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error::{Syntax, TypeMismatch, Uncategorized};
    let said = match error {
        Syntax(said) | Uncategorized(said) => said,
        // Small numbers are part of the marker that it would name.
        TypeMismatch(_) => return "another kind of value".to_owned(),
        other => return other.to_string(),
    };
    // The forms of serde: field names and what was expected are the type's, the rest the value's.
    if said.starts_with("missing field ") {
        return said.clone();
    }
    let wanted = said
        .starts_with("invalid ")
        .then(|| said.rsplit_once(", expected "));
    match wanted.flatten() {
        Some((_, wanted)) => format!("expected {wanted}"),
        None => "refused by the type".to_owned(),
    }
}

pub(crate) fn decode_optional<T: DeserializeOwned>(
    name: &Name,
    bytes: Option<&[u8]>,
) -> Result<Option<T>, SessionError> {
    bytes.map(|bytes| decode(name, bytes)).transpose()
}

/// Deep enough for any sensible type, shallow enough for any stack.
const MAX_DEPTH: usize = 64;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::model::IntoName;

    #[derive(Debug, Deserialize)]
    struct User {
        #[expect(dead_code, reason = "only decoded")]
        age: u8,
    }

    fn refusal<T: DeserializeOwned + std::fmt::Debug>(value: impl Serialize) -> String {
        let name = "user".into_name().unwrap();
        let bytes = encode(&name, &value).unwrap();
        let error = decode::<T>(&name, &bytes).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        error.to_string()
    }

    #[test]
    fn s35_a_value_of_another_type_is_explained_without_quoting_it() {
        let not = |what: &str, reason: &str| {
            format!("the session value \"user\" is not a {what}: {reason}")
        };
        let kind = "another kind of value";
        assert_eq!(refusal::<u64>("hunter2"), not("u64", kind));
        assert_eq!(
            refusal::<String>(7),
            not("alloc::string::String", "expected a string")
        );
        let tuple = std::any::type_name::<(u8, u8)>();
        assert_eq!(
            refusal::<(u8, u8)>(vec![1]),
            not(tuple, "expected a tuple of size 2")
        );
        let user = std::any::type_name::<User>();
        assert_eq!(
            refusal::<User>(std::collections::BTreeMap::from([("hunter2", 1)])),
            not(user, "missing field `age`")
        );
    }
}
