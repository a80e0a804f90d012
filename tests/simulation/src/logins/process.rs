//! Who does what at once.

use tenure_core::OnLimit;

use super::LeftOut;

/// What some processes do at once, and on what.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a test writes all of it")]
pub struct Plan {
    /// What to call it.
    pub name: &'static str,
    /// Who is logged in at the beginning, in a browser each; an empty name stands for a session in which nobody
    /// is.
    pub browsers: &'static [&'static str],
    /// The processes, each on a node of its own.
    pub processes: Vec<Process>,
    /// How many logins each user may have.
    pub limit: Option<(u32, OnLimit)>,
    /// How many nodes may die, or clients leave, at any point.
    pub failures: u8,
    /// Whether to look only at how it ends: where data is lost on the way.
    pub at_rest_only: bool,
    /// The rule that is missing.
    pub left_out: Option<LeftOut>,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a test writes all of it")]
pub struct Process {
    /// What it does.
    pub act: Act,
    /// Which other one must have come to its end before it begins.
    pub after: Option<usize>,
}

impl Process {
    /// One that can begin at once.
    #[must_use]
    pub const fn new(act: Act) -> Self {
        Self { act, after: None }
    }

    /// One that begins when another one has come to its end.
    #[must_use]
    pub const fn after(other: usize, act: Act) -> Self {
        Self {
            act,
            after: Some(other),
        }
    }
}

/// What a process does. Browsers are numbered as in the [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the acts")]
pub enum Act {
    /// A user logs in, in a new browser.
    LogIn(&'static str),
    /// A user logs in with the cookie that the browser has by then.
    LogInAt(usize, &'static str),
    /// Logs the browser's user out.
    LogOut(usize),
    /// Asks for a page, with which the session's lease is due to be renewed.
    Read(usize),
    /// Ends all logins of a user.
    EndAll(&'static str),
    /// Lists the logins of a user.
    List(&'static str),
    /// The index loses the entry of the browser's first login, as after a failover.
    LoseEntry(usize),
    /// The storage loses the deletion of the browser's first session.
    LoseDeletion(usize),
}
