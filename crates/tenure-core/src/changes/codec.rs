//! Values as bytes: MessagePack with field names, in the human-readable forms.
//!
//! Field names let a struct gain and lose fields across a rolling deployment, which compact forms
//! do not.
//!
//! "Human-readable" is serde's word for the forms that types like `IpAddr` and `Uuid` have in JSON:
//! texts. In their compact forms they could be written and never read again wherever serde holds a
//! value in between, which it does for `flatten`, `tag` and `untagged`: what it holds calls itself
//! human-readable, whatever it came from.

use std::sync::Arc;

use bytes::Bytes;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use super::SessionError;
use crate::model::{MAX_VALUE_BYTES, Name};

pub(crate) fn encode<T: Serialize + ?Sized>(name: &Name, value: &T) -> Result<Bytes, SessionError> {
    let mut encoded = Vec::with_capacity(TYPICAL_BYTES);
    let mut encoder = rmp_serde::Serializer::new(&mut encoded)
        .with_struct_map()
        .with_human_readable();
    let outcome = value.serialize(&mut encoder);
    outcome.map_err(|error| SessionError::Encode {
        key: name.as_str().to_owned(),
        source: Arc::new(error),
    })?;
    // What could not be read again is refused now.
    let is_readable = IgnoredAny::deserialize(&mut decoder(&encoded));
    is_readable.map_err(|error| SessionError::Encode {
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
    T::deserialize(&mut decoder(bytes)).map_err(|error| SessionError::Decode {
        key: name.as_str().to_owned(),
        expected: std::any::type_name::<T>(),
        reason: reason(&error),
    })
}

fn decoder(bytes: &[u8]) -> Decoder<'_> {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable();
    decoder.set_max_depth(MAX_DEPTH);
    decoder
}

type Decoder<'a> = rmp_serde::Deserializer<
    rmp_serde::decode::ReadRefReader<'a, [u8]>,
    rmp_serde::config::HumanReadableConfig<rmp_serde::config::DefaultConfig>,
>;

/// What the decoder said, without what it may have quoted from the value.
fn reason(error: &rmp_serde::decode::Error) -> String {
    use rmp_serde::decode::Error::{Syntax, TypeMismatch, Uncategorized};
    let said = match error {
        Syntax(said) | Uncategorized(said) => said,
        // Small numbers are part of the marker that it would name.
        TypeMismatch(_) => return "another kind of value".to_owned(),
        other => return other.to_string(),
    };
    // The forms of serde, to the letter: field names and what was expected are the type's, the rest the value's.
    // Whatever else a type says may be about the value.
    let field = said.strip_prefix("missing field `");
    let is_name = |name: &str| {
        name.chars()
            .all(|char| char.is_alphanumeric() || char == '_')
    };
    if let Some(field) = field.and_then(|rest| rest.strip_suffix('`'))
        && is_name(field)
    {
        return format!("missing field `{field}`");
    }
    let forms = ["invalid type: ", "invalid value: ", "invalid length "];
    let is_serde_s = forms.iter().any(|form| said.starts_with(form));
    match said.rsplit_once(", expected ") {
        Some((_, wanted)) if is_serde_s => format!("expected {wanted}"),
        _ => "refused by the type".to_owned(),
    }
}

pub(crate) fn decode_optional<T: DeserializeOwned>(
    name: &Name,
    bytes: Option<&[u8]>,
) -> Result<Option<T>, SessionError> {
    bytes.map(|bytes| decode(name, bytes)).transpose()
}

/// Room for most values, so that writing them moves them nowhere.
const TYPICAL_BYTES: usize = 128;

/// As deep as JSON's parsers go by default, and shallow enough for any stack.
const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        fmt::Debug,
        net::{IpAddr, SocketAddr},
    };

    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::Value;
    use uuid::Uuid;

    use super::*;
    use crate::model::IntoName;

    /// Types whose forms differ between JSON and compact formats.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Place {
        address: IpAddr,
        socket: Option<SocketAddr>,
        device: Uuid,
        seen: BTreeMap<IpAddr, (u32, char)>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Flat {
        name: String,
        #[serde(flatten)]
        place: Place,
        #[serde(flatten)]
        others: BTreeMap<String, Option<f64>>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Nowhere,
        Somewhere(Place),
        Named { place: Place, parts: Vec<i64> },
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "content")]
    enum Adjacent {
        Nowhere,
        Somewhere(Place),
        Two(Place, Tagged),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Device(Uuid),
        Address(IpAddr),
        Socket(SocketAddr),
        Somewhere(Place),
        Flag(bool),
        Nothing,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Any {
        Nothing,
        Flat(Flat),
        Tagged(Tagged),
        Adjacent(Adjacent),
        Untagged(Vec<Untagged>),
        Pair(IpAddr, Uuid),
        Named { device: Uuid },
    }

    fn place() -> impl Strategy<Value = Place> {
        let ip = || any::<IpAddr>();
        let seen = prop::collection::btree_map(ip(), any::<(u32, char)>(), 0..3);
        (ip(), any::<Option<SocketAddr>>(), any::<u128>(), seen).prop_map(
            |(address, socket, device, seen)| Place {
                address,
                // A scope id or flow label would be lost in JSON as well.
                socket: socket.map(|socket| SocketAddr::new(socket.ip(), socket.port())),
                device: Uuid::from_u128(device),
                seen,
            },
        )
    }

    fn tagged() -> impl Strategy<Value = Tagged> {
        prop_oneof![
            Just(Tagged::Nowhere),
            place().prop_map(Tagged::Somewhere),
            (place(), any::<Vec<i64>>()).prop_map(|(place, parts)| Tagged::Named { place, parts }),
        ]
    }

    fn untagged() -> impl Strategy<Value = Untagged> {
        prop_oneof![
            any::<u128>().prop_map(|device| Untagged::Device(Uuid::from_u128(device))),
            any::<IpAddr>().prop_map(Untagged::Address),
            any::<(IpAddr, u16)>().prop_map(|(ip, port)| Untagged::Socket((ip, port).into())),
            place().prop_map(Untagged::Somewhere),
            any::<bool>().prop_map(Untagged::Flag),
            Just(Untagged::Nothing),
        ]
    }

    fn anything() -> impl Strategy<Value = Any> {
        let others = prop::collection::btree_map("other [a-z]{0,4}", any::<Option<f64>>(), 0..3);
        let flat = ("\\PC*", place(), others).prop_map(|(name, place, others)| Flat {
            name,
            place,
            others,
        });
        prop_oneof![
            Just(Any::Nothing),
            flat.prop_map(Any::Flat),
            tagged().prop_map(Any::Tagged),
            place().prop_map(|place| Any::Adjacent(Adjacent::Somewhere(place))),
            (place(), tagged()).prop_map(|(place, tag)| Any::Adjacent(Adjacent::Two(place, tag))),
            Just(Any::Adjacent(Adjacent::Nowhere)),
            prop::collection::vec(untagged(), 0..4).prop_map(Any::Untagged),
            (any::<IpAddr>(), any::<u128>())
                .prop_map(|(ip, device)| Any::Pair(ip, Uuid::from_u128(device))),
            any::<u128>().prop_map(|device| Any::Named {
                device: Uuid::from_u128(device)
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_was_accepted_can_be_read_again_and_reads_as_json_would(value in anything()) {
            let name = "value".into_name().unwrap();
            let bytes = encode(&name, &value).unwrap();
            prop_assert_eq!(decode::<Value>(&name, &bytes).unwrap(), serde_json::to_value(&value).unwrap());
            prop_assert_eq!(decode::<Any>(&name, &bytes).unwrap(), value);
        }

        #[test]
        fn json_by_itself_is_stored_as_it_is(value in json()) {
            let name = "value".into_name().unwrap();
            let bytes = encode(&name, &value).unwrap();
            prop_assert_eq!(decode::<Value>(&name, &bytes).unwrap(), value);
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC*", inner, 0..4)
                    .prop_map(|map| Value::from(serde_json::Map::from_iter(map))),
            ]
        })
    }

    /// Where MessagePack has more to say than JSON, values keep it: they read back as their own types.
    #[test]
    fn integer_keys_byte_strings_and_large_integers_read_back_as_themselves() {
        struct Octets;
        impl Serialize for Octets {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(b"octets")
            }
        }
        let name = "value".into_name().unwrap();
        let ages = BTreeMap::from([(7_u32, true)]);
        let bytes = encode(&name, &ages).unwrap();
        assert_eq!(decode::<BTreeMap<u32, bool>>(&name, &bytes).unwrap(), ages);
        assert!(decode::<Value>(&name, &bytes).is_err());
        let bytes = encode(&name, &Octets).unwrap();
        assert_eq!(decode::<Bytes>(&name, &bytes).unwrap(), "octets");
        assert!(decode::<Value>(&name, &bytes).is_err());
        let bytes = encode(&name, &u128::MAX).unwrap();
        assert_eq!(decode::<u128>(&name, &bytes).unwrap(), u128::MAX);
        assert!(decode::<Value>(&name, &bytes).is_err());
    }

    #[derive(Debug, Deserialize)]
    struct User {
        #[expect(dead_code, reason = "only decoded")]
        age: u8,
    }

    fn refusal<T: DeserializeOwned + Debug>(value: impl Serialize) -> String {
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
            refusal::<User>(BTreeMap::from([("hunter2", 1)])),
            not(user, "missing field `age`")
        );
    }

    /// A type that says something like serde, and quotes the value.
    #[derive(Debug)]
    struct Quoting;

    impl<'de> Deserialize<'de> for Quoting {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let value = String::deserialize(deserializer)?;
            Err(serde::de::Error::custom(format!("missing field `{value}`")))
        }
    }

    #[test]
    fn s35_only_what_can_be_a_field_s_name_is_quoted_as_one() {
        let told = refusal::<Quoting>("not hunter2");
        assert!(told.ends_with("refused by the type"), "{told}");
        let told = refusal::<Quoting>("date_of_birth");
        assert!(told.ends_with("missing field `date_of_birth`"), "{told}");
    }
}
