//! What the benchmarks share.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "benchmarks: a surprise ends the run"
)]

pub mod callgrind;
mod one_record;
pub mod requests;

pub use self::one_record::OneRecord;
