//! Identifiers and the life of a session: rows S14 to S28 of the security checklist, and classes 6, 26
//! and 27 of the known vulnerabilities. The forced races of logout and login are in `races.rs` too.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

#[path = "security_life_cycle/ending.rs"]
mod ending;
#[path = "security_life_cycle/fixation.rs"]
mod fixation;
#[path = "security_life_cycle/flooding.rs"]
mod flooding;
#[path = "security_life_cycle/lifetimes.rs"]
mod lifetimes;
#[path = "security_life_cycle/randomness.rs"]
mod randomness;
