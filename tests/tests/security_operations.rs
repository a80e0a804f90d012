//! Keys, caches, logs and faults: rows S30 to S37 of the security checklist.
//!
//! Tests that count events need a process of their own each, as nextest gives them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

#[path = "security_operations/caching.rs"]
mod caching;
#[path = "security_operations/events.rs"]
mod events;
#[path = "security_operations/faults.rs"]
mod faults;
#[path = "security_operations/forgery.rs"]
mod forgery;
#[path = "security_operations/keys.rs"]
mod keys;
#[path = "security_operations/secrecy.rs"]
mod secrecy;
