//! What is wrong with a configuration.

use std::{convert::Infallible, error::Error, time::Duration};

use super::MAX_PREFIX_BYTES;

/// A configuration that could only fail later, or would not be what was meant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The URL cannot be read.
    #[error("the Redis URL is not valid")]
    #[non_exhaustive]
    Url {
        /// What is wrong with it. Does not show the URL, which may hold a password.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The URL names a number of a database, and a cluster has only one.
    #[error("a cluster has database 0 only: leave `/{database}` out of the URL, or use a prefix")]
    #[non_exhaustive]
    ClusterDatabase {
        /// The database that was asked for.
        database: i64,
    },
    /// No name of the primary that sentinels watch.
    #[error(
        "sentinels watch primaries by name, and none is given: \
         `redis-sentinel://host:port,host:port/0#name`"
    )]
    PrimaryName,
    /// No server is named.
    #[error("no server is named")]
    NoServers,
    /// The URL asks for TLS, and this program was built without.
    #[error("a `rediss` URL needs the cargo feature `tls` of `tenure-redis`")]
    TlsNotEnabled,
    /// The URL asks for TLS without a check of the server's certificate.
    #[error("`#insecure` is not supported: it would send passwords and sessions to anyone")]
    InsecureTls,
    /// The root certificates are not PEM, or there are none.
    #[error("the root certificates cannot be read")]
    #[non_exhaustive]
    RootCertificates {
        /// What is wrong with them.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The key prefix is empty, too long, or holds characters that do not belong into a key.
    #[error("a key prefix has 1 to {max} letters, digits, `-`, `_`, `.`, `:` or `/`", max = MAX_PREFIX_BYTES)]
    Prefix,
    /// The deadline of a call is under a millisecond, or over a minute.
    #[error("a deadline of {deadline:?} is not between a millisecond and a minute")]
    #[non_exhaustive]
    Deadline {
        /// The deadline that was refused.
        deadline: Duration,
    },
    /// No call could be made, or the number is beyond what can be counted.
    #[error("a bound of {max_in_flight} calls in flight is not between 1 and a million")]
    #[non_exhaustive]
    InFlight {
        /// The bound that was refused.
        max_in_flight: usize,
    },
    /// No record would fit, or Redis could not hold the largest.
    #[error("a limit of {max_record_bytes} bytes is not between 1 KiB and 512 MiB")]
    #[non_exhaustive]
    RecordBytes {
        /// The limit that was refused.
        max_record_bytes: usize,
    },
    /// The driver refuses the address.
    #[error("the Redis driver refuses the configuration")]
    #[non_exhaustive]
    Driver {
        /// The driver's reason.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl From<Infallible> for RedisConfigError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
