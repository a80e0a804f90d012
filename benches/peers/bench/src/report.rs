//! All results, as they are written to the file.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    contestants::Contestant,
    correctness::Correctness,
    machine::Setup,
    speed::{Measure, Memory, Work},
};

/// A result, or why there is none.
pub(crate) type Cell<T> = Result<T, String>;

/// All results of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) setup: Setup,
    pub(crate) rows: Vec<Row>,
}

/// All results of a contestant.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    #[serde(skip)]
    pub(crate) contestant: &'static Contestant,
    pub(crate) speed: BTreeMap<Work, Cell<Speed>>,
    /// `None` for an app without sessions; so for memory.
    pub(crate) correctness: Option<Correctness>,
    pub(crate) memory: Option<Cell<Memory>>,
}

/// How fast one work is on a contestant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Speed {
    /// The medians of all rounds.
    #[serde(flatten)]
    pub(crate) median: Measure,
    /// Requests per second, relative to the app without sessions.
    pub(crate) of_floor: Option<f64>,
    /// Relative to what tenure has in its place.
    pub(crate) of_ours: Option<f64>,
    /// Requests per second in each round.
    pub(crate) rounds: Vec<f64>,
}

/// What was measured of a contestant, before it is compared with others.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) contestant: &'static Contestant,
    pub(crate) rounds: Vec<BTreeMap<Work, Cell<Measure>>>,
    pub(crate) correctness: Option<Correctness>,
    pub(crate) memory: Option<Cell<Memory>>,
}

impl Report {
    pub(crate) fn new(setup: Setup, findings: Vec<Findings>) -> Self {
        let medians: BTreeMap<_, _> = findings
            .iter()
            .flat_map(|it| Work::ALL.map(|work| ((it.contestant.name, work), it.median(work))))
            .collect();
        let relative = |measure: &Measure, other, work| {
            let other = medians.get(&(other, work))?.as_ref().ok()?;
            Some(measure.requests_per_second / other.requests_per_second)
        };
        let rows = findings.into_iter().map(|it| {
            let contestant = it.contestant;
            let speed = |work| {
                let median = it.median(work)?;
                Ok(Speed {
                    of_floor: relative(&median, contestant.floor, work),
                    of_ours: contestant
                        .ours
                        .and_then(|ours| relative(&median, ours, work)),
                    rounds: it
                        .measures(work)?
                        .iter()
                        .map(|it| it.requests_per_second)
                        .collect(),
                    median,
                })
            };
            Row {
                name: contestant.name,
                contestant,
                speed: Work::ALL.map(|work| (work, speed(work))).into(),
                correctness: it.correctness.clone(),
                memory: it.memory.clone(),
            }
        });
        Self {
            rows: rows.collect(),
            setup,
        }
    }
}

impl Findings {
    /// A work that failed in one round has failed: a figure of the others would hide it.
    fn measures(&self, work: Work) -> Cell<Vec<Measure>> {
        let not_done = || Err("not done".to_owned());
        let rounds = self.rounds.iter();
        rounds
            .map(|round| round.get(&work).cloned().unwrap_or_else(not_done))
            .collect()
    }

    fn median(&self, work: Work) -> Cell<Measure> {
        Measure::median(&self.measures(work)?).ok_or_else(|| "no rounds".to_owned())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{contestants::ALL, correctness::Count, speed::RedisCost};

    /// A report on two contestants and their floor; the peer's logins have failed.
    pub(crate) fn report() -> Report {
        let named = |name| ALL.iter().find(|it| it.name == name).unwrap();
        let findings = |name, speeds: [f64; 3]| Findings {
            contestant: named(name),
            rounds: speeds
                .map(|speed| Work::ALL.map(|work| (work, Ok(measure(speed)))).into())
                .into(),
            correctness: None,
            memory: None,
        };
        let floor = findings("axum", [100_000.0, 80_000.0, 90_000.0]);
        let mut ours = findings("tenure-axum, Redis", [30_000.0, 20_000.0, 40_000.0]);
        ours.correctness = Some(correctness(800));
        let mut peer = findings("tower-sessions, Redis", [15_000.0, 15_000.0, 16_000.0]);
        peer.correctness = Some(correctness(93));
        peer.rounds[1].insert(Work::Login, Err("7 errors, 9 answers".to_owned()));
        Report::new(Setup::example(), vec![floor, ours, peer])
    }

    fn measure(requests_per_second: f64) -> Measure {
        Measure {
            requests_per_second,
            p50_us: 1234.0,
            p99_us: 5678.0,
            app_cpu_us: 33.3,
            redis: (requests_per_second < 50_000.0).then_some(RedisCost {
                cpu_us: 11.1,
                commands: 2.0,
                commands_in_scripts: 3.0,
                bytes: 444.4,
            }),
        }
    }

    fn correctness(updates: usize) -> Correctness {
        let count = |count, refused| Ok(Count { count, refused });
        Correctness {
            nodes: 2,
            updates: count(updates, 0),
            keys: count(190, 2),
            stale: count(0, 0),
            undone: Err("/logout was answered with 500".to_owned()),
        }
    }

    #[test]
    fn medians_are_compared_with_the_floor_and_with_ours() {
        let report = report();
        let speed = |row: usize, work| report.rows[row].speed[&work].clone();
        let ours = speed(1, Work::Read).unwrap();
        assert_eq!(ours.median.requests_per_second, 30_000.0);
        assert_eq!((ours.of_floor, ours.of_ours), (Some(30.0 / 90.0), None));
        assert_eq!(ours.rounds, [30_000.0, 20_000.0, 40_000.0]);
        let peer = speed(2, Work::Read).unwrap();
        assert_eq!(
            (peer.of_floor, peer.of_ours),
            (Some(15.0 / 90.0), Some(0.5))
        );
    }

    #[test]
    fn a_work_that_failed_in_one_round_has_failed() {
        let report = report();
        let failed = report.rows[2].speed[&Work::Login].clone();
        assert_eq!(failed.unwrap_err(), "7 errors, 9 answers");
    }
}
