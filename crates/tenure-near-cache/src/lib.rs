//! Keeps [tenure](https://docs.rs/tenure-core)'s sessions in the memory of each application server: a
//! session that has not changed costs no store call on any node, and one that has changed is not
//! served old.
//!
//! ```no_run
//! use tenure_core::{KeyRing, MemoryStore, SessionManager};
//! use tenure_near_cache::NearCache;
//!
//! # fn build(redis: MemoryStore) -> Result<(), Box<dyn std::error::Error>> {
//! // `redis` is any store; with a `RedisStore`, changes are pushed to the cache.
//! let store = NearCache::new(redis);
//! let sessions = SessionManager::builder(store, KeyRing::from_env("TENURE_KEYS")?).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # When an answer is given from memory
//!
//! All of these must hold; otherwise the store is asked, and its answer kept:
//!
//! 1. It is not older than the version in the browser's cookie, and of the same history.
//! 2. The session's lease and absolute limit have not passed by this node's clock.
//! 3. It is proven not to be older than Δ, the [`max_staleness`](NearCacheBuilder::max_staleness):
//!    the store's feed was alive within Δ, or, for stores without one, the answer was read within Δ.
//!    Time counts from when the proving call was *sent*.
//! 4. It was read from the store within [`revalidate_after`](NearCacheBuilder::revalidate_after).
//!
//! # Consistency
//!
//! - A browser that presents its newest cookie reads its own writes and never goes back.
//! - Nothing is served that is older than Δ, plus the time of one load. With a feed that works, a
//!   change on another node is seen within a round trip.
//! - A logout or a lost privilege holds on all nodes within Δ. Requests that were let in before are
//!   not stopped.
//! - Δ is measured by a clock that stands still while the machine is suspended, and no clock of a virtual
//!   machine tells for sure that its host has paused it. A machine that wakes may give answers from before
//!   until what others have changed, which waits in its socket, has been read, for Δ at most.
//! - A primary that was deposed and does not know it, or that has become a replica which lags behind, answers
//!   with what it knows and proves it. Nothing here bounds that; a write that it refuses, or a connection
//!   that is cut, ends it. What a replica receives from the new primary, it reports.
//! - Writes always go to the store, with its guarantees.
//! - [`Freshness::Latest`](tenure_core::Freshness::Latest), which is what `Session::refresh` asks for,
//!   goes to the store.
//!
//! # Performance
//!
//! With a feed, a read of a session that has not changed costs no store call, and a request that
//! changes its session costs one, the commit. Each node proves its feed four times within Δ: two
//! commands a second by default, whatever the load.
//!
//! # Events
//!
//! With the target `tenure_near_cache`: `near_cache_emptied` (info; the feed was lost or has just begun),
//! `near_cache_unproven` (warning; no proof of the feed's life), `near_cache_proven` (info; it is back),
//! `near_cache_metrics` (debug; once a minute, for stores with a feed), `near_cache_missed` (trace). The
//! same numbers are at [`NearCache::metrics`].

mod builder;
mod events;
mod flight;
mod index;
mod metrics;
mod near_cache;
#[cfg(test)]
mod parts_model;
mod proofs;
mod pulse;
mod shelf;
mod verdict;
mod weight;

pub use self::{
    builder::NearCacheBuilder,
    metrics::{Metrics, Misses},
    near_cache::NearCache,
    verdict::Miss,
};
