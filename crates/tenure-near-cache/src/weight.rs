//! How much memory the cached answers take.

use quick_cache::Weighter;
use tenure_core::{RECORD_HEADER_BYTES, SessionId};

use crate::verdict::{Answer, Entry};

/// What an entry takes, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Weight;

impl Weighter<SessionId, Entry> for Weight {
    fn weight(&self, _: &SessionId, entry: &Entry) -> u64 {
        let heap = match &entry.answer {
            Answer::Live(record) => record.encoded_len() - RECORD_HEADER_BYTES,
            Answer::Absent | Answer::Deleted => 0,
        };
        (OVERHEAD_BYTES + heap) as u64
    }
}

/// An entry without its values: its record's other parts, and what it needs in the cache's tables and the
/// allocator's, as measured by `benches/near_cache_memory.rs`.
const OVERHEAD_BYTES: usize = 384;
