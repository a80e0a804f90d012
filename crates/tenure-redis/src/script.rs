//! The atomic operations, each a Lua script of its own in `scripts/`.

use std::sync::LazyLock;

use redis::{
    Arg, Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection,
};

/// What a node is asked to do.
pub(crate) struct Request {
    command: Cmd,
    task: Task,
}

enum Task {
    /// One command, which reads.
    Command,
    /// A question whose answer shows that all pushes from before it have come.
    Proof,
    /// An evaluation of one of our scripts.
    Script(&'static Script),
    /// Questions that are sent in one write, and about which nobody minds if they are asked again.
    Questions(Box<Pipeline>),
    /// The same, as a proof.
    Proofs(Box<Pipeline>),
}

/// How a request is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Plain,
    /// To a node that is about to take a slot over, and refuses everybody who does not say that they were sent.
    Sent,
}

impl Request {
    pub(crate) const fn command(command: Cmd) -> Self {
        Self {
            command,
            task: Task::Command,
        }
    }

    pub(crate) fn proof() -> Self {
        Self {
            command: redis::cmd("PING"),
            task: Task::Proof,
        }
    }

    /// Several commands that read, in one write. The reply holds theirs, errors among them.
    pub(crate) fn questions(commands: impl IntoIterator<Item = Cmd>) -> Self {
        Self {
            command: Cmd::new(),
            task: Task::Questions(Box::new(together(commands))),
        }
    }

    /// The same, if the replies show that all pushes from before have come.
    pub(crate) fn proofs(commands: impl IntoIterator<Item = Cmd>) -> Self {
        Self {
            command: Cmd::new(),
            task: Task::Proofs(Box::new(together(commands))),
        }
    }

    pub(crate) fn script(script: &'static Script, key: &str, arguments: &[&[u8]]) -> Self {
        Self::script_on(script, &[key], arguments)
    }

    /// Of keys that lie together.
    pub(crate) fn script_on(script: &'static Script, keys: &[&str], arguments: &[&[u8]]) -> Self {
        let arguments_bytes = arguments.iter().map(|argument| argument.len());
        let keys_bytes = keys.iter().map(|key| key.len());
        let bytes = arguments_bytes.chain(keys_bytes).sum::<usize>();
        let bytes = bytes + script.hash.len() + "EVALSHA1".len();
        let mut command = Cmd::with_capacity(3 + keys.len() + arguments.len(), bytes);
        command.arg("EVALSHA").arg(&script.hash).arg(keys.len());
        command.arg(keys).arg(arguments);
        Self {
            command,
            task: Task::Script(script),
        }
    }

    /// Whether to send it again if nobody knows whether it was carried out. Not so a creation, which could
    /// bring back what was ended in between, nor a commit: who sends one a second time must know that
    /// it is the second time.
    pub(crate) const fn may_be_repeated(&self) -> bool {
        match self.task {
            Task::Command | Task::Proof | Task::Questions(_) | Task::Proofs(_) => true,
            Task::Script(script) => matches!(script.repetition, Repetition::Harmless),
        }
    }

    pub(crate) const fn is_proof(&self) -> bool {
        matches!(self.task, Task::Proof | Task::Proofs(_))
    }

    /// The key that it may change in a way that is told apart from others' changes.
    pub(crate) fn written_key(&self) -> Option<&[u8]> {
        match self.task {
            Task::Script(_) => self.key(),
            Task::Command | Task::Proof | Task::Questions(_) | Task::Proofs(_) => None,
        }
    }

    /// The key that it is about, the first one of several. They lie in one slot.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        let position = match self.task {
            // Behind the verb.
            Task::Command => 1,
            // Behind the verb, the hash and the number of keys.
            Task::Script(_) => 3,
            Task::Proof | Task::Questions(_) | Task::Proofs(_) => return None,
        };
        match self.command.args_iter().nth(position) {
            Some(Arg::Simple(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether it has changed that key, going by the reply.
    pub(crate) fn has_written(&self, reply: &Value) -> bool {
        match self.task {
            Task::Script(script) => (script.has_written)(reply),
            Task::Command | Task::Proof | Task::Questions(_) | Task::Proofs(_) => false,
        }
    }

    pub(crate) async fn send(
        &self,
        connection: &mut MultiplexedConnection,
        manner: Manner,
    ) -> RedisResult<Value> {
        if manner == Manner::Sent {
            return Box::pin(self.send_as_sent(connection)).await;
        }
        if let Task::Questions(pipeline) | Task::Proofs(pipeline) = &self.task {
            let replies = connection.send_packed_commands(pipeline, 0, pipeline.len());
            return Box::pin(replies).await.map(Value::Array);
        }
        let outcome = self.command.query_async(connection).await;
        let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
        match (&outcome, &self.task) {
            // A restart, a failover or SCRIPT FLUSH empties the server's script cache. EVAL fills it
            // again, so this happens once for each of those.
            (Err(error), Task::Script(script)) if error.kind() == unknown => {
                let whole = self.evaluation_of(script.source);
                Box::pin(async move { whole.query_async(connection).await }).await
            }
            _ => outcome,
        }
    }

    /// `ASKING` counts for the next command of its connection, whoever sends that: so both are one write. And
    /// for one command only, even one that the server does not know: so the script goes along.
    async fn send_as_sent(&self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        let mut pipeline = Pipeline::new();
        pipeline.add_command(redis::cmd("ASKING"));
        pipeline.add_command(match self.task {
            Task::Script(script) => self.evaluation_of(script.source),
            Task::Command | Task::Proof | Task::Questions(_) | Task::Proofs(_) => {
                self.command.clone()
            }
        });
        let replies = connection.send_packed_commands(&pipeline, 0, 2).await?;
        let mut replies = replies.into_iter();
        replies
            .next()
            .map_or(Ok(Value::Nil), Value::extract_error)?;
        replies.next().map_or(Ok(Value::Nil), Value::extract_error)
    }

    /// The same evaluation, of a script that the server does not know yet.
    fn evaluation_of(&self, source: &str) -> Cmd {
        let mut command = redis::cmd("EVAL");
        command.arg(source);
        // Behind the verb and the hash.
        for argument in self.command.args_iter().skip(2) {
            if let Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}

fn together(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut pipeline = Pipeline::new();
    for command in commands {
        pipeline.add_command(command);
    }
    pipeline
}

/// A script, the hash by which the server knows it, and what its replies mean for who waits for pushes.
pub(crate) struct Script {
    source: &'static str,
    hash: String,
    repetition: Repetition,
    has_written: fn(&Value) -> bool,
}

/// What it means to send a request again whose reply was lost.
enum Repetition {
    Harmless,
    Forbidden,
}

impl Script {
    /// One of the login index. They write no sessions, and each may be sent again.
    fn of_index(source: &'static str) -> Self {
        Self::new(source, Repetition::Harmless, |_| false)
    }

    fn new(source: &'static str, repetition: Repetition, has_written: fn(&Value) -> bool) -> Self {
        let hash = redis::Script::new(source).get_hash().to_owned();
        Self {
            source,
            hash,
            repetition,
            has_written,
        }
    }
}

pub(crate) static CREATE: LazyLock<Script> = LazyLock::new(|| {
    let source = concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/create.lua")
    );
    let has_written = |reply: &Value| matches!(reply, Value::Int(1));
    Script::new(source, Repetition::Forbidden, has_written)
});

pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    let source = concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/commit.lua")
    );
    let has_written = |reply: &Value| matches!(reply, Value::Int(1));
    Script::new(source, Repetition::Forbidden, has_written)
});

pub(crate) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    let source = concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/renew.lua")
    );
    let has_written = |reply: &Value| matches!(reply, Value::BulkString(b) if b.ends_with(&[1]));
    Script::new(source, Repetition::Harmless, has_written)
});

pub(crate) static DELETE: LazyLock<Script> = LazyLock::new(|| {
    let source = concat!(
        include_str!("scripts/record.lua"),
        include_str!("scripts/delete.lua")
    );
    let has_written = |reply: &Value| matches!(reply, Value::Int(1));
    Script::new(source, Repetition::Harmless, has_written)
});

pub(crate) static AUDIT: LazyLock<Script> = LazyLock::new(|| {
    let source = include_str!("scripts/audit.lua");
    Script::new(source, Repetition::Forbidden, |_| false)
});

/// The scripts of the login index.
pub(crate) mod index {
    use std::sync::LazyLock;

    use super::Script;

    macro_rules! index_scripts {
        ($($name:ident $file:literal)*) => {
            $(pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
                Script::of_index(concat!(
                    include_str!("scripts/index/roll.lua"),
                    include_str!(concat!("scripts/index/", $file))
                ))
            });)*
        };
    }

    index_scripts! {
        RESERVE "reserve.lua"
        CONFIRM "confirm.lua"
        END "end.lua"
        CONDEMN "condemn.lua"
        SETTLE "settle.lua"
        TOUCH "touch.lua"
        UNBLOCK "unblock.lua"
        LOGINS "logins.lua"
    }

    pub(crate) static RAISE_GATE: LazyLock<Script> =
        LazyLock::new(|| Script::of_index(include_str!("scripts/index/raise_gate.lua")));
}

#[cfg(test)]
mod tests {
    use tenure_core::{CONDEMNED_PER_CALL, LoginRoll, RECORD_HEADER_BYTES, RESERVED_FOR};

    use super::*;

    #[test]
    fn the_scripts_know_the_header_s_length() {
        let bytes = RECORD_HEADER_BYTES;
        let constant = format!("local HEADER_BYTES = {bytes}\n");
        let reading = format!("call('GETRANGE', key, '0', '{bytes}')\n");
        for script in [&CREATE, &COMMIT, &RENEW, &DELETE] {
            assert!(script.source.contains(&constant));
            assert!(script.source.contains(&reading));
        }
    }

    #[test]
    fn the_scripts_of_the_index_know_its_limits() {
        let constants = format!(
            "local TOLD, RESERVED_FOR, TAGS_BYTES, SLACK = {CONDEMNED_PER_CALL}, {}, {}, 60000\n",
            RESERVED_FOR.as_millis(),
            8 * LoginRoll::MOST_ENDINGS
        );
        assert!(index::RESERVE.source.contains(&constants));
    }
}
