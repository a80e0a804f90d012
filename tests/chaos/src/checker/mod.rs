//! Judges a history: what a session must and must not show, seen from outside.
//!
//! Pure: a history and its terms in, violations out. Each rule allows whatever could have been in some
//! order of the requests that were under way at the same time, and whatever an unknown outcome may have
//! done, however late. So a violation is one, on a machine of any speed.

mod counts;
mod standing;
mod story;
mod values;

#[cfg(test)]
mod examples;

use std::{collections::HashMap, fmt, time::Duration};

use self::story::Story;
use crate::history::{Cookie, History, Operation, Part, Route};

/// What the nodes were configured to promise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How old an answer may be that only reads: Δ of a near cache, else zero.
    pub(crate) staleness: Duration,
    /// How long sessions live without activity.
    pub(crate) idle: Duration,
    /// How long an answer may be on its way although nothing that is known delays it.
    pub(crate) patience: Duration,
}

/// A promise that a history breaks.
#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    /// The operation that shows it.
    pub(crate) at: usize,
    /// Those that make it one.
    pub(crate) because: Vec<usize>,
    pub(crate) what: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// An acknowledged change is not there.
    Lost,
    /// A change was made more often than it was asked for.
    Twice,
    /// A change is there although its answer said that nothing was written.
    Refused,
    /// What a failed request inserted is there.
    RolledBack,
    /// Two commits printed the same value.
    Unique,
    /// A browser saw a state that is older than its cookie.
    Floor,
    /// A read saw a state that is older than Δ.
    Stale,
    /// An ended session gave access.
    Ended,
    /// A replaced secret gave access.
    Replaced,
    /// A late answer set a cookie whose secret had been replaced.
    LateCookie,
    /// A session that nobody ended is not there.
    Vanished,
    /// An answer removed the cookie of another session than its own.
    Swept,
    /// A jar got what is another's.
    MixedUp,
    /// An answer that no route gives.
    Status,
    /// A node does not serve although every fault is mended, and nothing holds it up.
    Recovery,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Twice => "twice",
            Self::Refused => "refused but written",
            Self::RolledBack => "not rolled back",
            Self::Unique => "unique",
            Self::Floor => "floor",
            Self::Stale => "stale",
            Self::Ended => "ended",
            Self::Replaced => "replaced secret",
            Self::LateCookie => "late cookie",
            Self::Vanished => "vanished",
            Self::Swept => "late removal",
            Self::MixedUp => "mixed up",
            Self::Status => "status",
            Self::Recovery => "recovery",
        })
    }
}

/// Finds every violation, in the order in which they showed.
pub(crate) fn check(history: &History, terms: Terms) -> Vec<Violation> {
    let mut violations = Vec::new();
    answers(history, &mut violations);
    owners(history, &mut violations);
    let stories = Story::all(history, terms);
    let writers = values::Writers::of(history);
    for story in stories.values() {
        counts::check(story, &mut violations);
        values::check(story, &writers, &mut violations);
        standing::check(story, &mut violations);
    }
    standing::check_removals(history, &stories, &mut violations);
    violations.sort_by_key(|violation| history.operations[violation.at].returned);
    violations
}

/// Every answer is one that its route can give.
fn answers(history: &History, violations: &mut Vec<Violation>) {
    for (at, operation) in history.operations.iter().enumerate() {
        let is_served = matches!(operation.reply(), Some((200 | 409, ..)));
        if operation.part == Part::Inventory && !is_served && !is_held_up(history, operation) {
            let what = "no service when all faults are mended".to_owned();
            violations.push(Violation::new(Rule::Recovery, at, vec![], what));
        }
        let Some((status, body, cookie)) = operation.reply() else {
            continue;
        };
        let is_possible = match status {
            200 => !prints_a_number(operation) || operation.number().is_some(),
            409 | 503 => true,
            500 => operation.route == Route::Boom,
            _ => false,
        };
        if !is_possible || cookie == Cookie::Garbled {
            let what = format!("{status} {body:?} is no answer of this route");
            violations.push(Violation::new(Rule::Status, at, vec![], what));
        }
    }
}

/// Whether a request ended for no other reason, perhaps, than that its node had no time for it.
fn is_held_up(history: &History, operation: &Operation) -> bool {
    let mut incidents = history.incidents.iter();
    incidents.any(|incident| {
        incident.delays(operation.node)
            && incident.from <= operation.returned
            && incident.until >= operation.invoked
    })
}

fn prints_a_number(operation: &Operation) -> bool {
    let reads = matches!(
        operation.route,
        Route::Read | Route::Refresh | Route::Version
    );
    let ends = matches!(operation.route, Route::EndAll { .. });
    reads || ends || operation.route.increments() > 0
}

/// A session belongs to the jar that got its cookie first.
fn owners(history: &History, violations: &mut Vec<Violation>) {
    let mut owners = HashMap::new();
    for (at, operation) in history.operations.iter().enumerate() {
        let Some(token) = operation.received() else {
            continue;
        };
        let (first, owner) = *owners.entry(token.session).or_insert((at, operation.jar));
        if owner != operation.jar {
            let what = format!("the session {} is jar {owner}'s", token.session);
            violations.push(Violation::new(Rule::MixedUp, at, vec![first], what));
        }
    }
}

impl Violation {
    fn new(rule: Rule, at: usize, because: Vec<usize>, what: String) -> Self {
        Self {
            rule,
            at,
            because,
            what,
        }
    }
}
