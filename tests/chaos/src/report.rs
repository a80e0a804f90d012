//! What a round has shown, for whoever reads it.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{
    checker::{Rule, Violation},
    history::{History, Incident, Kind, Part},
    round::Setting,
};

/// What a round was and what it came to. Its `Display` tells violations with what led to them.
#[derive(Debug)]
pub struct Report {
    setting: Setting,
    history: History,
    violations: Vec<Violation>,
    duration: Duration,
}

impl Report {
    pub(crate) const fn new(
        setting: Setting,
        history: History,
        violations: Vec<Violation>,
        duration: Duration,
    ) -> Self {
        Self {
            setting,
            history,
            violations,
            duration,
        }
    }

    /// How many promises were broken.
    #[must_use]
    pub const fn violations(&self) -> usize {
        self.violations.len()
    }

    /// How many requests there were.
    #[must_use]
    pub const fn operations(&self) -> usize {
        self.history.operations.len()
    }

    /// How many things went wrong on purpose.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.history.incidents.len() - self.times_busy()
    }

    fn times_busy(&self) -> usize {
        let incidents = self.history.incidents.iter();
        incidents.filter(|it| it.kind == Kind::Busy).count()
    }

    fn share(&self, matches: impl Fn(&crate::history::Operation) -> bool) -> usize {
        let operations = self.history.operations.iter();
        operations.filter(|operation| matches(operation)).count()
    }

    /// The operations that show a violation, and what went wrong around them.
    fn excerpt(&self, violation: &Violation, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut places = violation.because.clone();
        places.push(violation.at);
        places.sort_unstable();
        places.dedup();
        let shown: Vec<_> = places
            .iter()
            .map(|at| &self.history.operations[*at])
            .collect();
        let from = shown.iter().map(|operation| operation.invoked).min();
        let until = shown.iter().map(|operation| operation.returned).max();
        for operation in shown {
            writeln!(f, "      {operation}")?;
        }
        let (from, until) = (from.unwrap_or_default(), until.unwrap_or_default());
        let overlaps = |it: &&Incident| it.until + AROUND >= from && it.from <= until;
        let incidents: Vec<_> = self.history.incidents.iter().filter(overlaps).collect();
        for incident in incidents.iter().rev().take(MOST_INCIDENTS).rev() {
            writeln!(f, "      {incident}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = |status| {
            move |it: &crate::history::Operation| {
                it.part != Part::Inventory && it.reply().is_some_and(|(it, ..)| it == status)
            }
        };
        writeln!(
            f,
            "{}: {} operations ({} of 409, {} of 503, {} without an answer), {} faults, {} violations, {:.1} s",
            self.setting,
            self.operations(),
            self.share(answered(409)),
            self.share(answered(503)),
            self.share(|it| it.reply().is_none()),
            self.faults(),
            self.violations(),
            self.duration.as_secs_f32(),
        )?;
        let mut rules: BTreeMap<Rule, Vec<&Violation>> = BTreeMap::new();
        for violation in &self.violations {
            rules.entry(violation.rule).or_default().push(violation);
        }
        for (rule, violations) in rules {
            let first = self.history.operations[violations[0].at].returned;
            writeln!(
                f,
                "  {rule}: {} times, first after {:.1} s",
                violations.len(),
                first.as_secs_f32()
            )?;
            for violation in violations.into_iter().take(MOST_EXCERPTS) {
                writeln!(f, "    {}", violation.what)?;
                self.excerpt(violation, f)?;
            }
        }
        let busy = self.times_busy();
        if busy > 0 {
            writeln!(
                f,
                "  the machine was too busy for this process {busy} times"
            )?;
        }
        Ok(())
    }
}

/// Of each rule: the first ones tell the story.
const MOST_EXCERPTS: usize = 3;

const MOST_INCIDENTS: usize = 6;

/// A fault may have its effect a while after it was mended.
const AROUND: Duration = Duration::from_millis(1500);
