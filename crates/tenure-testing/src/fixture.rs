use std::future::Future;

use tenure_core::{SessionId, SessionStore};

use crate::ManualClock;

/// A store, set up for the conformance suite.
///
/// The macro makes a new fixture for each clause and drops it afterwards.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a fixture for the conformance suite",
    note = "implement `tenure_testing::Fixture`, which holds a store and the clock that it uses"
)]
pub trait Fixture: Send + Sync + 'static {
    /// The store under test.
    type Store: SessionStore;

    /// The store under test.
    fn store(&self) -> &Self::Store;

    /// The clock by which the store judges expiry. The clauses move it forward, by up to a day.
    fn clock(&self) -> &ManualClock;

    /// The largest record that the store accepts, in bytes of
    /// [`Record::encoded_len`](tenure_core::Record::encoded_len); at least 8 KiB.
    ///
    /// Two clauses store a record of this size, so set a limit of at most a few MiB.
    fn max_record_bytes(&self) -> usize;

    /// Puts these bytes where the store keeps the record of that session, behind the store's back.
    fn plant(&self, id: SessionId, bytes: &[u8]) -> impl Future<Output = Planted> + Send;
}

/// What became of planted bytes.
#[must_use = "a clause that planted nothing must not expect anything to be found"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "clauses must handle both, and nothing else can happen"
)]
pub enum Planted {
    /// The next load will come upon them.
    Stored,
    /// The store keeps no bytes, so it cannot hold anything but records.
    Unrepresentable,
}
