//! Servers that do not keep the contract: what a simulation is worth shows in whether it notices.

/// Something that is wrong with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// A commit is stored whatever the stored version is.
    CommitsWithoutComparing,
    /// A commit is stored although the session has been deleted.
    CommitsRevive,
    /// A commit is acknowledged and not stored.
    ForgetsCommits,
    /// A deletion is acknowledged and not done.
    ForgetsDeletions,
    /// A deletion is done whosever the session is.
    DeletesAnybodys,
    /// Changes are not reported to the caches.
    ReportsNothing,
    /// Proofs overtake the reports that they are to prove.
    ProvesTooEarly,
}
