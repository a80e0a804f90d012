//! The store on real files.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

mod batches;
mod conformance;
mod files;
mod locks;
mod support;
mod sweeping;
