//! Many schedules, one after the other.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    case::Case,
    journal::{Kind, Violation},
    server::Flaw,
};

/// What came of a sweep.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Sweep {
    /// How many schedules were run.
    pub schedules: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// The first case of each kind of violation.
    pub found: BTreeMap<Kind, Finding>,
}

/// The first case of one kind of violation.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The seed that shows it.
    pub seed: u64,
    /// How many schedules had been run by then.
    pub schedules: u64,
    /// How long that took.
    pub after: Duration,
    /// In how many schedules of the sweep it showed.
    pub count: u64,
    /// What is wrong.
    pub story: String,
    /// The case, as it was drawn.
    pub case: Case,
}

/// When a sweep ends.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "made by whoever starts one")]
pub enum Until {
    /// After so many schedules.
    Schedules(u64),
    /// After that time.
    Elapsed(Duration),
}

/// Which schedules to run.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by whoever starts a sweep")]
pub struct Plan {
    /// The seed of the first one; the others follow it.
    pub first_seed: u64,
    /// When to end.
    pub until: Until,
    /// What is wrong with the server, if it is to be tried out whether that shows.
    pub flaw: Option<Flaw>,
}

impl Plan {
    /// Runs them.
    #[must_use]
    pub fn run(self) -> Sweep {
        let start = now();
        let mut sweep = Sweep::default();
        while !self.until.is_reached(sweep.schedules, start) {
            self.run_worker(start, &mut sweep);
        }
        sweep.elapsed = start.elapsed();
        sweep
    }

    /// Runs schedules until it is time, or one of them has stopped its thread.
    fn run_worker(self, start: Instant, sweep: &mut Sweep) {
        let (reports, inbox) = mpsc::channel();
        let progress = Arc::new(AtomicU64::new(sweep.schedules));
        let worker = Worker {
            plan: self,
            start,
            progress: Arc::clone(&progress),
            reports,
        };
        let thread = thread::spawn(move || worker.run());
        let mut before = None;
        let cut_off_by = loop {
            match inbox.recv_timeout(PATIENCE) {
                Ok(report) => sweep.note(report),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    break thread.join().is_err().then_some(Kind::Crash);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let now = progress.load(Ordering::Relaxed);
                    if before.replace(now) == Some(now) {
                        break Some(Kind::Hang);
                    }
                }
            }
        };
        sweep.schedules = progress.load(Ordering::Relaxed);
        if let Some(kind) = cut_off_by {
            let seed = self.first_seed + sweep.schedules;
            sweep.schedules += 1;
            let case = Case::of_unfinished_seed(seed, self.flaw);
            let story = "the thread that ran it did not get to its end".to_owned();
            let finding = Finding::new(seed, sweep.schedules, start, story, case);
            sweep.note(Report { kind, finding });
        }
    }
}

/// Runs schedules on a thread of its own: one that hangs must not take the sweep along.
struct Worker {
    plan: Plan,
    start: Instant,
    /// How many schedules are over.
    progress: Arc<AtomicU64>,
    reports: mpsc::Sender<Report>,
}

struct Report {
    kind: Kind,
    finding: Finding,
}

impl Worker {
    fn run(self) {
        let mut over = self.progress.load(Ordering::Relaxed);
        while !self.plan.until.is_reached(over, self.start) {
            let seed = self.plan.first_seed + over;
            let (case, violations) = Case::tried(seed, self.plan.flaw);
            over += 1;
            for Violation { kind, story } in violations {
                let finding = Finding::new(seed, over, self.start, story, case.clone());
                let _ = self.reports.send(Report { kind, finding });
            }
            self.progress.store(over, Ordering::Relaxed);
        }
    }
}

impl Finding {
    fn new(seed: u64, schedules: u64, start: Instant, story: String, case: Case) -> Self {
        let after = start.elapsed();
        Self {
            seed,
            schedules,
            after,
            count: 1,
            story,
            case,
        }
    }
}

impl Until {
    fn is_reached(self, schedules: u64, start: Instant) -> bool {
        match self {
            Self::Schedules(most) => schedules >= most,
            Self::Elapsed(most) => start.elapsed() >= most,
        }
    }
}

impl Sweep {
    /// Schedules per minute.
    #[must_use]
    pub fn per_minute(&self) -> u64 {
        let millis = u64::try_from(self.elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        self.schedules.saturating_mul(60_000) / millis
    }

    fn note(&mut self, report: Report) {
        let known = self.found.get_mut(&report.kind);
        match known {
            Some(known) => known.count += 1,
            None => {
                self.found.insert(report.kind, report.finding);
            }
        }
    }
}

impl fmt::Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{} schedules in {seconds:.1} s, {} per minute; {} kinds of violations",
            self.schedules,
            self.per_minute(),
            self.found.len()
        )?;
        for (kind, finding) in &self.found {
            let Finding {
                seed,
                schedules,
                after,
                count,
                story,
                ..
            } = finding;
            let after = after.as_secs_f64();
            let kind = format!("{kind:?}");
            writeln!(
                f,
                "{kind:>20}  in {count} schedules, first by seed {seed}, the {schedules}th, after {after:.2} s: {story}"
            )?;
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "durations for the reader; no schedule depends on them"
)]
fn now() -> Instant {
    Instant::now()
}

/// How long a schedule may take: thousands of times as long as it does.
const PATIENCE: Duration = Duration::from_secs(2);
