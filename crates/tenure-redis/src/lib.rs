//! Sessions in Redis or Valkey: versioned, with compare-and-swap commits, over one multiplexed connection to each
//! server.
//!
//! [`RedisStore`] is a [`SessionStore`](tenure_core::SessionStore); hand it to a session manager.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenure_redis::ConnectError> {
//! use tenure_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://127.0.0.1:6379").await?;
//! # Ok(())
//! # }
//! ```
//!
//! A [cluster](RedisConfig::cluster) or a [primary that sentinels watch](RedisConfig::sentinel) takes another URL and
//! nothing else; [`RedisConfig::from_url`] has them all. `docs/engines.md` tells what each promises and can lose.
//!
//! # What is stored
//!
//! One string per session at `{prefix}:{id}`, whose bytes `docs/record-format.md` describes. Loading
//! is a `GET`; creating, committing, renewing and deleting are one Lua script each, so each verb is one
//! atomic step and one round trip. Sessions end by the times in their records; the time
//! to live of the key only collects garbage.
//!
//! # Setting up the server
//!
//! - **`maxmemory-policy noeviction`.** With any other policy Redis throws live sessions away when
//!   its memory is full. The store warns at each connection. With `noeviction`, a full server refuses
//!   what needs room ([`Full`]); sessions are still read, renewed and deleted.
//! - **Persistence** as you need it. With `appendfsync everysec` a crash loses up to about a second.
//! - **Rights**: `GET`, `EVAL`, `EVALSHA`, and within the scripts `SET`, `SETRANGE`, `GETRANGE`,
//!   `EXISTS`, `PEXPIRE`, `DEL`, on the keys `{prefix}:*`; `INFO` for the warning above; `WAIT`,
//!   `MULTI`, `EXEC` and `UNWATCH` with [`min_replicas`](RedisStoreBuilder::min_replicas);
//!   `CLIENT TRACKING` and `PING` for a near cache; `ASKING` and `CLUSTER SLOTS` in a cluster.
//!
//! # When something fails
//!
//! | what | the caller gets | how soon |
//! |---|---|---|
//! | connection broken during a load, renewal or deletion | the outcome: it is sent once more | at once |
//! | the same, and then no new one; during a creation or commit | [`Interrupted`] | at once |
//! | server down, connection refused | [`Unavailable`] | within 100 ms |
//! | server silent after the call was sent | [`TimedOut`] | at the deadline |
//! | no connection within the deadline | [`Unavailable`] | at the deadline |
//! | too many calls in flight | [`Unavailable`] | at once |
//! | server full | [`Full`] | at once |
//! | not a record, or another session's | [`Corrupt`] | at once |
//! | missing rights, wrong password, a replica | [`Refused`] | at once |
//!
//! A connection on which three calls in a row get no answer is replaced. When an attempt to connect has
//! failed, the next one begins after 25 to 75 ms, for which the calls wait; so a server that refuses is
//! asked some twenty times a second, and one that is back is in use as soon.
//!
//! Creations and commits are not sent again by the store: a creation that arrives twice could bring back a
//! session that has been ended in between, and only who knows that a commit was sent before can tell what
//! a conflict means.
//!
//! # Several servers
//!
//! In a cluster each call goes to the node that owns its key's slot. One that has moved is followed at once, and one
//! that is on its way, too. While a cluster is down, or a primary has not been replaced yet, calls wait and try again
//! within the deadline; then they fail as [`Unavailable`], as ones that were not carried out. A node that does not
//! answer does not hold up calls to others.
//!
//! Sentinels are asked twice a second while there are calls, since a primary that they have replaced does not know
//! it, and takes writes that will be lost.
//!
//! # What a cache is told
//!
//! With [`feed`](tenure_core::SessionStore::feed), which `tenure-near-cache` calls, the store gets a
//! connection of its own on which Redis reports what others change (`CLIENT TRACKING`), and a `PING`
//! proves that no report is missing; in a cluster each primary for its own sessions, by more than a `PING`. A server that forbids it serves all the same; the cache then
//! proves nothing, and asks for each session again when the staleness bound is over.
//!
//! # Features
//!
//! - `tls`: `rediss://` URLs. Without it they are refused, never used unencrypted.
//!
//! [`Corrupt`]: tenure_core::StoreErrorKind::Corrupt
//! [`Full`]: tenure_core::StoreErrorKind::Full
//! [`Interrupted`]: tenure_core::StoreErrorKind::Interrupted
//! [`Refused`]: tenure_core::StoreErrorKind::Refused
//! [`TimedOut`]: tenure_core::StoreErrorKind::TimedOut
//! [`Unavailable`]: tenure_core::StoreErrorKind::Unavailable

mod audit;
mod builder;
mod config;
mod connector;
mod error;
mod eviction;
mod exclusive;
mod home;
mod index;
mod link;
mod node;
mod own_writes;
mod role;
mod script;
mod store;
mod topology;
mod tracking;

pub use self::{
    audit::RedisAudit,
    builder::{ConnectError, RedisStoreBuilder},
    config::{RedisConfig, RedisConfigError},
    store::RedisStore,
};
