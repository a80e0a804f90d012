//! Logins through the index, in every order: the real manager over a store each of whose verbs waits for its turn.
//!
//! A [`Plan`] says what a few processes do at once, each on a node of its own: log in, log out, end all logins, list
//! them. The [explorer](explore) lets them take turns in every order there is, one verb of the storage or of the index at a
//! time, with a node that dies or a client that leaves anywhere between two turns; states that it has seen before it
//! does not look at again. After each turn it compares what is stored with the cookies that have left:
//!
//! - *cover*: a session whose cookie has left is in its user's index, entered or condemned;
//! - *revoked*: it is not of an epoch that was over before somebody was told that all logins had ended;
//! - *limit*: there are no more logins, reserved ones included, than are allowed;
//! - *exact*: nobody is logged out by the ending of somebody else's logins.
//!
//! What is wrong with the protocol on purpose is a [`LeftOut`] rule.

mod explorer;
pub mod plans;
mod process;
mod stage;
mod store;
mod world;

pub use self::{
    explorer::{Explored, explore},
    process::{Act, Plan, Process},
    store::LeftOut,
};
