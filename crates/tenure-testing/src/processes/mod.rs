//! Real servers and broken networks. Everything here blocks its thread for the milliseconds that it
//! takes, which tests on a multi-threaded runtime can afford.

#![expect(
    clippy::panic,
    reason = "this is test support: a server that does not start is the test's failure"
)]

mod link;
mod proxy;
mod redis;
mod resp;

pub use self::{
    proxy::{FaultProxy, Traffic},
    redis::RedisServer,
    resp::Reply,
};
