//! The session layer among other layers, and in the situations in which middleware of its kind
//! commonly fails.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; some handlers panic by intent"
)]

#[path = "middleware/app.rs"]
mod app;
#[path = "middleware/departures.rs"]
mod departures;
#[path = "middleware/neighbours.rs"]
mod neighbours;
#[path = "middleware/outcomes.rs"]
mod outcomes;
#[path = "middleware/placement.rs"]
mod placement;
#[path = "middleware/requests.rs"]
mod requests;
#[path = "middleware/streams.rs"]
mod streams;
