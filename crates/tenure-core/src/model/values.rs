//! A session's values: one immutable block of bytes, in the form in which it is stored.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use bytes::{BufMut, Bytes, BytesMut};

use super::{DecodeError, Name};

/// The values of a session, by name.
///
/// This is the stored form itself, so reading a record costs no allocation per value, a clone
/// costs a reference count, and a value that nobody reads is never decoded. Changing values builds
/// a new block.
///
/// The form is a sequence of entries in ascending byte order of their keys, without duplicates:
/// key length (`u16`), key (UTF-8), value length (`u32`), value (MessagePack). Numbers are
/// big-endian.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(Bytes);

impl Values {
    /// Checks and takes a stored block.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for anything that [`encoded`](Self::encoded) could not have returned.
    pub fn decode(block: Bytes) -> Result<Self, DecodeError> {
        let mut previous: Option<&[u8]> = None;
        let mut rest = &block[..];
        while !rest.is_empty() {
            let (entry, after) = split_entry(rest).ok_or(DecodeError::Truncated)?;
            if std::str::from_utf8(entry.key).is_err() || entry.key.is_empty() {
                return Err(DecodeError::Key);
            }
            if previous.is_some_and(|previous| previous >= entry.key) {
                return Err(DecodeError::KeyOrder);
            }
            previous = Some(entry.key);
            rest = after;
        }
        Ok(Self(block))
    }

    /// The stored form.
    #[must_use]
    pub const fn encoded(&self) -> &Bytes {
        &self.0
    }

    /// The encoded value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Bytes> {
        // The entries are in order, so the first greater key ends the search.
        self.entries()
            .find_map(|entry| match entry.key.cmp(name.as_bytes()) {
                Ordering::Less => None,
                Ordering::Equal => Some(Some(self.0.slice_ref(entry.value))),
                Ordering::Greater => Some(None),
            })
            .flatten()
    }

    /// Names and encoded values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries().map(|entry| (entry.name(), entry.value))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries().count()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn with(&self, edits: &Edits) -> Self {
        let mut block = BytesMut::with_capacity(self.0.len() + edits.encoded_len());
        let mut kept = self.entries().filter(|_| !edits.cleared).peekable();
        for (name, value) in &edits.entries {
            while let Some(entry) = kept.next_if(|entry| entry.key < name.as_str().as_bytes()) {
                put_entry(&mut block, entry.key, entry.value);
            }
            kept.next_if(|entry| entry.key == name.as_str().as_bytes());
            if let Some(value) = value {
                put_entry(&mut block, name.as_str().as_bytes(), value);
            }
        }
        for entry in kept {
            put_entry(&mut block, entry.key, entry.value);
        }
        Self(block.freeze())
    }

    fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (entry, after) = split_entry(rest)?;
            rest = after;
            Some(entry)
        })
    }
}

impl fmt::Debug for Values {
    /// Tells how many values there are, never what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values(len: {}, bytes: {})", self.len(), self.0.len())
    }
}

/// What changes come to on one particular state: for each touched name its new value, or none.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Edits {
    /// Everything that is not in `entries` is gone too.
    pub(crate) cleared: bool,
    pub(crate) entries: BTreeMap<Name, Option<Bytes>>,
}

impl Edits {
    /// The value of that name with the edits applied to `values`.
    pub(crate) fn get(&self, values: &Values, name: &Name) -> Option<Bytes> {
        match self.entries.get(name) {
            Some(edited) => edited.clone(),
            None if self.cleared => None,
            None => values.get(name.as_str()),
        }
    }

    pub(crate) fn set(&mut self, name: Name, value: Option<Bytes>) {
        self.entries.insert(name, value);
    }

    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.entries.clear();
    }

    fn encoded_len(&self) -> usize {
        let entry = |(name, value): (&Name, &Option<Bytes>)| {
            let value = value.as_ref()?;
            Some(ENTRY_OVERHEAD + name.as_str().len() + value.len())
        };
        self.entries.iter().filter_map(entry).sum()
    }
}

impl fmt::Debug for Edits {
    /// Tells which values were touched, never what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edits")
            .field("cleared", &self.cleared)
            .field("names", &self.entries.keys())
            .finish()
    }
}

struct Entry<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Entry<'a> {
    fn name(&self) -> &'a str {
        // `decode` and `Name` let only UTF-8 in; checking again is cheaper than unsafe code.
        std::str::from_utf8(self.key).unwrap_or_default()
    }
}

fn split_entry(block: &[u8]) -> Option<(Entry<'_>, &[u8])> {
    let (length, rest) = block.split_first_chunk()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, rest) = rest.split_at_checked(length)?;
    Some((Entry { key, value }, rest))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "keys have at most 255 bytes; values are kept under `MAX_VALUE_BYTES` where they are encoded"
)]
fn put_entry(block: &mut BytesMut, key: &[u8], value: &[u8]) {
    block.put_u16(key.len() as u16);
    block.put_slice(key);
    block.put_u32(value.len() as u32);
    block.put_slice(value);
}

/// Far above any sensible session, and far below what the format's `u32` can say.
pub(crate) const MAX_VALUE_BYTES: usize = 1 << 30;

const ENTRY_OVERHEAD: usize = size_of::<u16>() + size_of::<u32>();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::key::IntoName;

    type Model = BTreeMap<String, Vec<u8>>;

    fn block(model: &Model) -> Values {
        let mut edits = Edits::default();
        for (name, value) in model {
            edits.set(
                name.as_str().into_name().unwrap(),
                Some(value.clone().into()),
            );
        }
        Values::default().with(&edits)
    }

    fn contents(values: &Values) -> Model {
        values
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .collect()
    }

    proptest! {
        #[test]
        fn edits_do_to_a_block_what_they_do_to_a_map(
            base in proptest::collection::btree_map("[a-e]{1,2}", proptest::collection::vec(any::<u8>(), 0..4), 0..8),
            edited in proptest::collection::btree_map("[a-e]{1,2}", proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)), 0..8),
            cleared: bool,
        ) {
            let mut edits = Edits { cleared, ..Edits::default() };
            let mut expected = if cleared { Model::new() } else { base.clone() };
            for (name, value) in edited {
                edits.set(name.as_str().into_name().unwrap(), value.clone().map(Bytes::from));
                match value {
                    Some(value) => { expected.insert(name, value); }
                    None => { expected.remove(&name); }
                }
            }
            let values = block(&base).with(&edits);
            prop_assert_eq!(contents(&values), expected.clone());
            prop_assert_eq!(values.len(), expected.len());
            prop_assert_eq!(Values::decode(values.encoded().clone()), Ok(values.clone()));
            for (name, value) in expected {
                prop_assert_eq!(values.get(&name), Some(Bytes::from(value)));
            }
            prop_assert_eq!(values.get("zz"), None);
        }

        #[test]
        fn whatever_decodes_is_what_would_have_been_encoded(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(values) = Values::decode(bytes.clone().into()) {
                let again = block(&contents(&values));
                prop_assert_eq!(again.encoded(), &bytes);
            }
        }
    }

    #[test]
    fn keys_out_of_order_or_twice_are_refused() {
        let entry = |key: &str| [&[0, 1], key.as_bytes(), &[0, 0, 0, 0]].concat();
        for (first, second) in [("b", "a"), ("a", "a")] {
            let block = [entry(first), entry(second)].concat();
            assert_eq!(Values::decode(block.into()), Err(DecodeError::KeyOrder));
        }
    }
}
