//! The values and the principal of a session: each was set by somebody, and to whom they belong.

use std::{collections::HashMap, time::Duration};

use super::{Rule, Violation, story::Story};
use crate::history::{BOOM, Effect, History, Operation, Part, Route};

/// Who set which value. No value is set twice.
#[derive(Debug)]
pub(super) struct Writers<'a>(HashMap<(Register, &'a str), usize>);

/// Where a session keeps a value that is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Register {
    Key(&'static str),
    Principal,
}

impl<'a> Writers<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let operations = history.operations.iter().enumerate();
        let writes = operations.filter_map(|(at, operation)| Some((written(operation)?, at)));
        Self(writes.collect())
    }
}

pub(super) fn check(story: &Story<'_>, writers: &Writers<'_>, violations: &mut Vec<Violation>) {
    let writes = acknowledged_writes(story);
    let nothing = Vec::new();
    for (at, operation) in story.acts() {
        let (Some(register), Some(value)) = (read(operation), operation.body()) else {
            continue;
        };
        if register == Register::Key(BOOM) {
            if value != NOTHING {
                let what = "a failed request's insertion".to_owned();
                violations.push(Violation::new(Rule::RolledBack, at, vec![], what));
            }
            continue;
        }
        let writes = writes.get(&register).unwrap_or(&nothing);
        let end = writes.partition_point(|write| write.returned < story.horizon(operation));
        let newest = writes[..end].last();
        if value == NOTHING {
            if let Some(newest) = newest.filter(|_| !story.excuses(operation)) {
                let what = "nothing, of what was set".to_owned();
                violations.push(Violation::new(Rule::Vanished, at, vec![newest.at], what));
            }
            continue;
        }
        let Some(&by) = writers.0.get(&(register, value)) else {
            let what = format!("nobody set {value:?}");
            violations.push(Violation::new(Rule::MixedUp, at, vec![], what));
            continue;
        };
        let writer = &story.history.operations[by];
        let violation = if writer.session() != Some(story.session) {
            Some((Rule::MixedUp, vec![by], "another session's value"))
        } else {
            match (writer.effect(), newest) {
                (Effect::Refused, _) => Some((Rule::Refused, vec![by], "a refused value")),
                // What is unknown may happen at any time.
                (Effect::Happened, Some(newest)) if newest.latest_start > writer.returned => {
                    let rule = if operation.part == Part::Inventory {
                        Rule::Lost
                    } else {
                        Rule::Stale
                    };
                    Some((rule, vec![by, newest.latest], "an overwritten value"))
                }
                _ => None,
            }
        };
        if let Some((rule, because, what)) = violation {
            violations.push(Violation::new(rule, at, because, what.to_owned()));
        }
    }
}

struct Write {
    at: usize,
    returned: Duration,
    /// The latest beginning of all writes up to this one, and which that is.
    latest_start: Duration,
    latest: usize,
}

/// In the order of their answers.
fn acknowledged_writes(story: &Story<'_>) -> HashMap<Register, Vec<Write>> {
    let mut acts: Vec<_> = story
        .acts()
        .filter(|(_, operation)| operation.effect() == Effect::Happened)
        .collect();
    acts.sort_by_key(|(_, operation)| operation.returned);
    let mut writes: HashMap<_, Vec<Write>> = HashMap::new();
    for (at, operation) in acts {
        let Some((register, _)) = written(operation) else {
            continue;
        };
        let writes = writes.entry(register).or_default();
        let (latest_start, latest) = match writes.last() {
            Some(last) if last.latest_start > operation.invoked => (last.latest_start, last.latest),
            _ => (operation.invoked, at),
        };
        writes.push(Write {
            at,
            returned: operation.returned,
            latest_start,
            latest,
        });
    }
    writes
}

fn written(operation: &Operation) -> Option<(Register, &str)> {
    match &operation.route {
        Route::Set { key, value } => Some((Register::Key(key), value)),
        Route::Login { user, .. } => Some((Register::Principal, user)),
        _ => None,
    }
}

const fn read(operation: &Operation) -> Option<Register> {
    match operation.route {
        Route::Get(key) => Some(Register::Key(key)),
        Route::WhoAmI => Some(Register::Principal),
        _ => None,
    }
}

/// What the routes print for what is not there.
const NOTHING: &str = "-";
