//! The store against real Redis servers, which the tests start, stop and kill.

#![expect(
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

mod audit;
mod cluster;
mod cluster_feed;
mod commands;
mod conformance;
mod connections;
mod feed;
mod index;
mod index_oracle;
mod memory;
mod oracle;
mod own_writes;
mod replication;
mod runtimes;
mod sentinel;
mod silence;
mod support;
#[cfg(feature = "tls")]
mod tls;
