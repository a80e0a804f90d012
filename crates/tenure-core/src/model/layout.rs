//! The stored form of a record, byte by byte. `docs/record-format.md` shows it with test vectors.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{
    Epoch, Lineage, Login, LoginStamp, Principal, Record, Retention, SecretHash, SessionId, Values,
    record::Parts,
};
use crate::Timestamp;

impl Record {
    /// The stored form: a header of [`RECORD_HEADER_BYTES`] at fixed offsets, then the principal, the extensions and
    /// the values.
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
        let (parts, login) = (self.parts(), self.login());
        for time in [
            parts.lease_end,
            parts.seen_at,
            parts.absolute_end,
            parts.created_at,
            parts.rotated_at,
            login.at,
        ] {
            out.put_u64(time.as_millis());
        }
        out.put_u64(login.stamp.as_u64());
        out.put_u64(login.epoch.as_u64());
        out.put_u64(parts.gate.as_u64());
        out.put_slice(self.secret_hash().as_bytes());
        let principal = self.principal().map_or("", Principal::as_str);
        // `Principal` admits at most 255 bytes.
        out.put_u8(u8::try_from(principal.len()).unwrap_or(u8::MAX));
        out.put_slice(principal.as_bytes());
        // `decode` admits no more.
        out.put_u16(u16::try_from(parts.extensions.len()).unwrap_or(u16::MAX));
        out.put_slice(&parts.extensions);
        out.put_slice(self.values().encoded());
        out.freeze()
    }

    /// How long [`encode`](Self::encode)'s result is.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let principal = self
            .principal()
            .map_or(0, |principal| principal.as_str().len());
        let extensions = size_of::<u16>() + self.parts().extensions.len();
        let values = self.values().encoded().len();
        RECORD_HEADER_BYTES + size_of::<u8>() + principal + extensions + values
    }

    /// Reads a stored form back. Allocates nothing but the principal's name, the extensions and the values.
    ///
    /// Extensions of a kind that this version does not know are kept, and are part of what
    /// [`encode`](Self::encode) returns: a later version of tenure loses nothing in a rolling deployment.
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
        let (lease_end, seen_at, absolute_end) = (timestamp(), timestamp(), timestamp());
        let (created_at, rotated_at, login_at) = (timestamp(), timestamp(), timestamp());
        let login = Login {
            stamp: LoginStamp::from_u64(stored.get_u64()),
            epoch: Epoch::from_u64(stored.get_u64()),
            at: login_at,
        };
        let gate = Epoch::from_u64(stored.get_u64());
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
        let extensions = take_extensions(&mut stored)?;
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
            seen_at,
            retention,
            login,
            gate,
            principal,
            extensions,
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
    /// The extensions are damaged, out of order, or one is there twice.
    #[error("the record's extensions are damaged")]
    Extensions,
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

impl Record {
    /// The extension of that kind, if there is one.
    pub(super) fn extension(&self, kind: u16) -> Option<&[u8]> {
        let mut extensions = Extensions(&self.parts().extensions);
        let found = extensions.find(|(found, _)| *found == kind);
        found.map(|(_, bytes)| bytes)
    }

    /// The same record, with another extension of that kind or without one. One that has no room is left out.
    #[must_use]
    pub(super) fn with_extension(mut self, kind: u16, bytes: Option<&[u8]>) -> Self {
        if self.extension(kind) == bytes {
            return self;
        }
        let all = Extensions(&self.parts().extensions).filter(|(found, _)| *found != kind);
        let mut all: Vec<_> = all.chain(bytes.map(|bytes| (kind, bytes))).collect();
        all.sort_unstable();
        let mut block = BytesMut::new();
        for (kind, bytes) in all {
            let needed = 2 * size_of::<u16>() + bytes.len();
            if let Ok(length) = u16::try_from(bytes.len())
                && block.len() + needed <= usize::from(u16::MAX)
            {
                block.put_u16(kind);
                block.put_u16(length);
                block.put_slice(bytes);
            }
        }
        self.parts_mut().extensions = block.freeze();
        self
    }
}

/// The extensions of a block that was checked when it was read.
struct Extensions<'a>(&'a [u8]);

impl<'a> Iterator for Extensions<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let kind = self.0.try_get_u16().ok()?;
        let length = self.0.try_get_u16().ok()?;
        let (bytes, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        Some((kind, bytes))
    }
}

/// Takes the block of extensions out: entries of a kind, a length and bytes, in ascending order of their
/// kinds.
fn take_extensions(stored: &mut Bytes) -> Result<Bytes, DecodeError> {
    let block_bytes = stored.try_get_u16().map_err(|_| DecodeError::Truncated)?;
    if stored.len() < usize::from(block_bytes) {
        return Err(DecodeError::Truncated);
    }
    let block = stored.split_to(usize::from(block_bytes));
    let (mut rest, mut previous) = (&block[..], None);
    while !rest.is_empty() {
        let (Ok(kind), Ok(bytes)) = (rest.try_get_u16(), rest.try_get_u16()) else {
            return Err(DecodeError::Extensions);
        };
        if previous >= Some(kind) || rest.len() < usize::from(bytes) {
            return Err(DecodeError::Extensions);
        }
        previous = Some(kind);
        rest.advance(usize::from(bytes));
    }
    // A copy, so that the rest of the stored form is not kept with it.
    Ok(Bytes::copy_from_slice(&block))
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
    + 6 * 8                              // lease end, seen, absolute end, created, rotated, login at
    + 3 * 8                              // login stamp, login epoch, gate
    + 32; // secret hash

/// Where the stamp of the login lies.
pub(super) const STAMP: usize = RECORD_HEADER_BYTES - 32 - 3 * 8;

/// Where the hash of the secret lies.
pub(super) const SECRET_HASH: usize = RECORD_HEADER_BYTES - 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Lifetimes, Whose};

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

    /// A record with a block of extensions, as a later version might write it.
    fn extended(block: &[u8]) -> Bytes {
        let stored = record().encode();
        let at = RECORD_HEADER_BYTES + 1 + "ada".len();
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&stored[..at], &length, block, &stored[at + 2..]]
            .concat()
            .into()
    }

    #[test]
    fn extensions_of_later_versions_are_kept_and_written_back() {
        let stored = extended(b"\0\x07\0\x03abc\x12\x34\0\0");
        let found = Record::decode(stored.clone()).unwrap();
        assert_eq!(found.encode(), stored);
        let next = found.clone().next(7).with_lease_end(found.absolute_end());
        let again = Record::decode(next.encode()).unwrap();
        assert_eq!(again.parts().extensions, found.parts().extensions);
        assert_eq!(again, next);
    }

    #[test]
    fn damaged_extensions_are_refused() {
        for block in [
            &b"\0"[..],
            b"\0\x07\0",
            b"\0\x07\0\x04abc",
            b"\0\x07\0\0\0\x07\0\0",
            b"\0\x07\0\0\0\x06\0\0",
        ] {
            assert_eq!(
                Record::decode(extended(block)),
                Err(DecodeError::Extensions)
            );
        }
    }

    #[test]
    fn a_deletion_finds_its_fields_at_the_same_place_in_every_format() {
        let record = record().with_login(
            Principal::new("ada").unwrap(),
            Login::new(
                LoginStamp::from_u64(7),
                Epoch::from_u64(8),
                Timestamp::default(),
            ),
        );
        let mut stored = record.encode().to_vec();
        stored[0] = 200;
        let (login, secret) = (Whose::Login(LoginStamp::from_u64(7)), record.secret_hash());
        assert!(login.is_stored_in(&stored) && login.is(&record));
        assert!(Whose::Secret(secret).is_stored_in(&stored) && Whose::Secret(secret).is(&record));
        let others = [
            Whose::Login(LoginStamp::NOBODY),
            Whose::Secret(SecretHash::from_bytes([1; 32])),
        ];
        for other in others {
            assert!(!other.is_stored_in(&stored) && !other.is(&record));
            assert!(
                other.is_stored_in(&stored[..RECORD_HEADER_BYTES]),
                "nobody's"
            );
        }
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
