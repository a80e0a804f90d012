//! What the stories need: nodes to talk to, browsers to talk with, and the matrix of combinations.
//!
//! A *story* is an `async fn(Combination)`. [`for_every_combination!`] makes a test of it for each
//! adapter on each store, all through real sockets.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "test support: a surprise is a failed test"
)]

mod browser;
mod capture;
mod cluster;
mod cookie;
mod latent;
mod matrix;
mod process;
mod secrets;
mod settle;
mod sqlite;
mod store;
mod storm;
mod visitor;
mod witness;

pub use self::{
    browser::{Answer, Browser, SetCookie},
    capture::{Captured, capture},
    cluster::{Cluster, ClusterBuilder, random_key},
    cookie::CookieParts,
    latent::LatentStore,
    matrix::{Backend, Combination},
    process::Node,
    secrets::{Leak, Secrets},
    settle::settle,
    sqlite::SqliteFile,
    store::AnyStore,
    storm::storm,
    visitor::Visitor,
    witness::{Notes, Told, Trail},
};
pub use tenure_testbed::Adapter;

/// The README's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The page about logins, its example compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/logins.md")]
mod logins {}

/// The migration page's examples, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/migration.md")]
mod migration {}
