//! What is actix's own: extractors whose errors get lost, errors that are responses, scopes, bodies,
//! workers. What all adapters have in common is told by the stories of `tenure-tests`.

#![expect(clippy::unwrap_used, reason = "a surprise is a failed test")]

#[path = "requests/connections.rs"]
mod connections;
#[path = "requests/errors.rs"]
mod errors;
#[path = "requests/extractors.rs"]
mod extractors;
#[path = "requests/neighbours.rs"]
mod neighbours;
#[path = "requests/placement.rs"]
mod placement;
#[path = "requests/support.rs"]
mod support;
