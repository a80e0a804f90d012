//! Redis as a cache throws live sessions away when its memory is full. Sessions need `noeviction`.

use redis::aio::MultiplexedConnection;

/// Warns if the server's `maxmemory-policy` is anything but `noeviction`.
///
/// Never fails: who must not read the policy may use the server all the same. `INFO` is asked since,
/// unlike `CONFIG GET`, managed services and restrictive access lists leave it open.
pub(crate) async fn warn_if_sessions_may_be_evicted(connection: &mut MultiplexedConnection) {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let answer = info.query_async::<String>(connection).await;
    match answer.as_deref().ok().and_then(policy) {
        Some(SAFE_POLICY) => {}
        Some(policy) => tracing::warn!(
            policy,
            "Redis evicts live sessions when its memory is full, and their users are logged out \
             without a trace: set `maxmemory-policy noeviction`"
        ),
        None => tracing::info!(
            "cannot tell whether Redis evicts sessions: make sure of `maxmemory-policy noeviction`"
        ),
    }
}

fn policy(info: &str) -> Option<&str> {
    info.lines()
        .find_map(|line| line.strip_prefix("maxmemory_policy:"))
        .map(str::trim)
}

const SAFE_POLICY: &str = "noeviction";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_found_among_the_other_lines() {
        let info = "# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:volatile-lru\r\nallocator:x\r\n";
        assert_eq!(policy(info), Some("volatile-lru"));
        assert_eq!(policy("# Memory\r\n"), None);
    }
}
