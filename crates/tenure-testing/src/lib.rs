//! What it takes to test session stores and what is built on them.
//!
//! - [`store_conformance!`] holds a store to every clause of the
//!   [`SessionStore`](tenure_core::SessionStore) contract: one line in the store's crate, one test per
//!   clause. [`conformance`] lists the clauses, [`records`] makes sessions to store.
//! - [`index_conformance!`] does the same for the login index of a store that keeps one
//!   ([`SessionIndex`](tenure_core::SessionIndex)); [`index`] lists the clauses.
//! - [`ManualClock`], [`SequenceEntropy`] and [`FailingEntropy`] take the place of time and chance.
//! - [`SpyStore`], [`FaultyStore`] and [`SlowStore`] wrap any store and tell what was asked of it, make
//!   its calls fail, or hold them until the test has arranged the rest; [`FedStore`] gives it a feed. They
//!   stack.
//! - With the feature `processes`, `RedisServer` runs a real server and `FaultProxy` breaks the
//!   connections to it.
//!
//! This is test support: misuse and surprises are panics, whose message is the test's failure.

pub mod conformance;
pub mod index;
pub mod records;
#[doc(hidden)]
pub mod suite;

mod clock;
mod entropy;
mod fixture;
#[cfg(feature = "processes")]
mod processes;
mod stores;

#[cfg(feature = "processes")]
pub use self::processes::{
    FaultProxy, Program, RedisCluster, RedisClusterBuilder, RedisDeployment, RedisSentinels,
    RedisSentinelsBuilder, RedisServer, Reply, Traffic,
};
pub use self::{
    clock::ManualClock,
    entropy::{FailingEntropy, SequenceEntropy},
    fixture::{Fixture, Planted},
    stores::{
        Call, CallLog, FaultyStore, FedStore, Gate, Moment, Outcome, SlowStore, SpyStore, Verb,
    },
};
