//! Which cookie opens a session, and which no longer does.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Rule, Violation,
    story::{Shown, Story},
};
use crate::{
    history::{Effect, History, Operation, Route},
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
                if let Some((end, sweep)) = story.swept(secret, horizon) {
                    let late = millis(operation, sweep);
                    let what = format!("open, {late} after all of its user's logins were ended");
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
/// An answer that had left its node before cannot be called back, so whatever is known to have held it
/// up is taken off its lateness.
fn late_cookies(story: &Story<'_>, violations: &mut Vec<Violation>) {
    for (at, operation) in story.acts() {
        let Some(token) = operation.received() else {
            continue;
        };
        let Some(succession) = story.succession(token.secret) else {
            continue;
        };
        let late = operation.returned.saturating_sub(succession.returned);
        let patience = story.terms.patience;
        if late <= patience {
            continue;
        }
        let excused = held_up(story.history, operation, succession.returned);
        if late.saturating_sub(excused) > patience {
            let what = format!("{token} set {} ms after it was replaced", late.as_millis());
            let because = vec![succession.by];
            violations.push(Violation::new(Rule::LateCookie, at, because, what));
        }
    }
}

/// For how long the answer may have stood still from that time on.
fn held_up(history: &History, operation: &Operation, from: Duration) -> Duration {
    let within = |begin: Duration, end: Duration| {
        let (begin, end) = (begin.max(from), end.min(operation.returned));
        end.saturating_sub(begin)
    };
    let incidents = history.incidents.iter();
    let incidents = incidents.filter(|incident| incident.delays(operation.node));
    let blocks = history
        .operations
        .iter()
        .filter(|other| other.route == Route::Block && other.node == operation.node);
    let delays = incidents.map(|incident| within(incident.from, incident.until));
    let blocked = blocks.map(|other| within(other.invoked, other.returned + other.pause));
    delays.chain(blocked).sum()
}

/// The last that found the session open before, and whoever tried to end it.
fn witnesses(story: &Story<'_>, operation: &Operation) -> Vec<usize> {
    let logouts = story.operations.iter().filter(|(_, other)| {
        matches!(other.route, Route::Logout | Route::EndAll { .. })
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
