//! Stores around a store, that watch, break or delay its calls.

mod faulty;
mod fed;
mod slow;
mod spy;

pub use self::{
    faulty::FaultyStore,
    fed::FedStore,
    slow::{Gate, SlowStore},
    spy::{Call, CallLog, Outcome, SpyStore},
};

/// What a store is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these are the methods of `SessionStore`"
)]
pub enum Verb {
    /// [`SessionStore::load`](tenure_core::SessionStore::load)
    Load,
    /// [`SessionStore::create`](tenure_core::SessionStore::create)
    Create,
    /// [`SessionStore::commit`](tenure_core::SessionStore::commit)
    Commit,
    /// [`SessionStore::renew`](tenure_core::SessionStore::renew)
    Renew,
    /// [`SessionStore::delete`](tenure_core::SessionStore::delete)
    Delete,
}

/// On which side of the wrapped store's own call something strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a call has two sides")]
pub enum Moment {
    /// Before the wrapped store is called: the request was lost, nothing happened.
    BeforeCall,
    /// After the wrapped store has answered: the reply was lost, whatever was asked has happened.
    AfterCall,
}
