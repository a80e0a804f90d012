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
//!
//! # What is stored
//!
//! One row per session, whose record's bytes `docs/record-format.md` describes, in a file of its own. The file is in
//! SQLite's format, so `sqlite3` opens it and backup tools know it; beside it lie its log (`-wal`) and the log's
//! index (`-shm`) while it is in use. All three are readable and writable by their owner alone. Sessions that
//! have ended are removed a few at a time, with writes and once a minute; their room is used again.
//!
//! To copy a file that is in use, let SQLite do it: `sqlite3 sessions.db ".backup copy.db"`. A backup that is put in
//! its place brings sessions back that have been ended since, as any backup does.
//!
//! # How it is written
//!
//! One thread writes. Whatever waits for it goes into one transaction, so that one wait for the disk serves all
//! of it, and each call still has an outcome of its own: one that fails does not fail those beside it. A few
//! threads read, and see what was written last; a read of something whose write was given up by its caller, and is
//! still under way, waits for that. The async runtime is never blocked.
//!
//! A write is acknowledged when the disk has it, so a loss of power loses nothing that was acknowledged, logouts
//! included. [`Durability::ProcessCrash`] gives that up for speed.
//!
//! # Several processes
//!
//! Processes on one machine can share a file, and see each other's writes at once: the next version of an
//! application may start while the last one finishes its requests. They take turns at writing. On a network's file
//! system SQLite cannot do that; one machine's sessions belong on its own disk. For several machines there is
//! `tenure-redis`.
//!
//! No near cache is needed in front of this store: what it reads is in this machine's memory as a rule. It has no
//! [feed](tenure_core::SessionStore::feed): asking SQLite whether another process has written costs as much as
//! reading the session.
//!
//! # When something fails
//!
//! | what | the caller gets | how soon |
//! |---|---|---|
//! | the disk is slow, or another process holds the file locked; a write that has not begun | [`Unavailable`] | at the deadline |
//! | the same; a write that has begun, or a read | [`TimedOut`] | at the deadline |
//! | the disk fails at the end of a transaction | [`Interrupted`], for all writes in it | at once |
//! | the disk cannot be read or written otherwise | [`Unavailable`] | at once |
//! | the disk is full, or the file at [its limit](SqliteStoreBuilder::max_file_bytes) | [`Full`], if there is no room for this one | at once |
//! | too many calls waiting | [`Unavailable`] | at once |
//! | not a record, another session's, or a damaged file | [`Corrupt`] | at once |
//! | no right to write, a file that was exchanged | [`Refused`] | at once |
//!
//! The source of the error says what to do about it. A connection that may have been broken by the fault is made
//! anew by the next call, which never creates a file: an empty one does not take the place of sessions that
//! cannot be read. What can be wrong at the start is an [`OpenError`].
//!
//! # Events
//!
//! With the target `tenure_sqlite`: `sqlite_sweep_failed` (warning; sessions that have ended could not be removed,
//! and will be later), `sqlite_swept` (debug).
//!
//! # Features
//!
//! - `bundled` (default): compiles SQLite in, for which it takes a C compiler. Without it the system's library is
//!   linked.
//!
//! Only one crate of a program can link SQLite. This one takes every `rusqlite` from 0.32 to 0.43, so that cargo can
//! find a version that goes with an application's other ones, such as `sqlx`.
//!
//! [`Corrupt`]: tenure_core::StoreErrorKind::Corrupt
//! [`Full`]: tenure_core::StoreErrorKind::Full
//! [`Interrupted`]: tenure_core::StoreErrorKind::Interrupted
//! [`Refused`]: tenure_core::StoreErrorKind::Refused
//! [`TimedOut`]: tenure_core::StoreErrorKind::TimedOut
//! [`Unavailable`]: tenure_core::StoreErrorKind::Unavailable

mod builder;
mod error;
mod file;
mod index;
mod queue;
mod readers;
mod rolls;
mod sessions;
mod store;
mod work;
mod writer;

pub use self::{
    builder::{Durability, SqliteStoreBuilder},
    error::OpenError,
    store::SqliteStore,
};
