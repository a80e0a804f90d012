//! What requests take of the processes that answer them.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};
use tenure_core::SessionManager;
use tenure_near_cache::NearCache;
use tenure_redis::RedisStore;
use tenure_testing::RedisServer;

use crate::{
    Effort,
    crowd::{Crowd, Work},
};

/// Where costs accrue besides this process.
#[derive(Debug, Default)]
pub(crate) struct Meter<'a> {
    redis: Option<&'a RedisServer>,
    caches: Vec<NearCache<RedisStore>>,
}

impl<'a> Meter<'a> {
    pub(crate) const fn of(redis: &'a RedisServer) -> Self {
        Self {
            redis: Some(redis),
            caches: Vec::new(),
        }
    }

    pub(crate) fn and_caches(self, caches: Vec<NearCache<RedisStore>>) -> Self {
        Self { caches, ..self }
    }

    /// The median of several rounds.
    pub(crate) async fn measure(
        &self,
        nodes: &[SessionManager],
        crowd: &mut Crowd,
        work: Work,
        effort: &Effort,
    ) -> Cost {
        let mut rounds = Vec::new();
        for _ in 0..effort.rounds {
            if let Some(redis) = self.redis {
                redis.reset_command_stats();
            }
            let before = self.readings();
            crowd.visit_often(nodes, work, effort.requests).await;
            rounds.push(self.readings().since(before, effort.requests));
        }
        let median = |figure: fn(&Cost) -> f64| {
            let mut figures: Vec<_> = rounds.iter().map(figure).collect();
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        Cost {
            application: median(|cost| cost.application),
            redis: median(|cost| cost.redis),
            commands: median(|cost| cost.commands),
            hit_rate: median(|cost| cost.hit_rate),
            cached: self.readings().cached,
        }
    }

    fn readings(&self) -> Readings {
        let mut readings = Readings {
            application: own_cpu_time(),
            ..Readings::default()
        };
        if let Some(redis) = self.redis {
            readings.redis = cpu_time(redis.pid());
            readings.commands = redis.sent_commands();
        }
        for metrics in self.caches.iter().map(NearCache::metrics) {
            readings.hits += metrics.hits;
            readings.loads += metrics.hits + metrics.misses.total();
            readings.cached += metrics.entries;
        }
        readings
    }
}

/// Per request.
#[derive(Debug)]
pub(crate) struct Cost {
    /// CPU time of this process, in microseconds.
    pub(crate) application: f64,
    /// CPU time of the Redis server, in microseconds.
    pub(crate) redis: f64,
    /// Commands that were sent to it.
    pub(crate) commands: f64,
    /// Of all loads, those that the near caches answered. Not a number where there is none.
    pub(crate) hit_rate: f64,
    /// Sessions in the near caches.
    pub(crate) cached: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Readings {
    application: Duration,
    redis: Duration,
    commands: u64,
    hits: u64,
    loads: u64,
    cached: usize,
}

impl Readings {
    fn since(self, before: Self, requests: usize) -> Cost {
        let each = |spent: Duration| spent.as_secs_f64() * 1e6 / requests as f64;
        Cost {
            application: each(self.application - before.application),
            redis: each(self.redis - before.redis),
            commands: (self.commands - before.commands) as f64 / requests as f64,
            hit_rate: (self.hits - before.hits) as f64 / (self.loads - before.loads) as f64,
            cached: self.cached,
        }
    }
}

fn own_cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.try_into().expect("a span of time")
}

/// Of a process' first thread, which in Redis does all the work. `/proc/…/stat` has the other
/// threads too, but only in units of 10 ms.
fn cpu_time(pid: u32) -> Duration {
    let times = fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("Linux");
    let on_cpu = times.split(' ').next().expect("a first figure");
    Duration::from_nanos(on_cpu.parse().expect("a number"))
}
