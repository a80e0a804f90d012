//! Every change is there once if it was acknowledged, and not at all if it was refused.

use tenure_core::{Record, SessionId};

use crate::{
    journal::{Change, Commit, Fate, Journal, Kind, List, Violation},
    server::Past,
};

/// A state of a session, decoded.
struct Decoded {
    id: SessionId,
    step: u32,
    /// `None` after a deletion.
    contents: Option<Contents>,
}

struct Contents {
    log: Vec<u32>,
    basket: Vec<u32>,
    marks: Vec<u32>,
}

pub(super) fn check(journal: &Journal, past: &Past, violations: &mut Vec<Violation>) {
    let states: Vec<_> = past
        .changes
        .iter()
        .map(|change| Decoded {
            id: change.id,
            step: change.cause.step,
            contents: change.record.as_ref().map(Contents::of),
        })
        .collect();
    for state in &states {
        check_doubles(state, violations);
    }
    for change in &journal.changes {
        match change.fate {
            Fate::Acknowledged { id: Some(id), step } => {
                // What the server has lost itself, nobody else has.
                if !past.has_losses()
                    && let Some(story) = loss(&states, change, id, step)
                {
                    violations.push(Violation {
                        kind: Kind::Lost,
                        story,
                    });
                }
            }
            Fate::Refused => {
                // What the server has lost is not there.
                let mut lasting = states.iter().filter(|state| {
                    let is_there = journal.is_known(state.id);
                    is_there && Some(state.step) >= past.last_loss()
                });
                if lasting.any(|state| state.has(change)) {
                    let story = format!("{} was refused, and is stored", name(change));
                    violations.push(Violation {
                        kind: Kind::WrittenThoughRefused,
                        story,
                    });
                }
            }
            Fate::Acknowledged { id: None, .. } | Fate::Unknown | Fate::Pending => {}
        }
    }
    if !past.has_losses() {
        for commit in &journal.commits {
            check_preview(&states, commit, past, violations);
        }
    }
}

fn check_doubles(state: &Decoded, violations: &mut Vec<Violation>) {
    let Some(contents) = &state.contents else {
        return;
    };
    for list in [&contents.log, &contents.basket] {
        let is_double = |number: &&u32| list.iter().filter(|other| other == number).count() > 1;
        if let Some(number) = list.iter().find(is_double) {
            let story = format!("change {number} is in {list:?} twice");
            violations.push(Violation {
                kind: Kind::Twice,
                story,
            });
        }
    }
}

/// From its acknowledgement on, a change is in every state of its session.
fn loss(states: &[Decoded], change: &Change, id: SessionId, step: u32) -> Option<String> {
    let of_session = || states.iter().filter(|state| state.id == id);
    let at_the_time = of_session().rev_before(step);
    let later = of_session().filter(|state| state.step > step);
    let mut lacking = at_the_time
        .into_iter()
        .chain(later)
        .filter(|state| state.contents.is_some() && !state.has(change));
    let lacking = lacking.next()?;
    Some(format!(
        "{} was acknowledged at step {step}, and is not in what is stored from step {} on",
        name(change),
        lacking.step
    ))
}

/// What a handler sees after its commit ends with what it has added, and others go on from there.
fn check_preview(
    states: &[Decoded],
    commit: &Commit,
    past: &Past,
    violations: &mut Vec<Violation>,
) {
    let ends_with_own = commit.log.ends_with(&commit.added);
    let stored = past
        .of(commit.id)
        .filter_map(|change| change.record.as_ref());
    let goes_on = stored
        .filter(|record| record.version().counter() >= commit.version.counter())
        .all(|record| Contents::of(record).log.starts_with(&commit.log));
    let is_known = states.iter().any(|state| state.id == commit.id);
    if !(ends_with_own && goes_on && is_known) {
        let story = format!(
            "request {} was shown the log {:?} after it had added {:?}",
            commit.visit, commit.log, commit.added
        );
        violations.push(Violation {
            kind: Kind::WrongPreview,
            story,
        });
    }
}

fn name(change: &Change) -> String {
    format!(
        "change {} ({:?}) of request {}",
        change.number, change.list, change.visit
    )
}

impl Decoded {
    fn has(&self, change: &Change) -> bool {
        self.contents.as_ref().is_some_and(|contents| {
            let list = match change.list {
                List::Log => &contents.log,
                List::Basket => &contents.basket,
                List::Mark => &contents.marks,
            };
            list.contains(&change.number)
        })
    }
}

impl Contents {
    fn of(record: &Record) -> Self {
        let mut contents = Self {
            log: Vec::new(),
            basket: Vec::new(),
            marks: Vec::new(),
        };
        for (name, value) in record.values().iter() {
            let list = || rmp_serde::from_slice(value).unwrap_or_default();
            match name {
                "log" => contents.log = list(),
                "basket" => contents.basket = list(),
                _ => contents.marks.extend(
                    name.strip_prefix("mark ")
                        .and_then(|it| it.parse::<u32>().ok()),
                ),
            }
        }
        contents
    }
}

/// The last state up to a step.
trait RevBefore<'a> {
    fn rev_before(self, step: u32) -> Option<&'a Decoded>;
}

impl<'a, I: Iterator<Item = &'a Decoded>> RevBefore<'a> for I {
    fn rev_before(self, step: u32) -> Option<&'a Decoded> {
        self.take_while(|state| state.step <= step).last()
    }
}
