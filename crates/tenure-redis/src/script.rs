//! The atomic operations, each a Lua script of its own in `scripts/`.

use std::sync::LazyLock;

use redis::{Cmd, ErrorKind, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection};

/// What a node is asked to do. Idempotent, all of it: a request whose connection broke is sent again.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    Script {
        script: &'a Script,
        key: &'a str,
        arguments: &'a [&'a [u8]],
    },
}

impl Request<'_> {
    pub(crate) async fn send(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Command(command) => command.query_async(connection).await,
            Self::Script {
                script,
                key,
                arguments,
            } => script.evaluate(key, arguments, connection).await,
        }
    }
}

/// A script and the hash by which the server knows it.
pub(crate) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    fn new(source: &'static str) -> Self {
        let hash = redis::Script::new(source).get_hash().to_owned();
        Self { source, hash }
    }

    async fn evaluate(
        &self,
        key: &str,
        arguments: &[&[u8]],
        connection: &mut MultiplexedConnection,
    ) -> RedisResult<Value> {
        let by_hash = evaluation("EVALSHA", &self.hash, key, arguments);
        match by_hash.query_async(connection).await {
            // A restart, a failover or SCRIPT FLUSH empties the server's script cache. EVAL fills it
            // again, so this happens once for each of those.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                let whole = evaluation("EVAL", self.source, key, arguments);
                whole.query_async(connection).await
            }
            outcome => outcome,
        }
    }
}

fn evaluation(verb: &str, script: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(1).arg(key).arg(arguments);
    command
}

pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/create.lua")
    ))
});

pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/commit.lua")
    ))
});

pub(crate) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/renew.lua")
    ))
});

#[cfg(test)]
mod tests {
    use tenure_core::RECORD_HEADER_BYTES;

    use super::*;

    #[test]
    fn the_scripts_know_the_header_s_length() {
        let line = format!("local HEADER_BYTES = {RECORD_HEADER_BYTES}\n");
        for script in [&CREATE, &COMMIT, &RENEW] {
            assert!(script.source.contains(&line));
        }
    }
}
