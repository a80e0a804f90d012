//! Simulation: the real session manager, its commit line and the real near cache, over a storage server that
//! is not real, under schedules that a seed decides.
//!
//! A [`Scenario`] says what a few visitors want of two nodes. Its *schedule* decides all that nobody can
//! choose in the field: who gets on next, which call reaches the server, which answer arrives, what is lost
//! or comes late, when a client leaves, how much time passes. Everything runs on one thread, with tokio's
//! clock standing still unless the schedule moves it, so a [seed](Plan::first_seed) always gives the same
//! [`Case`], ten thousand of them take a second, and one that goes wrong can be
//! [shortened](Case::shrunk) and [told step by step](Case::trace).
//!
//! After each schedule, what the requests were told is compared with all that the server has ever stored;
//! [`Kind`] lists what must not be. Whether the reads and commits of a session can have happened in any
//! order at all, [`history`] decides.
//!
//! # Where is what
//!
//! - `scenario.rs`: requests and what their handlers do. A new ability of sessions is a new `Step`.
//! - `server/`: the storage server with a mailbox per call. A store with other properties is another
//!   `LinkKind` or another file beside `verbs.rs`; what is wrong with a server on purpose is a [`Flaw`].
//! - `visit.rs`: a request, from the cookie to the response, and what it sees.
//! - `run.rs`: the schedule.
//! - `properties/`: what must hold afterwards.
//! - `logins/`: beside all this, [logins] through the index, not by chance but in every order.
//!
//! What it cannot find: races between threads (everything runs on one), and what a real server does
//! otherwise than this one.

#![expect(
    clippy::expect_used,
    reason = "test support: a surprise is a failed test"
)]

mod bell;
mod case;
mod choices;
mod cookie;
pub mod history;
mod journal;
pub mod logins;
mod properties;
mod run;
mod scenario;
mod server;
mod sweep;
mod visit;
mod world;

pub use self::{
    case::Case,
    journal::Kind,
    scenario::Scenario,
    server::Flaw,
    sweep::{Finding, Plan, Sweep, Until},
};
