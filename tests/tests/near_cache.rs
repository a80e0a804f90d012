//! The near cache across processes and on a real Redis: what it saves, and that what it serves is never
//! older than promised.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; the figures are for whoever runs it"
)]

#[path = "near_cache/cluster.rs"]
mod cluster;
#[path = "near_cache/conformance.rs"]
mod conformance;
#[path = "near_cache/cost.rs"]
mod cost;
#[path = "near_cache/faults.rs"]
mod faults;
#[path = "near_cache/forgetting.rs"]
mod forgetting;
#[path = "near_cache/histories.rs"]
mod histories;
#[path = "near_cache/nodes.rs"]
mod nodes;
#[path = "near_cache/racing_writer.rs"]
mod racing_writer;
#[path = "near_cache/refresh.rs"]
mod refresh;
#[path = "near_cache/revocation.rs"]
mod revocation;
