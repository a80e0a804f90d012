//! How many commands clients have sent to Redis.

use tenure_testing::RedisServer;

/// What was sent since the counts were reset, besides the heartbeats of near caches and this question.
///
/// Redis counts the commands inside a script besides the script itself. The store's scripts use other
/// commands than its clients do, so the commands that were *sent* can be told apart.
#[must_use]
pub fn sent_commands(redis: &RedisServer) -> u64 {
    let is_sent = |name: &str| {
        !INSIDE_SCRIPTS.contains(&name) && !name.starts_with("config") && !ASIDE.contains(&name)
    };
    let stats = redis.command_stats();
    let sent = stats.iter().filter(|(name, _)| is_sent(name));
    sent.map(|(_, calls)| calls).sum()
}

/// Commands that only scripts use.
const INSIDE_SCRIPTS: [&str; 6] = ["set", "getrange", "setrange", "pexpire", "exists", "strlen"];

const ASIDE: [&str; 2] = ["info", "ping"];
