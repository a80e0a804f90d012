//! The stored form of a record, byte by byte. `docs/record-format.md` shows it with test vectors.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Lineage, Principal, Record, Retention, SecretHash, SessionId, Values, record::Parts};
use crate::Timestamp;

impl Record {
    /// The stored form: a header of [`RECORD_HEADER_BYTES`] at fixed offsets, then the principal,
    /// then the values.
    ///
    /// The fixed offsets let a store compare versions and renew leases without knowing the rest.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        out.put_u8(FORMAT);
        out.put_u8(match self.retention() {
            Retention::Ordinary => NO_FLAGS,
            Retention::Remembered => REMEMBERED,
        });
        out.put_slice(self.id().as_bytes());
        out.put_u64(self.version().counter());
        for tag in self.lineage().tags() {
            out.put_u64(*tag);
        }
        out.put_u64(self.lease_end().as_millis());
        out.put_u64(self.absolute_end().as_millis());
        out.put_u64(self.created_at().as_millis());
        out.put_u64(self.rotated_at().as_millis());
        out.put_slice(self.secret_hash().as_bytes());
        let principal = self.principal().map_or("", Principal::as_str);
        // `Principal` admits at most 255 bytes.
        out.put_u8(u8::try_from(principal.len()).unwrap_or(u8::MAX));
        out.put_slice(principal.as_bytes());
        out.put_slice(self.values().encoded());
        out.freeze()
    }

    /// How long [`encode`](Self::encode)'s result is.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let principal = self
            .principal()
            .map_or(0, |principal| principal.as_str().len());
        RECORD_HEADER_BYTES + size_of::<u8>() + principal + self.values().encoded().len()
    }

    /// What the secret of a stored record must hash to, whatever its format, and however damaged the rest of
    /// it is; `None` if the bytes are too few for a record. For stores that keep bytes, to
    /// [delete](crate::SessionStore::delete) by.
    #[must_use]
    pub fn stored_secret(stored: &[u8]) -> Option<SecretHash> {
        let header = stored
            .get(..RECORD_HEADER_BYTES)
            .filter(|header| header.len() < stored.len())?;
        let hash = header.last_chunk()?;
        Some(SecretHash::from_bytes(*hash))
    }

    /// Reads a stored form back. Allocates nothing but the principal's name.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] for anything that [`encode`](Self::encode) could not have returned, so also
    /// for records that a later version of tenure wrote in another format.
    pub fn decode(mut stored: Bytes) -> Result<Self, DecodeError> {
        if stored.len() <= RECORD_HEADER_BYTES {
            return Err(DecodeError::Truncated);
        }
        let format = stored.get_u8();
        if format != FORMAT {
            return Err(DecodeError::Format { found: format });
        }
        let retention = match stored.get_u8() {
            NO_FLAGS => Retention::Ordinary,
            REMEMBERED => Retention::Remembered,
            _ => return Err(DecodeError::Flags),
        };
        let id = SessionId::from_bytes(take(&mut stored));
        let counter = stored.get_u64();
        if counter == 0 {
            return Err(DecodeError::Version);
        }
        let tags = std::array::from_fn(|_| stored.get_u64());
        let mut timestamp = || Timestamp::from_millis(stored.get_u64());
        let (lease_end, absolute_end) = (timestamp(), timestamp());
        let (created_at, rotated_at) = (timestamp(), timestamp());
        let secret_hash = SecretHash::from_bytes(take(&mut stored));
        let principal_bytes = usize::from(stored.get_u8());
        if stored.len() < principal_bytes {
            return Err(DecodeError::Truncated);
        }
        let principal = stored.split_to(principal_bytes);
        let principal = match std::str::from_utf8(&principal) {
            Ok("") => None,
            Ok(name) => Some(Principal::new(name).map_err(|_| DecodeError::Principal)?),
            Err(_) => return Err(DecodeError::Principal),
        };
        if lease_end > absolute_end {
            return Err(DecodeError::Times);
        }
        Ok(Self::from_parts(Parts {
            id,
            lineage: Lineage::from_parts(counter, tags),
            secret_hash,
            created_at,
            rotated_at,
            lease_end,
            absolute_end,
            retention,
            principal,
            // A copy, so that a record that is kept does not keep the header's bytes too.
            values: Values::decode(Bytes::copy_from_slice(&stored))?,
        }))
    }
}

/// Stored bytes that are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end before the record does.
    #[error("the record is truncated")]
    Truncated,
    /// The record is in a format that this version does not know.
    #[error("the record is in format {found}, which this version does not know")]
    #[non_exhaustive]
    Format {
        /// The format's number.
        found: u8,
    },
    /// The record uses features that this version does not know.
    #[error("the record uses features that this version does not know")]
    Flags,
    /// The version counter is zero.
    #[error("the record has no version")]
    Version,
    /// The lease ends after the absolute limit.
    #[error("the record's lease ends after its absolute limit")]
    Times,
    /// The principal is not text.
    #[error("the record's principal is not text")]
    Principal,
    /// A value's name is empty or not text.
    #[error("a value's name is not text")]
    Key,
    /// The values are out of order, or one is there twice.
    #[error("the record's values are out of order")]
    KeyOrder,
}

fn take<const N: usize>(stored: &mut Bytes) -> [u8; N] {
    let mut bytes = [0; N];
    stored.copy_to_slice(&mut bytes);
    bytes
}

const FORMAT: u8 = 1;
const NO_FLAGS: u8 = 0;
const REMEMBERED: u8 = 1;

/// The length of the fixed part of a stored record.
pub const RECORD_HEADER_BYTES: usize = 2 // format, flags
    + 16                                 // id
    + 8 + 8 * Lineage::REMEMBERED        // counter, tags
    + 4 * 8                              // lease end, absolute end, created at, rotated at
    + 32; // secret hash

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Lifetimes;

    fn record() -> Record {
        Record::new(
            SessionId::from_bytes([7; 16]),
            Lineage::first(42),
            SecretHash::from_bytes([9; 32]),
            Timestamp::from_millis(1_700_000_000_000),
            Lifetimes::default(),
        )
        .with_principal(Some(Principal::new("ada").unwrap()))
    }

    #[test]
    fn a_record_survives_its_stored_form() {
        let record = record();
        let stored = record.encode();
        assert_eq!(stored.len(), record.encoded_len());
        assert_eq!(Record::decode(stored), Ok(record));
    }

    #[test]
    fn every_prefix_of_a_record_is_refused() {
        let stored = record().encode();
        for length in 0..stored.len() {
            assert!(
                Record::decode(stored.slice(..length)).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn other_formats_and_unknown_flags_are_refused() {
        let mut stored = record().encode().to_vec();
        stored[0] = 2;
        assert_eq!(
            Record::decode(stored.clone().into()),
            Err(DecodeError::Format { found: 2 })
        );
        stored[0] = FORMAT;
        stored[1] = 2;
        assert_eq!(Record::decode(stored.into()), Err(DecodeError::Flags));
    }

    proptest! {
        #[test]
        fn whatever_decodes_encodes_to_the_same_bytes(
            tail in proptest::collection::vec(any::<u8>(), 0..40), at in 0..300_usize, byte: u8,
        ) {
            let mut stored = record().encode().to_vec();
            stored.extend(tail);
            if let Some(target) = stored.get_mut(at) {
                *target = byte;
            }
            if let Ok(record) = Record::decode(stored.clone().into()) {
                prop_assert_eq!(record.encode(), stored);
            }
        }
    }
}
