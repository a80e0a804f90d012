//! Stored bytes are a record or are refused: no panic, and whatever decodes encodes to the same bytes.
//!
//! The second half matters as much as the first. If two byte strings decoded to one record, a store
//! that compares bytes and a node that compares records would disagree on what is stored.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use tenure_core::{RECORD_HEADER_BYTES, Record};

fuzz_target!(|stored: &[u8]| {
    let Ok(record) = Record::decode(Bytes::copy_from_slice(stored)) else {
        return;
    };
    assert!(stored.len() > RECORD_HEADER_BYTES);
    assert_eq!(record.encoded_len(), stored.len());
    assert_eq!(record.encode(), stored);
    for (name, value) in record.values().iter() {
        assert_eq!(record.values().get(name).as_deref(), Some(value));
    }
});
