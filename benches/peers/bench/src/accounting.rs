//! What processes account for themselves: CPU time, memory, and Redis' commands and bytes.

use std::{fs, time::Duration};

use rustix::param::clock_ticks_per_second;
use tenure_testing::RedisServer;

use crate::Outcome;

/// CPU time of all threads of a process, also of those that have ended.
pub(crate) fn cpu_time(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or("garbled accounting")?;
    Ok(Duration::from_secs_f64(
        ticks as f64 / clock_ticks_per_second() as f64,
    ))
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(pid: u32) -> Outcome<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(resident_bytes(&status).ok_or("garbled accounting")?)
}

/// What a Redis server has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RedisCounts {
    /// Commands that clients sent.
    pub(crate) commands: u64,
    /// Commands that scripts called.
    pub(crate) in_scripts: u64,
    /// Bytes in both directions.
    pub(crate) bytes: u64,
    /// Memory in use.
    pub(crate) memory: u64,
}

impl RedisCounts {
    pub(crate) fn of(redis: &RedisServer, scripts: Scripts) -> Self {
        Self::parse(&redis.command(&["INFO", "all"]), scripts)
    }

    fn parse(info: &str, scripts: Scripts) -> Self {
        let mut counts = Self::default();
        for (name, value) in info.lines().filter_map(|line| line.trim().split_once(':')) {
            let number = || value.parse::<u64>().unwrap_or(0);
            match name {
                "used_memory" => counts.memory = number(),
                "total_net_input_bytes" | "total_net_output_bytes" => counts.bytes += number(),
                _ => {
                    let Some((command, calls)) = command_calls(name, value) else {
                        continue;
                    };
                    if scripts == Scripts::Ours && RedisServer::INSIDE_SCRIPTS.contains(&command) {
                        counts.in_scripts += calls;
                    } else if !ASKED_HERE.contains(&command) {
                        counts.commands += calls;
                    }
                }
            }
        }
        counts
    }

    /// What was counted since; memory stays what it is now.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            commands: self.commands.saturating_sub(earlier.commands),
            in_scripts: self.in_scripts.saturating_sub(earlier.in_scripts),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            memory: self.memory,
        }
    }
}

/// Whose scripts run in a server. Redis counts the commands in a script besides the script, and does
/// not tell them apart; tenure's scripts use others than its clients send, the peers have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scripts {
    None,
    Ours,
}

/// User and system time. The second field is the program's name, which may contain anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// From a line like `cmdstat_get:calls=12,usec=30,…`.
fn command_calls<'a>(name: &'a str, value: &str) -> Option<(&'a str, u64)> {
    let command = name.strip_prefix("cmdstat_")?;
    let (calls, _) = value.strip_prefix("calls=")?.split_once(',')?;
    Some((command, calls.parse().ok()?))
}

/// The one command by which this program asks.
const ASKED_HERE: [&str; 1] = ["info"];

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# Memory\r\nused_memory:1000\r\nused_memory_human:1K\r\n\
        # Stats\r\ntotal_net_input_bytes:100\r\ntotal_net_output_bytes:900\r\n\
        # Commandstats\r\ncmdstat_get:calls=10,usec=5,usec_per_call=0.50\r\n\
        cmdstat_info:calls=7,usec=100,usec_per_call=14.28\r\n";
    const AFTER: &str = "# Memory\r\nused_memory:5000\r\nused_memory_human:5K\r\n\
        # Stats\r\ntotal_net_input_bytes:1100\r\ntotal_net_output_bytes:2900\r\n\
        # Commandstats\r\ncmdstat_get:calls=30,usec=5,usec_per_call=0.50\r\n\
        cmdstat_set:calls=15,usec=5,usec_per_call=0.50\r\n\
        cmdstat_evalsha:calls=15,usec=5,usec_per_call=0.50\r\n\
        cmdstat_client|tracking:calls=1,usec=5,usec_per_call=0.50\r\n\
        cmdstat_info:calls=8,usec=100,usec_per_call=14.28\r\n";

    #[test]
    fn commands_and_bytes_are_those_since_the_earlier_look() {
        let counts = |text| RedisCounts::parse(text, Scripts::None);
        let expected = RedisCounts {
            commands: 20 + 15 + 15 + 1,
            in_scripts: 0,
            bytes: 3000,
            memory: 5000,
        };
        assert_eq!(counts(AFTER).since(counts(BEFORE)), expected);
    }

    #[test]
    fn commands_in_our_scripts_are_told_apart_from_those_sent() {
        let counts = RedisCounts::parse(AFTER, Scripts::Ours);
        assert_eq!((counts.commands, counts.in_scripts), (30 + 15 + 1, 15));
    }

    #[test]
    fn a_programs_name_does_not_disturb_its_accounting() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345 1 2";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("42 (cut"), None);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tapp\nVmPeak:\t  9000 kB\nVmRSS:\t    5120 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes(status), Some(5120 * 1024));
        assert_eq!(resident_bytes("Name:\tapp\n"), None);
    }
}
