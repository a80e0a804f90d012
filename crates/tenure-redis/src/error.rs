//! What Redis' errors mean for a session: which kind of fault it is, and whether the write may have
//! happened.

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};
use tenure_core::{StoreError, StoreErrorKind};

/// How a request that was handed to a connection failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The connection broke before the answer came. Nobody knows whether the request was carried out.
    Broken(RedisError),
    /// The server answered with an error, so the request was not carried out.
    Answered(StoreError),
    /// The same, and the error says that another server answers for the key, or that this one may do so later.
    Elsewhere(Box<Elsewhere>),
}

/// A server's word that it does not answer for a key, or not now.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(crate) hint: Hint,
    /// The fault for who does not follow.
    pub(crate) error: StoreError,
}

/// What such a server knows of who does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hint {
    /// The slot is another's.
    Moved(Named),
    /// The slot is on its way to another, and the key is not here any more, or not yet.
    Ask(Named),
    /// Nobody at present: the cluster is down, the server reads its data, or a key of several is on its way.
    NotNow,
    /// Whoever is the primary: this one is a replica.
    Demoted,
}

/// An address as a server tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// `None`: the host that was asked. Servers say so that know their port and not their name.
    pub(crate) host: Option<String>,
    pub(crate) port: u16,
}

/// How one attempt to have a request carried out by one server failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There is no connection, and nothing was sent.
    Unreached(StoreError),
    /// The deadline has passed; it was sent.
    TimedOut,
    /// The server or the connection failed it.
    Failed(Failure),
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreached(error) => error,
            Fault::TimedOut => Self::new(StoreErrorKind::TimedOut),
            Fault::Failed(failure) => failure.into(),
        }
    }
}

impl Elsewhere {
    /// Whether the key's slot is still the asked server's.
    pub(crate) const fn is_on_its_way(&self) -> bool {
        matches!(self.hint, Hint::Ask(_))
    }

    fn read(error: &RedisError) -> Option<Hint> {
        let ErrorKind::Server(kind) = error.kind() else {
            return None;
        };
        Some(match kind {
            // An address that nobody knows yet is looked for like one that nobody has told.
            ServerErrorKind::Moved => named(error).map_or(Hint::NotNow, Hint::Moved),
            ServerErrorKind::Ask => named(error).map_or(Hint::NotNow, Hint::Ask),
            ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown => Hint::NotNow,
            ServerErrorKind::ReadOnly => Hint::Demoted,
            _ => return None,
        })
    }
}

fn named(error: &RedisError) -> Option<Named> {
    Named::read(error.redirect_node()?.0)
}

impl Named {
    /// Reads `host:port`; the host may be an IPv6 address without brackets, or missing.
    fn read(address: &str) -> Option<Self> {
        let (host, port) = address.rsplit_once(':')?;
        let host = (!host.is_empty()).then(|| host.to_owned());
        // A node that knows neither its name nor its address.
        if host.as_deref() == Some(UNKNOWN_HOST) {
            return None;
        }
        let port = port.parse().ok()?;
        Some(Self { host, port })
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            // After bytes that are not RESP, nothing on that connection can be told apart any more.
            ErrorKind::Io | ErrorKind::Parse => Self::Broken(error),
            _ => match Elsewhere::read(&error) {
                Some(hint) => {
                    let error = answer(error);
                    Self::Elsewhere(Box::new(Elsewhere { hint, error }))
                }
                None => Self::Answered(answer(error)),
            },
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Broken(error) => Self::with_source(StoreErrorKind::Interrupted, error),
            Failure::Answered(error) => error,
            Failure::Elsewhere(elsewhere) => elsewhere.error,
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
        // The driver has words of its own for it.
        Err(other) if other.to_string().contains(ONE_DATABASE) => {
            let advice = "a cluster has database 0 only, and a `redis-cluster://` URL";
            StoreError::with_source(StoreErrorKind::Refused, advice)
        }
        Err(other) => StoreError::with_source(StoreErrorKind::Refused, other),
    }
}

/// An error reply, without what it may quote of the command.
#[derive(Debug, thiserror::Error)]
#[error("{code} {message}{advice}", advice = self.advice())]
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

    /// What to do about it, where the server does not say.
    fn advice(&self) -> &'static str {
        match self.code.as_str() {
            "MOVED" | "ASK" => "; this is a node of a cluster: use a `redis-cluster://` URL",
            "ERR" if self.message.contains("cluster support disabled") => {
                "; for a single server use a `redis://` URL"
            }
            "ERR"
                if self
                    .message
                    .contains("SELECT is not allowed in cluster mode") =>
            {
                "; a cluster has database 0 only, and a `redis-cluster://` URL"
            }
            _ => "",
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

/// What `CLUSTER SLOTS` and redirections say of a node whose name was to be told and is not known.
pub(crate) const UNKNOWN_HOST: &str = "?";

const ONE_DATABASE: &str = "SELECT is not allowed in cluster mode";

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
    fn a_server_of_another_kind_is_told_with_what_to_do() {
        let rows = [
            ("MOVED 3999 127.0.0.1:6381", "use a `redis-cluster://` URL"),
            (
                "ERR This instance has cluster support disabled",
                "use a `redis://` URL",
            ),
        ];
        for (reply, advice) in rows {
            let error = StoreError::from(failure(reply));
            assert_eq!(error.kind(), StoreErrorKind::Refused, "{reply}");
            let shown = error.source().unwrap().to_string();
            assert!(
                shown.starts_with(reply) && shown.ends_with(advice),
                "{shown}"
            );
        }
    }

    /// What nodes behind gateways, with IPv6 and with announced names say.
    #[test]
    fn redirections_name_their_target_or_the_host_that_was_asked() {
        let named = |host: Option<&str>, port| Named {
            host: host.map(str::to_owned),
            port,
        };
        let rows = [
            (
                "MOVED 1 10.0.0.7:6381",
                Some(Hint::Moved(named(Some("10.0.0.7"), 6381))),
            ),
            (
                "ASK 1 node-b.internal:1",
                Some(Hint::Ask(named(Some("node-b.internal"), 1))),
            ),
            (
                "MOVED 1 fd00::7:6381",
                Some(Hint::Moved(named(Some("fd00::7"), 6381))),
            ),
            ("MOVED 1 :6381", Some(Hint::Moved(named(None, 6381)))),
            ("CLUSTERDOWN The cluster is down", Some(Hint::NotNow)),
            ("TRYAGAIN Multiple keys request", Some(Hint::NotNow)),
            ("LOADING Redis is loading", Some(Hint::NotNow)),
            ("READONLY You can't write. script: 1", Some(Hint::Demoted)),
            ("MOVED 1 ?:6381", Some(Hint::NotNow)),
            ("MOVED 1 nowhere", Some(Hint::NotNow)),
            ("OOM command not allowed", None),
        ];
        for (reply, hint) in rows {
            let found = match failure(reply) {
                Failure::Elsewhere(elsewhere) => Some(elsewhere.hint),
                _ => None,
            };
            assert_eq!(found, hint, "{reply}");
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
