//! A scenario with a schedule, and the search for the shortest one that still shows what is wrong.

use std::{fmt, sync::mpsc, thread, time::Duration};

use crate::{
    choices::{Choices, Random},
    journal::{Kind, Violation},
    run::run,
    scenario::Scenario,
    server::Flaw,
    world::Trace,
};

/// A scenario under one schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub(crate) scenario: Scenario,
    /// The schedule's decisions; what is missing is the straight way.
    pub(crate) choices: Vec<u8>,
}

impl Case {
    /// The case of that seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self::tried(seed, None).0
    }

    /// The case of that seed, and what is wrong in it.
    pub(crate) fn tried(seed: u64, flaw: Option<Flaw>) -> (Self, Vec<Violation>) {
        let mut random = Random::new(seed);
        let scenario = Scenario::drawn(&mut random).with_flaw(flaw);
        let outcome = run(&scenario, Choices::drawn(random), Trace::default());
        (
            Self {
                scenario,
                choices: outcome.taken,
            },
            outcome.violations,
        )
    }

    /// The scenario of a seed whose schedule cannot be run to its end, so that its decisions are not
    /// known: those that it would draw.
    pub(crate) fn of_unfinished_seed(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::drawn(&mut random).with_flaw(flaw);
        let choices = (0..MOST_CHOICES).map(|_| random.byte()).collect();
        Self { scenario, choices }
    }

    /// Takes away and simplifies for as long as it still shows that kind of violation.
    #[must_use]
    pub fn shrunk(self, kind: Kind) -> Self {
        let mut best = self;
        loop {
            let Some(smaller) = best.smaller().find(|smaller| smaller.shows(kind)) else {
                return best;
            };
            best = smaller;
        }
    }

    /// Cases that are a step simpler, the boldest first.
    fn smaller(&self) -> impl Iterator<Item = Self> + '_ {
        let scenarios = self.scenario.smaller().into_iter();
        let scenarios = scenarios.map(|scenario| Self {
            scenario,
            choices: self.choices.clone(),
        });
        let length = self.choices.len();
        let sizes =
            std::iter::successors(Some(length), |size| Some(size / 2)).take_while(|size| *size > 0);
        let cut = sizes.clone().flat_map(move |size| {
            (0..length).step_by(size).map(move |from| {
                let mut choices = self.choices.clone();
                choices.drain(from..(from + size).min(length));
                choices
            })
        });
        let zeroed = sizes.flat_map(move |size| {
            (0..length).step_by(size).filter_map(move |from| {
                let mut choices = self.choices.clone();
                let part = &mut choices[from..(from + size).min(length)];
                let is_simpler = part.iter().any(|byte| *byte != 0);
                part.fill(0);
                is_simpler.then_some(choices)
            })
        });
        let scenario = &self.scenario;
        let schedules = cut.chain(zeroed);
        scenarios.chain(schedules.map(move |choices| Self {
            scenario: scenario.clone(),
            choices,
        }))
    }

    fn shows(&self, kind: Kind) -> bool {
        let violations = match kind {
            Kind::Hang | Kind::Crash => return self.is_cut_off(kind),
            _ => {
                run(
                    &self.scenario,
                    Choices::given(self.choices.clone()),
                    Trace::default(),
                )
                .violations
            }
        };
        violations.iter().any(|violation| violation.kind == kind)
    }

    /// Whether the schedule has no end. A thread that hangs cannot be ended, so it is left behind.
    fn is_cut_off(&self, kind: Kind) -> bool {
        let (ended, end) = mpsc::channel();
        let case = self.clone();
        thread::spawn(move || {
            let _ = run(
                &case.scenario,
                Choices::given(case.choices),
                Trace::default(),
            );
            ended.send(())
        });
        match end.recv_timeout(PATIENCE) {
            Ok(()) => false,
            Err(mpsc::RecvTimeoutError::Timeout) => kind == Kind::Hang,
            Err(mpsc::RecvTimeoutError::Disconnected) => kind == Kind::Crash,
        }
    }

    /// What happens in it, step by step, and what is wrong then.
    #[must_use]
    pub fn trace(&self, kind: Kind) -> String {
        if matches!(kind, Kind::Hang | Kind::Crash) {
            return format!("{self}  its thread does not get to the end");
        }
        let outcome = run(
            &self.scenario,
            Choices::given(self.choices.clone()),
            Trace::told(),
        );
        let stories = outcome
            .violations
            .iter()
            .map(|violation| format!("  {:?}: {}\n", violation.kind, violation.story));
        format!(
            "{self}{}\n{}",
            outcome.trace.join("\n"),
            stories.collect::<String>()
        )
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scenario)
    }
}

/// More decisions than a schedule takes.
const MOST_CHOICES: usize = 2000;

/// A schedule takes a thousandth of it.
const PATIENCE: Duration = Duration::from_millis(500);
