//! What Redis' errors mean for a session: which kind of fault it is, and whether the write may have
//! happened.

use redis::{ErrorKind, RedisError, ServerError};
use tenure_core::{StoreError, StoreErrorKind};

/// How a request that was handed to a connection failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke before the answer came. Nobody knows whether the request was carried out.
    Broken(RedisError),
    /// The server answered with an error, so the request was not carried out.
    Answered(StoreError),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // After bytes that are not RESP, nothing on that connection can be told apart any more.
            ErrorKind::Io | ErrorKind::Parse => Self::Broken(error),
            _ => Self::Answered(answer(error)),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(error) => Self::with_source(StoreErrorKind::Interrupted, error),
            Failure::Answered(error) => error,
        }
    }
}

/// A connection that could not be made, so nothing was sent.
pub(crate) fn unconnected(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_)
        | ErrorKind::Extension
        | ErrorKind::AuthenticationFailed
        | ErrorKind::RESP3NotSupported => answer(error),
        _ => StoreError::with_source(StoreErrorKind::Unavailable, error),
    }
}

/// The same, because it took too long.
pub(crate) fn no_connection_in_time() -> StoreError {
    let reason = "no connection within the deadline";
    StoreError::with_source(StoreErrorKind::Unavailable, reason)
}

/// A reply of a type that the command never has: whatever answers there is not Redis.
pub(crate) fn unexpected_reply() -> StoreError {
    StoreError::with_source(StoreErrorKind::Corrupt, "a reply of an unexpected type")
}

fn answer(error: RedisError) -> StoreError {
    match ServerError::try_from(error) {
        Ok(error) => {
            let reply = ErrorReply::new(&error);
            StoreError::with_source(reply.kind(), reply)
        }
        Err(other) => StoreError::with_source(StoreErrorKind::Refused, other),
    }
}

/// An error reply, without what it may quote of the command.
#[derive(Debug, thiserror::Error)]
#[error("{code} {message}")]
struct ErrorReply {
    code: String,
    message: String,
}

impl ErrorReply {
    fn new(error: &ServerError) -> Self {
        let message = error.details().unwrap_or_default();
        // "ERR unknown command 'EVALSHA', with args beginning with: …" would carry the session's id,
        // its values and the hash of its secret into logs.
        let quoted = message.find(QUOTATION).unwrap_or(message.len());
        Self {
            code: error.code().to_owned(),
            message: message[..quoted].to_owned(),
        }
    }

    fn kind(&self) -> StoreErrorKind {
        match self.code.as_str() {
            "OOM" => StoreErrorKind::Full,
            // A snapshot could not be written, as a rule because the disk is full; until one can,
            // the server takes no writes.
            "MISCONF" => StoreErrorKind::Full,
            // Our scripts' own, and a key that holds a list or the like.
            "CORRUPT" | "WRONGTYPE" => StoreErrorKind::Corrupt,
            "LOADING" | "BUSY" | "TRYAGAIN" | "MASTERDOWN" | "CLUSTERDOWN" | "NOREPLICAS" => {
                StoreErrorKind::Unavailable
            }
            "ERR" if self.message.starts_with("max number of clients") => {
                StoreErrorKind::Unavailable
            }
            // READONLY, NOPERM, NOAUTH, WRONGPASS, MOVED, unknown commands, …
            _ => StoreErrorKind::Refused,
        }
    }
}

const QUOTATION: &str = ", with args beginning with";

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn failure(reply: &str) -> Failure {
        let value = redis::parse_redis_value(format!("-{reply}\r\n").as_bytes()).unwrap();
        Failure::from(value.extract_error().unwrap_err())
    }

    #[test]
    fn error_replies_are_faults_of_the_kind_that_they_tell_of() {
        let rows = [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                StoreErrorKind::Full,
            ),
            (
                "MISCONF Redis is configured to save RDB snapshots",
                StoreErrorKind::Full,
            ),
            ("WRONGTYPE Operation against a key", StoreErrorKind::Corrupt),
            (
                "CORRUPT the stored value is not a record",
                StoreErrorKind::Corrupt,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                StoreErrorKind::Unavailable,
            ),
            (
                "BUSY Redis is busy running a script.",
                StoreErrorKind::Unavailable,
            ),
            (
                "TRYAGAIN Multiple keys request",
                StoreErrorKind::Unavailable,
            ),
            (
                "MASTERDOWN Link with MASTER is down",
                StoreErrorKind::Unavailable,
            ),
            (
                "CLUSTERDOWN The cluster is down",
                StoreErrorKind::Unavailable,
            ),
            (
                "NOREPLICAS Not enough good replicas to write.",
                StoreErrorKind::Unavailable,
            ),
            (
                "ERR max number of clients reached",
                StoreErrorKind::Unavailable,
            ),
            (
                "READONLY You can't write against a read only replica.",
                StoreErrorKind::Refused,
            ),
            (
                "NOPERM this user has no permissions",
                StoreErrorKind::Refused,
            ),
            ("NOAUTH Authentication required.", StoreErrorKind::Refused),
            (
                "WRONGPASS invalid username-password pair",
                StoreErrorKind::Refused,
            ),
            ("MOVED 3999 127.0.0.1:6381", StoreErrorKind::Refused),
            ("ERR unknown command 'EVALSHA'", StoreErrorKind::Refused),
        ];
        for (reply, kind) in rows {
            let error = StoreError::from(failure(reply));
            assert_eq!(error.kind(), kind, "{reply}");
            assert!(!error.outcome_unknown(), "{reply}");
            let shown = error.source().unwrap().to_string();
            assert_eq!(shown, reply, "the source tells what the server said");
        }
    }

    #[test]
    fn a_command_that_the_server_quotes_does_not_get_into_the_error() {
        let error = StoreError::from(failure(
            "ERR unknown command 'EVALSHA', with args beginning with: 'hash' '1' 'tenure:id' 'values' ",
        ));
        let shown = format!("{error} {error:?} {}", error.source().unwrap());
        assert!(shown.contains("unknown command 'EVALSHA'"));
        for private in ["tenure:id", "values"] {
            assert!(!shown.contains(private), "{shown}");
        }
    }

    #[test]
    fn a_connection_that_breaks_leaves_the_outcome_unknown_and_one_that_is_refused_does_not() {
        let broken = || RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        let failure = Failure::from(broken());
        assert!(matches!(failure, Failure::Broken(_)));
        let interrupted = StoreError::from(failure);
        assert_eq!(interrupted.kind(), StoreErrorKind::Interrupted);
        assert!(interrupted.outcome_unknown());
        let unconnected = unconnected(broken());
        assert_eq!(unconnected.kind(), StoreErrorKind::Unavailable);
        assert!(!unconnected.outcome_unknown());
    }
}
