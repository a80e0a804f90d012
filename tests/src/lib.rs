//! What the stories need: nodes to talk to, browsers to talk with, and the matrix of combinations.
//!
//! A *story* is an `async fn(Combination)`. [`for_every_combination!`] makes a test of it for each
//! adapter on each store, all through real sockets.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test support: a surprise is a failed test"
)]

mod browser;
mod capture;
mod cluster;
mod matrix;
mod process;
mod storm;

pub use self::{
    browser::{Answer, Browser, SetCookie},
    capture::{Captured, capture},
    cluster::{Cluster, ClusterBuilder, random_key},
    matrix::{Backend, Combination},
    process::Node,
    storm::storm,
};
pub use tenure_testbed::Adapter;
