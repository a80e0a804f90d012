//! Which cookie opens a session, and which no longer does.

use std::collections::BTreeMap;

use super::{
    Rule, Violation,
    story::{Shown, Story},
};
use crate::{
    history::{Effect, History, Kind, Operation, Place, Route},
    token::SessionName,
};

pub(super) fn check(story: &Story<'_>, violations: &mut Vec<Violation>) {
    let end = end_of(story);
    for (at, operation, secret) in story.visits() {
        let succession = story.succession(secret);
        match story.shown(operation) {
            Some(Shown::Open) => {
                let horizon = story.horizon(operation);
                if let Some((end, logout)) = end.filter(|(_, logout)| logout.returned < horizon) {
                    let what = format!("open, {} after the logout", millis(operation, logout));
                    violations.push(Violation::new(Rule::Ended, at, vec![end], what));
                }
                if let Some(succession) = succession.filter(|it| it.returned < horizon) {
                    let what = format!("open with {secret}, which was replaced");
                    let because = vec![succession.by];
                    violations.push(Violation::new(Rule::Replaced, at, because, what));
                }
            }
            Some(Shown::Closed) if !story.excuses(operation) => {
                let what = "closed, although nobody ended it".to_owned();
                let because = witnesses(story, operation);
                violations.push(Violation::new(Rule::Vanished, at, because, what));
            }
            _ => {}
        }
    }
    late_cookies(story, violations);
}

/// A cookie is removed by those only whose session it opens.
pub(super) fn check_removals(
    history: &History,
    stories: &BTreeMap<SessionName, Story<'_>>,
    violations: &mut Vec<Violation>,
) {
    for (at, operation) in history.operations.iter().enumerate() {
        let (Some(swept), false) = (operation.swept, operation.route == Route::Logout) else {
            continue;
        };
        let Some(story) = stories.get(&swept.token.session) else {
            continue;
        };
        // As if somebody had come with that cookie when this answer arrived.
        let visit = Operation {
            sent: Some(swept.token),
            invoked: swept.at,
            returned: swept.at,
            ..operation.clone()
        };
        if !story.excuses(&visit) {
            let what = format!("took {} out of the jar", swept.token);
            let because = witnesses(story, &visit);
            violations.push(Violation::new(Rule::Swept, at, because, what));
        }
    }
}

/// The first logout after which the session is certain to be ended.
fn end_of<'a>(story: &Story<'a>) -> Option<(usize, &'a Operation)> {
    let logouts = story.visits().filter(|(_, operation, secret)| {
        operation.route == Route::Logout
            && operation.effect() == Effect::Happened
            // With a replaced secret, there was nothing to log out of.
            && !story.may_be_replaced(*secret, operation.returned)
    });
    logouts
        .map(|(at, operation, _)| (at, operation))
        .min_by_key(|(_, operation)| operation.returned)
}

/// An answer that comes after a login's does not bring the cookie back that the login replaced.
///
/// An answer that had left its node before cannot be called back: where anything known held it up,
/// nothing is said.
fn late_cookies(story: &Story<'_>, violations: &mut Vec<Violation>) {
    for (at, operation) in story.acts() {
        let Some(token) = operation.received() else {
            continue;
        };
        let Some(succession) = story.succession(token.secret) else {
            continue;
        };
        let is_late = operation.returned > succession.returned + story.terms.patience;
        if is_late && !was_held_up(story.history, operation) {
            let login = &story.history.operations[succession.by];
            let lateness = millis(operation, login);
            let what = format!("{token} set {lateness} after it was replaced");
            let because = vec![succession.by];
            violations.push(Violation::new(Rule::LateCookie, at, because, what));
        }
    }
}

fn was_held_up(history: &History, operation: &Operation) -> bool {
    let overlaps = |from, until| from < operation.returned && until > operation.invoked;
    let mut incidents = history.incidents.iter();
    let mut operations = history.operations.iter();
    incidents.any(|incident| {
        let concerns = matches!(incident.place, Place::Everywhere)
            || incident.place == Place::Node(operation.node);
        incident.kind == Kind::Delay && concerns && overlaps(incident.from, incident.until)
    }) || operations.any(|other| {
        let blocks = other.route == Route::Block && other.node == operation.node;
        blocks && overlaps(other.invoked, other.returned + other.pause)
    })
}

/// The last that found the session open before, and whoever tried to end it.
fn witnesses(story: &Story<'_>, operation: &Operation) -> Vec<usize> {
    let logouts = story.operations.iter().filter(|(_, other)| {
        other.route == Route::Logout
            && other.invoked < operation.returned
            && other.effect() != Effect::Refused
    });
    let open = story.operations.iter().filter(|(_, other)| {
        other.returned <= operation.invoked && story.shown(other) == Some(Shown::Open)
    });
    let last = open.max_by_key(|(_, other)| other.returned);
    last.into_iter().chain(logouts).map(|(at, _)| *at).collect()
}

fn millis(late: &Operation, early: &Operation) -> String {
    let span = late.returned.saturating_sub(early.returned);
    format!("{} ms", span.as_millis())
}
