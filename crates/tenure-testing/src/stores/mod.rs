//! Stores around a store, that watch, break or delay its calls.

mod faulty;
mod fed;
mod index;
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
    reason = "these are the methods of `SessionStore` and `SessionIndex`"
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
    /// [`SessionIndex::reserve`](tenure_core::SessionIndex::reserve)
    Reserve,
    /// [`SessionIndex::confirm`](tenure_core::SessionIndex::confirm)
    Confirm,
    /// [`SessionIndex::end`](tenure_core::SessionIndex::end)
    End,
    /// [`SessionIndex::condemn`](tenure_core::SessionIndex::condemn)
    Condemn,
    /// [`SessionIndex::settle`](tenure_core::SessionIndex::settle)
    Settle,
    /// [`SessionIndex::touch`](tenure_core::SessionIndex::touch)
    Touch,
    /// [`SessionIndex::standing`](tenure_core::SessionIndex::standing)
    Standing,
    /// [`SessionIndex::unblock`](tenure_core::SessionIndex::unblock)
    Unblock,
    /// [`SessionIndex::logins`](tenure_core::SessionIndex::logins)
    Logins,
    /// [`SessionIndex::users`](tenure_core::SessionIndex::users)
    Users,
    /// [`SessionIndex::gate`](tenure_core::SessionIndex::gate)
    Gate,
    /// [`SessionIndex::raise_gate`](tenure_core::SessionIndex::raise_gate)
    RaiseGate,
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
