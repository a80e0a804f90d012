//! Any session store of tenure by its URL, so that a deployment chooses it by configuration.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let url = std::env::var("SESSION_STORE").unwrap_or_else(|_| "memory:".to_owned());
//! let store = tenure_stores::connect(&url).await?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! | URL | store | feature |
//! |---|---|---|
//! | `memory:` | [`MemoryStore`](tenure_core::MemoryStore): ends with the process | |
//! | `sqlite:PATH` | `SqliteStore` of `tenure-sqlite`: a file, for one machine | `sqlite` |
//! | `redis://HOST` | `RedisStore` of `tenure-redis`, for many nodes | `redis` |
//! | `rediss://HOST` | the same, over TLS | `redis-tls` |
//!
//! A path is taken as it is: relative to the folder of the process unless it begins with a slash, without
//! percent-encoding and parameters; `sqlite://PATH` is the same as `sqlite:PATH`. What a Redis URL may hold is
//! told at `tenure_redis::RedisConfig::from_url`.
//!
//! A URL whose feature is off, or that belongs to no store, is refused with an error that names what is missing. An
//! application that needs more than a deadline said about its store makes that store itself.

mod error;
mod store;
mod url;

pub use self::{error::ConnectError, store::AnyStore, url::StoreUrl};

/// Connects to the store at that URL, with its default limits.
///
/// # Errors
///
/// [`ConnectError`]
pub async fn connect(url: &str) -> Result<AnyStore, ConnectError> {
    url.parse::<StoreUrl>()?.connect().await
}
