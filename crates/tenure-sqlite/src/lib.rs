//! Sessions in an SQLite file: versioned, durable, for everything that runs on one machine.
//!
//! [`SqliteStore`] is a [`SessionStore`](tenure_core::SessionStore); hand it to a session manager.
//!
//! ```no_run
//! # async fn example() -> Result<(), tenure_sqlite::OpenError> {
//! use tenure_sqlite::SqliteStore;
//!
//! let store = SqliteStore::open("sessions.db").await?;
//! # Ok(())
//! # }
//! ```

mod builder;
mod error;
mod file;
mod queue;
mod readers;
mod sessions;
mod store;
mod work;
mod writer;

pub use self::{
    builder::{Durability, SqliteStoreBuilder},
    error::OpenError,
    store::SqliteStore,
};
