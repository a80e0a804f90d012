//! Real servers and broken networks. Everything here blocks its thread for the milliseconds that it
//! takes, which tests on a multi-threaded runtime can afford; a cluster and sentinels take a second or two.

#![expect(
    clippy::panic,
    reason = "this is test support: a server that does not start is the test's failure"
)]

mod cluster;
mod deployment;
mod link;
mod patience;
mod program;
mod proxy;
mod redis;
mod resp;
mod sentinels;

pub use self::{
    cluster::{RedisCluster, RedisClusterBuilder},
    deployment::RedisDeployment,
    program::Program,
    proxy::{FaultProxy, Traffic},
    redis::RedisServer,
    resp::Reply,
    sentinels::{RedisSentinels, RedisSentinelsBuilder},
};
