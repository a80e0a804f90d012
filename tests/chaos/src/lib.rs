//! Chaos: random visitors, random faults, a history of all they saw, and a checker that judges it.
//!
//! `cargo xtask chaos -- --help` tells the options. A round ([`play`]) starts several nodes of the
//! testbed as processes and what they keep their sessions in, with a proxy between each node and its
//! store. Browsers with several tabs send requests to random nodes, and so does whoever has copied one
//! of their cookies; processes are killed and stopped, connections cut, replies lost, requests
//! delayed, the store's memory filled. When all is mended, an inventory asks every node for every
//! session. Then the `checker` goes through the history and reports whatever breaks a promise.
//!
//! | module | is |
//! |---|---|
//! | `behaviour`, `browser`, `client` | what visitors do, and what an answer does to their jar |
//! | `faults`, `node`, `servers` | what goes wrong, and with what |
//! | `history`, `token` | what was seen |
//! | `checker` | what must not have been seen: a file for each family of rules |
//! | `round`, `report`, `options` | all of it together |

mod behaviour;
mod browser;
mod chance;
mod checker;
mod client;
mod faults;
mod history;
mod node;
mod options;
mod report;
mod round;
mod servers;
mod shards;
mod token;

pub use self::{
    options::run,
    report::Report,
    round::{Cache, Setting, play},
    servers::StoreKind,
};
