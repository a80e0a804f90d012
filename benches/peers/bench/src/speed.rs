//! How fast the routes are, and what they cost.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;
use tenure_testing::RedisServer;

use crate::{
    Outcome,
    accounting::{RedisCounts, Scripts, cpu_time, resident},
    browser::first_visits,
    contestants::{Contestant, Store},
    generator::{Generator, Load, Reading},
    processes::{App, Stage},
    report::Cell,
};

/// What is requested, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    Plain,
    Read,
    IncrMany,
    IncrHot,
    FirstVisit,
    Login,
}

impl Work {
    /// In the order in which they are done: `Read` while the cookies are the newest that there are,
    /// since a library may do more for an old one; `Login` once the speed of first visits is known.
    pub(crate) const ALL: [Self; 6] = [
        Self::Plain,
        Self::Read,
        Self::IncrMany,
        Self::IncrHot,
        Self::FirstVisit,
        Self::Login,
    ];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Plain => "`/plain` with a session's cookie, never touching the session",
            Self::Read => "`/read`, 1,000 sessions in turn",
            Self::IncrMany => "`/incr`, 1,000 sessions in turn",
            Self::IncrHot => "`/incr`, one session, 64 connections",
            Self::FirstVisit => "First visit: `/incr` without a cookie",
            Self::Login => "Login of visitors who have a session, each once",
        }
    }

    const fn connections(self) -> u32 {
        match self {
            Self::IncrHot => 64,
            Self::Plain | Self::Read | Self::IncrMany | Self::FirstVisit | Self::Login => {
                CONNECTIONS
            }
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Plain => "/plain",
            Self::Read => "/read",
            Self::IncrMany | Self::IncrHot | Self::FirstVisit => "/incr",
            Self::Login => "/login/ada",
        }
    }
}

/// One work on one contestant, in one round or as the medians of all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Measure {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// CPU time per request.
    pub(crate) app_cpu_us: f64,
    /// Per request as well; `None` without Redis.
    pub(crate) redis: Option<RedisCost>,
}

/// What a request costs Redis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct RedisCost {
    pub(crate) cpu_us: f64,
    pub(crate) commands: f64,
    pub(crate) commands_in_scripts: f64,
    pub(crate) bytes: f64,
}

/// Memory per 100,000 sessions, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    /// How many sessions there were.
    pub(crate) sessions: u64,
    pub(crate) app: f64,
    /// `None` without Redis.
    pub(crate) redis: Option<f64>,
}

/// What measures.
pub(crate) struct Bench {
    pub(crate) stage: Stage,
    pub(crate) generator: Generator,
    pub(crate) seconds: u32,
    /// For how many sessions, at least, memory is measured.
    pub(crate) sessions: u64,
}

impl Bench {
    /// Does all works on a fresh app with a fresh Redis.
    pub(crate) async fn round(&self, contestant: &Contestant) -> BTreeMap<Work, Cell<Measure>> {
        let mut measures = BTreeMap::new();
        let all_failed = |error: String| Work::ALL.map(|work| (work, Err(error.clone()))).into();
        let running = match self.start(contestant).await {
            Ok(running) => running,
            Err(error) => return all_failed(error.to_string()),
        };
        let visitors = match running.cookies(VISITORS).await {
            Ok(visitors) => visitors,
            Err(error) => return all_failed(error.to_string()),
        };
        let mut first_visits_per_second = 0.0;
        for work in Work::ALL {
            let measure = match work {
                Work::Plain | Work::Read | Work::IncrMany => running.measure(work, &visitors).await,
                Work::IncrHot => running.measure_hot(work).await,
                Work::FirstVisit => running.measure(work, &[]).await,
                Work::Login => running.measure_logins(first_visits_per_second).await,
            };
            if let (Work::FirstVisit, Ok(measure)) = (work, &measure) {
                first_visits_per_second = measure.requests_per_second;
            }
            measures.insert(work, measure.map_err(|error| error.to_string()));
        }
        measures
    }

    /// Fills a fresh app with sessions.
    pub(crate) async fn memory(&self, contestant: &Contestant) -> Outcome<Memory> {
        let running = self.start(contestant).await?;
        // Connections, pools and buffers are no sessions.
        running.cookies(VISITORS).await?;
        let app_before = resident(running.app.pid)?;
        let redis_before = running.redis_counts();
        let mut sessions = 0;
        while sessions < self.sessions {
            sessions += running.load(Work::FirstVisit, &[]).await?.requests;
        }
        let per_lot = |bytes: u64| bytes as f64 / sessions as f64 * 100_000.0;
        let app = resident(running.app.pid)?.saturating_sub(app_before);
        let redis = running.redis_counts().zip(redis_before);
        Ok(Memory {
            sessions,
            app: per_lot(app),
            redis: redis.map(|(after, before)| per_lot(after.memory.saturating_sub(before.memory))),
        })
    }

    async fn start<'a>(&'a self, contestant: &'a Contestant) -> Outcome<Running<'a>> {
        let redis = self.stage.redis()?;
        let app = self.stage.app(contestant, &redis).await?;
        Ok(Running {
            bench: self,
            contestant,
            app,
            redis,
        })
    }
}

/// One app with its Redis.
struct Running<'a> {
    bench: &'a Bench,
    contestant: &'a Contestant,
    app: App,
    redis: RedisServer,
}

impl Running<'_> {
    /// Cookies of new visitors; none from an app without sessions.
    async fn cookies(&self, visitors: usize) -> Outcome<Vec<String>> {
        if self.contestant.is_floor() {
            return Ok(Vec::new());
        }
        first_visits(self.app.address, visitors).await
    }

    async fn measure_hot(&self, work: Work) -> Outcome<Measure> {
        self.measure(work, &self.cookies(1).await?).await
    }

    /// Each visitor logs in once, so there have to be as many as there will be logins. These cost more
    /// than first visits do; but a machine that was busy then may be faster now.
    async fn measure_logins(&self, first_visits_per_second: f64) -> Outcome<Measure> {
        let mut visitors = at_least(first_visits_per_second);
        for _ in 0..ATTEMPTS {
            let cookies = self.cookies(visitors).await?;
            let (measure, reading) = self.account_for(Work::Login, &cookies).await?;
            if cookies.is_empty() || reading.sent <= cookies.len() as u64 {
                return Ok(measure);
            }
            visitors *= 2;
        }
        Err("there were never enough visitors for a second of logins".into())
    }

    async fn measure(&self, work: Work, cookies: &[String]) -> Outcome<Measure> {
        Ok(self.account_for(work, cookies).await?.0)
    }

    async fn account_for(&self, work: Work, cookies: &[String]) -> Outcome<(Measure, Reading)> {
        let before = self.account()?;
        let reading = self.load(work, cookies).await?;
        let measure = Measure::new(&reading, &before, &self.account()?);
        Ok((measure, reading))
    }

    async fn load(&self, work: Work, cookies: &[String]) -> Outcome<Reading> {
        // Each login needs a visitor of its own, so it is a second and no more.
        let seconds = if work == Work::Login {
            1
        } else {
            self.bench.seconds
        };
        let generator = &self.bench.generator;
        let load = Load {
            connections: work.connections(),
            seconds,
        };
        let run = generator.run(self.app.address, work.path(), cookies, load);
        let reading = run.await?;
        match (reading.errors, reading.requests) {
            (0, 1..) => Ok(reading),
            (errors, requests) => Err(format!("{errors} errors, {requests} answers").into()),
        }
    }

    fn account(&self) -> Outcome<Account> {
        let redis = match self.redis_counts() {
            Some(counts) => Some((cpu_time(self.redis.pid())?, counts)),
            None => None,
        };
        let app_cpu = cpu_time(self.app.pid)?;
        Ok(Account { app_cpu, redis })
    }

    fn redis_counts(&self) -> Option<RedisCounts> {
        let scripts = if self.contestant.is_ours() {
            Scripts::Ours
        } else {
            Scripts::None
        };
        let used = self.contestant.store == Store::Redis;
        used.then(|| RedisCounts::of(&self.redis, scripts))
    }
}

/// What had been used up at some moment.
struct Account {
    app_cpu: Duration,
    redis: Option<(Duration, RedisCounts)>,
}

impl Measure {
    fn new(reading: &Reading, before: &Account, after: &Account) -> Self {
        let each = |total: f64| total / reading.requests as f64;
        let each_us =
            |after: Duration, before| each(after.saturating_sub(before).as_secs_f64() * 1e6);
        let redis = after.redis.zip(before.redis);
        Self {
            requests_per_second: reading.requests_per_second(),
            p50_us: reading.p50_us as f64,
            p99_us: reading.p99_us as f64,
            app_cpu_us: each_us(after.app_cpu, before.app_cpu),
            redis: redis.map(|((after_cpu, after), (before_cpu, before))| {
                let counts = after.since(before);
                RedisCost {
                    cpu_us: each_us(after_cpu, before_cpu),
                    commands: each(counts.commands as f64),
                    commands_in_scripts: each(counts.in_scripts as f64),
                    bytes: each(counts.bytes as f64),
                }
            }),
        }
    }

    /// The median of each figure.
    pub(crate) fn median(rounds: &[Self]) -> Option<Self> {
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let costs: Vec<_> = rounds.iter().filter_map(|measure| measure.redis).collect();
        let cost = |figure: fn(&RedisCost) -> f64| median(costs.iter().map(figure).collect());
        Some(Self {
            requests_per_second: of(|measure| measure.requests_per_second)?,
            p50_us: of(|measure| measure.p50_us)?,
            p99_us: of(|measure| measure.p99_us)?,
            app_cpu_us: of(|measure| measure.app_cpu_us)?,
            redis: cost(|cost| cost.cpu_us).and_then(|cpu_us| {
                Some(RedisCost {
                    cpu_us,
                    commands: cost(|cost| cost.commands)?,
                    commands_in_scripts: cost(|cost| cost.commands_in_scripts)?,
                    bytes: cost(|cost| cost.bytes)?,
                })
            }),
        })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a speed, and any number near it will do"
)]
fn at_least(speed: f64) -> usize {
    (speed as usize).max(VISITORS)
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = figures.get(figures.len() / 2)?;
    let lower = figures.get((figures.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// Enough to keep the app's core busy, so few that answers do not wait long for each other.
pub(crate) const CONNECTIONS: u32 = 16;

/// How many sessions are used in turn: so many that two requests of one rarely meet.
const VISITORS: usize = 1000;

/// How often logins are measured with twice as many visitors.
const ATTEMPTS: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(requests_per_second: f64, commands: f64) -> Measure {
        Measure {
            requests_per_second,
            p50_us: 1.0,
            p99_us: 2.0,
            app_cpu_us: 3.0,
            redis: Some(RedisCost {
                cpu_us: 4.0,
                commands,
                commands_in_scripts: 0.0,
                bytes: 5.0,
            }),
        }
    }

    #[test]
    fn costs_are_what_was_used_between_two_accounts_by_each_request() {
        let reading = Reading {
            requests: 1000,
            sent: 1016,
            duration_us: 500_000,
            p50_us: 200,
            p99_us: 900,
            errors: 0,
        };
        let account = |milliseconds, commands, bytes| Account {
            app_cpu: Duration::from_millis(milliseconds),
            redis: Some((
                Duration::from_millis(milliseconds / 2),
                RedisCounts {
                    commands,
                    bytes,
                    ..RedisCounts::default()
                },
            )),
        };
        let measure = Measure::new(&reading, &account(100, 10, 7), &account(140, 2010, 90_007));
        assert_eq!(measure.requests_per_second, 2000.0);
        assert_eq!((measure.p50_us, measure.p99_us), (200.0, 900.0));
        assert_eq!(measure.app_cpu_us, 40.0);
        let redis = measure.redis.unwrap();
        assert_eq!(
            (redis.cpu_us, redis.commands, redis.bytes),
            (20.0, 2.0, 90.0)
        );
    }

    #[test]
    fn the_median_of_each_figure_is_its_own() {
        let rounds = [measure(10.0, 3.0), measure(30.0, 1.0), measure(20.0, 2.0)];
        assert_eq!(Measure::median(&rounds), Some(measure(20.0, 2.0)));
        assert_eq!(Measure::median(&rounds[..2]), Some(measure(20.0, 2.0)));
        assert_eq!(Measure::median(&[]), None);
    }
}
