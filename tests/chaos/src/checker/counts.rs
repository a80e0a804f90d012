//! The counter of a session, and the counter of its version.

use std::{collections::HashMap, time::Duration};

use super::{Rule, Violation, story::Story};
use crate::history::{Effect, Operation, Part, Route};

pub(super) fn check(story: &Story<'_>, violations: &mut Vec<Violation>) {
    counts(story, violations);
    versions(story, violations);
    uniqueness(story, violations);
}

/// Increments between bounds: those acknowledged before the request, and those asked for until its answer.
fn counts(story: &Story<'_>, violations: &mut Vec<Violation>) {
    let ledger = Ledger::of_increments(story);
    let floors = Floors::of_counts(story);
    for (at, operation) in story.acts() {
        let Some(count) = count_of(operation) else {
            continue;
        };
        let own = operation.route.increments();
        let (most, _) = ledger.asked_until(operation.returned);
        if count > most {
            let what = format!("{count} increments of {most} that were asked for");
            let because = refused(story, operation);
            violations.push(Violation::new(Rule::Twice, at, because, what));
        }
        let (acknowledged, last) = ledger.acknowledged_before(story.horizon(operation));
        let (floor, mark) = match operation.sent {
            Some(token) if token.session == story.session => floors.at(token.counter),
            _ => (0, None),
        };
        if count == 0 {
            if acknowledged.max(floor) > 0 && !story.excuses(operation) {
                let because = last.into_iter().chain(mark).collect();
                let what = format!("nothing, of {} increments", acknowledged.max(floor));
                violations.push(Violation::new(Rule::Vanished, at, because, what));
            }
            continue;
        }
        if count < acknowledged + own {
            let what = format!("{count}, after {acknowledged} were acknowledged");
            let rule = if tells_what_is_stored(operation) {
                Rule::Lost
            } else {
                Rule::Stale
            };
            violations.push(Violation::new(rule, at, last.into_iter().collect(), what));
        }
        if count < floor + own {
            let what = format!("{count}, with a cookie that is as new as {floor}");
            let because = mark.into_iter().collect();
            violations.push(Violation::new(Rule::Floor, at, because, what));
        }
    }
}

/// The increments of which it was said that they had not been written: one of them may have been.
fn refused(story: &Story<'_>, operation: &Operation) -> Vec<usize> {
    let refused = story.acts().filter(|(_, other)| {
        other.route.increments() > 0
            && other.effect() == Effect::Refused
            && other.invoked < operation.returned
    });
    refused.map(|(at, _)| at).collect()
}

/// Versions that a browser sees only grow.
fn versions(story: &Story<'_>, violations: &mut Vec<Violation>) {
    let mut told: Vec<_> = story
        .acts()
        .filter_map(|(at, operation)| Some((operation.returned, operation.received()?.counter, at)))
        .collect();
    told.sort_unstable();
    let mut newest = (0, None);
    let newest_by: Vec<_> = told
        .into_iter()
        .map(|(returned, counter, at)| {
            if counter > newest.0 {
                newest = (counter, Some(at));
            }
            (returned, newest)
        })
        .collect();
    for (at, operation, _) in story.visits() {
        let (Route::Version, Some(version @ 1..), Some(sent)) =
            (&operation.route, operation.number(), operation.sent)
        else {
            continue;
        };
        if version < sent.counter {
            let what = format!("version {version}, with a cookie of {}", sent.counter);
            violations.push(Violation::new(Rule::Floor, at, vec![], what));
        }
        let (newest, by) = last_before(&newest_by, story.horizon(operation)).unwrap_or((0, None));
        if version < newest {
            let what = format!("version {version}, after {newest} was told");
            let because = by.into_iter().collect();
            violations.push(Violation::new(Rule::Stale, at, because, what));
        }
    }
}

/// What was committed before it was printed was printed once.
fn uniqueness(story: &Story<'_>, violations: &mut Vec<Violation>) {
    let mut printed = HashMap::new();
    for (at, operation) in story.acts() {
        let is_committed = operation.route.increments() > 0 && operation.route != Route::Incr;
        let Some(count) = operation.number().filter(|_| is_committed) else {
            continue;
        };
        if let Some(first) = printed.insert(count, at) {
            let what = format!("{count} for the second time");
            violations.push(Violation::new(Rule::Unique, at, vec![first], what));
        }
    }
}

fn count_of(operation: &Operation) -> Option<u64> {
    let prints =
        matches!(operation.route, Route::Read | Route::Refresh) || operation.route.increments() > 0;
    operation.number().filter(|_| prints)
}

/// Whether no cache had a part in what was printed.
fn tells_what_is_stored(operation: &Operation) -> bool {
    operation.part == Part::Inventory || !matches!(operation.route, Route::Read | Route::Incr)
}

/// How many increments there must and may have been at which time.
#[derive(Default)]
struct Ledger {
    acknowledged: Vec<(Duration, (u64, Option<usize>))>,
    asked: Vec<(Duration, (u64, Option<usize>))>,
}

impl Ledger {
    fn of_increments(story: &Story<'_>) -> Self {
        let mut ledger = Self::default();
        for (at, operation) in story.acts() {
            let increments = operation.route.increments();
            let possible = match operation.effect() {
                Effect::Happened | Effect::Unknown => increments,
                // The first of two commits may have gone through.
                Effect::Refused => increments.saturating_sub(1),
            };
            if operation.effect() == Effect::Happened && increments > 0 {
                let entry = (operation.returned, (increments, Some(at)));
                ledger.acknowledged.push(entry);
            }
            if possible > 0 {
                ledger.asked.push((operation.invoked, (possible, Some(at))));
            }
        }
        sum_up(&mut ledger.acknowledged);
        sum_up(&mut ledger.asked);
        ledger
    }

    /// How many, and the last of them.
    fn acknowledged_before(&self, time: Duration) -> (u64, Option<usize>) {
        last_before(&self.acknowledged, time).unwrap_or((0, None))
    }

    fn asked_until(&self, time: Duration) -> (u64, Option<usize>) {
        last_before(&self.asked, time).unwrap_or((0, None))
    }
}

fn sum_up(entries: &mut [(Duration, (u64, Option<usize>))]) {
    entries.sort_unstable();
    let mut sum = 0;
    for (_, (increments, _)) in entries {
        sum += *increments;
        *increments = sum;
    }
}

/// The last entry before that time, of a list in the order of time.
fn last_before<T: Copy>(entries: &[(Duration, T)], time: Duration) -> Option<T> {
    let end = entries.partition_point(|(at, _)| *at < time);
    Some(entries[..end].last()?.1)
}

/// The count that the state behind a cookie has at least: what its answer or an earlier one printed.
struct Floors(Vec<(u64, u64, usize)>);

impl Floors {
    fn of_counts(story: &Story<'_>) -> Self {
        let told = story.acts().filter_map(|(at, operation)| {
            Some((operation.received()?.counter, count_of(operation)?, at))
        });
        let mut marks: Vec<_> = told.collect();
        marks.sort_unstable();
        let mut highest = (0, 0);
        for mark in &mut marks {
            if mark.1 > highest.0 {
                highest = (mark.1, mark.2);
            }
            (mark.1, mark.2) = highest;
        }
        Self(marks)
    }

    fn at(&self, counter: u64) -> (u64, Option<usize>) {
        let end = self.0.partition_point(|(known, ..)| *known <= counter);
        let mark = self.0[..end].last();
        mark.map_or((0, None), |(_, count, at)| (*count, Some(*at)))
    }
}
