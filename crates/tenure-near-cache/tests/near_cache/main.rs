//! What the cache answers, what it asks, and what it keeps.

#![expect(clippy::unwrap_used, reason = "a surprise is a failed test")]

mod bounds;
mod conformance;
mod feed;
mod fills;
mod reads;
mod support;
