//! The storage contract, clause by clause.
//!
//! Each function is one clause of the [`SessionStore`](tenure_core::SessionStore) contract: it
//! returns if the fixture's store fulfils the clause, and panics with the reason if not. A store's
//! crate runs them all, each as its own test, with one line of
//! [`store_conformance!`](crate::store_conformance).
//!
//! Clauses use fresh random ids and look at nothing else, so the fixtures of parallel tests may share
//! one server. They move the fixture's clock, so they must not share that.

#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a clause that is violated panics: that is what this module is for"
)]

mod cancellation;
mod concurrency;
mod contents;
mod corruption;
mod creation;
mod deletion;
mod expiry;
mod leases;
mod limits;
mod steps;
mod suite;
mod versions;

pub use self::{
    cancellation::*, concurrency::*, contents::*, corruption::*, creation::*, deletion::*,
    expiry::*, leases::*, limits::*, suite::CLAUSES, versions::*,
};
use crate::{Fixture, Planted};
