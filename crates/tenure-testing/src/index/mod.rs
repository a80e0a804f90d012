//! The contract of a login index, clause by clause.
//!
//! Each function is one clause of the [`SessionIndex`](tenure_core::SessionIndex) contract, as those of
//! [`conformance`](crate::conformance) are of the storage contract. A store's crate runs them all with one line
//! of [`index_conformance!`](crate::index_conformance).
//!
//! Clauses use principals of their own and look at nothing else, but for the gate, which they only raise: so
//! the fixtures of parallel tests may share one server. They move the fixture's clock, so they must not
//! share that.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a clause that is violated panics: that is what this module is for"
)]

mod account;
mod blocks;
mod cancellation;
mod concurrency;
mod confirmations;
mod endings;
mod gate;
mod keeping;
mod limits;
mod listings;
mod reservations;
mod suite;
mod touches;

pub use self::{
    blocks::*, cancellation::*, concurrency::*, confirmations::*, endings::*, gate::*, keeping::*,
    limits::*, listings::*, reservations::*, suite::CLAUSES, touches::*,
};
use crate::Fixture;
