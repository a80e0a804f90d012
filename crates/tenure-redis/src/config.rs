//! Where the server is, and how to log in to it.

use std::{convert::Infallible, error::Error, fmt, path::PathBuf, str::FromStr, time::Duration};

use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

/// Where a Redis server is, and how to log in to it.
///
/// A single server, so far. The type says nothing of how many there are, so that Sentinel and Cluster
/// can become further constructors.
///
/// # Examples
///
/// ```
/// use tenure_redis::RedisConfig;
///
/// let from_url: RedisConfig = "redis://app:secret@redis.internal:6379/2".parse()?;
/// let from_parts = RedisConfig::tcp("redis.internal", 6379)
///     .username("app")
///     .password("secret")
///     .database(2);
/// # Ok::<_, tenure_redis::RedisConfigError>(())
/// ```
///
/// # Security
///
/// `Debug` shows address and database, never user name and password, and no error of this crate
/// shows the URL.
#[derive(Clone)]
pub struct RedisConfig {
    address: ConnectionAddr,
    login: RedisConnectionInfo,
}

impl RedisConfig {
    /// A server at a host name or IP address.
    ///
    /// The name is resolved anew for each connection, so a failover that moves the name is followed.
    #[must_use]
    pub fn tcp(host: impl Into<String>, port: u16) -> Self {
        Self::at(ConnectionAddr::Tcp(host.into(), port))
    }

    /// A server at a Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::at(ConnectionAddr::Unix(path.into()))
    }

    /// Reads a URL: `redis://[user][:password@]host[:port][/database]`, `rediss://…` for TLS (cargo
    /// feature `tls`), `unix:///path[?db=…&user=…&pass=…]`.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError::Url`], [`RedisConfigError::TlsNotEnabled`] or
    /// [`RedisConfigError::InsecureTls`].
    pub fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        let scheme = url.split(':').next().unwrap_or_default();
        let encrypted = ["rediss", "valkeys"]
            .iter()
            .any(|name| scheme.eq_ignore_ascii_case(name));
        if encrypted && cfg!(not(feature = "tls")) {
            return Err(RedisConfigError::TlsNotEnabled);
        }
        let parsed = url
            .into_connection_info()
            .map_err(|error| RedisConfigError::Url {
                source: Box::new(error),
            })?;
        if let ConnectionAddr::TcpTls { insecure: true, .. } = parsed.addr() {
            return Err(RedisConfigError::InsecureTls);
        }
        Ok(Self {
            address: parsed.addr().clone(),
            login: parsed.redis_settings().clone(),
        })
    }

    /// Encrypts the connection, and checks the server's certificate against the operating system's
    /// root certificates and `SSL_CERT_FILE`. Does nothing for a Unix socket.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self) -> Self {
        if let ConnectionAddr::Tcp(host, port) = self.address {
            self.address = ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            };
        }
        self
    }

    /// Encrypts the connection, and checks the server's certificate against these root certificates
    /// only. Does nothing for a Unix socket.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError::RootCertificates`] if this is not PEM, or holds no certificate.
    #[cfg(feature = "tls")]
    pub fn tls_with_roots(self, pem: impl Into<Vec<u8>>) -> Result<Self, RedisConfigError> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};

        let refused = |source| RedisConfigError::RootCertificates { source };
        let pem = pem.into();
        // The driver takes a file without certificates for an empty list, which trusts nobody.
        if CertificateDer::pem_slice_iter(&pem).next().is_none() {
            return Err(refused("there is no certificate in it".into()));
        }
        let encrypted = self.tls();
        let roots = redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(pem),
        };
        let client = Client::build_with_tls(encrypted.address, roots)
            .map_err(|error| refused(error.into()))?;
        Ok(Self {
            address: client.get_connection_info().addr().clone(),
            login: encrypted.login,
        })
    }

    /// The user to log in as. Default: the server's default user.
    #[must_use]
    pub fn username(mut self, username: impl AsRef<str>) -> Self {
        self.login = self.login.set_username(username);
        self
    }

    /// The password to log in with. Default: none.
    #[must_use]
    pub fn password(mut self, password: impl AsRef<str>) -> Self {
        self.login = self.login.set_password(password);
        self
    }

    /// The number of the logical database. Default 0, the only one that a cluster has.
    #[must_use]
    pub fn database(mut self, database: u32) -> Self {
        self.login = self.login.set_db(database.into());
        self
    }

    /// Hands over to the driver. Does not connect.
    pub(crate) fn client(&self) -> Result<Client, RedisConfigError> {
        #[cfg(feature = "tls")]
        if let ConnectionAddr::TcpTls { .. } = self.address {
            provide_cryptography();
        }
        // The driver leaves Nagle's algorithm on, which delays requests that follow each other. The
        // probes keep firewalls from forgetting a connection that is idle: the next calls on it would
        // time out before it is found to be dead.
        let socket = TcpSettings::default()
            .set_nodelay(true)
            .set_keepalive(TcpKeepalive::new().with_time(PROBE_AFTER));
        // RESP3 tells of a connection's end, and will carry invalidations for caches.
        let login = self
            .login
            .clone()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name("tenure", env!("CARGO_PKG_VERSION"));
        let connection = self.address.clone().into_connection_info();
        connection
            .map(|info| info.set_tcp_settings(socket).set_redis_settings(login))
            .and_then(Client::open)
            .map_err(|error| RedisConfigError::Driver {
                source: Box::new(error),
            })
    }

    fn at(address: ConnectionAddr) -> Self {
        Self {
            address,
            login: RedisConnectionInfo::default(),
        }
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("address", &self.address.to_string())
            .field("database", &self.login.db())
            .finish_non_exhaustive()
    }
}

impl FromStr for RedisConfig {
    type Err = RedisConfigError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Self::from_url(url)
    }
}

impl TryFrom<&str> for RedisConfig {
    type Error = RedisConfigError;

    fn try_from(url: &str) -> Result<Self, Self::Error> {
        Self::from_url(url)
    }
}

impl TryFrom<&String> for RedisConfig {
    type Error = RedisConfigError;

    fn try_from(url: &String) -> Result<Self, Self::Error> {
        Self::from_url(url)
    }
}

impl TryFrom<String> for RedisConfig {
    type Error = RedisConfigError;

    fn try_from(url: String) -> Result<Self, Self::Error> {
        Self::from_url(&url)
    }
}

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
    /// The URL asks for TLS, and this program was built without.
    #[error("a `rediss://` URL needs the cargo feature `tls` of `tenure-redis`")]
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

/// `rustls` panics at the first connection if it finds no or two providers of cryptography compiled
/// in, and the second depends on what else is in the program. The application's choice has precedence.
#[cfg(feature = "tls")]
fn provide_cryptography() {
    use rustls::crypto::{CryptoProvider, ring};
    if CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is just as well.
        let _ = ring::default_provider().install_default();
    }
}

/// A key of 64 + 1 + 36 bytes is long enough for anyone and costs memory per session.
pub(crate) const MAX_PREFIX_BYTES: usize = 64;

/// Well under the minutes after which firewalls and load balancers forget idle connections: 350 s for
/// an AWS network load balancer, 4 minutes in Azure.
const PROBE_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_errors_show_credentials() {
        let config = RedisConfig::from_url("redis://user:hunter2@example.org/3").unwrap();
        let shown = format!("{config:?}");
        assert!(
            shown.contains("example.org:6379") && shown.contains('3'),
            "{shown}"
        );
        assert!(
            !shown.contains("hunter2") && !shown.contains("user"),
            "{shown}"
        );
        for url in [
            "redis://user:hunter2@example.org:99999",
            "redis://user:hunter2@example.org/database",
            "redis://user:hunter2@",
            "redis://user:hunter2@example.org/?protocol=hunter3",
            "user:hunter2@example.org",
            "http://user:hunter2@example.org",
        ] {
            let error = RedisConfig::from_url(url).unwrap_err();
            let shown = format!(
                "{error} {error:?} {:?}",
                error.source().map(ToString::to_string)
            );
            assert!(!shown.contains("hunter2"), "{url}: {shown}");
        }
    }

    #[test]
    fn a_configuration_from_parts_says_the_same_as_a_url() {
        let from_url = RedisConfig::from_url("redis://app:secret@example.org:7000/2").unwrap();
        let from_parts = RedisConfig::tcp("example.org", 7000)
            .username("app")
            .password("secret")
            .database(2);
        assert_eq!(from_url.address, from_parts.address);
        assert_eq!(from_url.login.username(), from_parts.login.username());
        assert_eq!(from_url.login.password(), from_parts.login.password());
        assert_eq!(from_url.login.db(), from_parts.login.db());
    }

    #[test]
    fn every_client_speaks_resp3_without_nagle_s_delay() {
        let config = RedisConfig::from_url("redis://example.org/?protocol=resp2").unwrap();
        let client = config.client().unwrap();
        let connection = client.get_connection_info();
        assert_eq!(
            connection.redis_settings().protocol(),
            ProtocolVersion::RESP3
        );
        assert!(connection.tcp_settings().nodelay());
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_url_that_asks_for_tls_is_refused_without_the_feature() {
        for url in [
            "rediss://example.org",
            "REDISS://example.org",
            "valkeys://example.org",
        ] {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert!(matches!(error, RedisConfigError::TlsNotEnabled), "{url}");
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_is_never_without_a_check_of_the_certificate() {
        let encrypted = RedisConfig::from_url("rediss://example.org").unwrap();
        assert_eq!(
            encrypted.address,
            RedisConfig::tcp("example.org", 6379).tls().address
        );
        assert!(encrypted.client().is_ok());
        let error = RedisConfig::from_url("rediss://example.org/#insecure").unwrap_err();
        assert!(matches!(error, RedisConfigError::InsecureTls));
        let cut_off = "-----BEGIN CERTIFICATE-----\nAAAA";
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "no PEM", cut_off, no_der] {
            let config = RedisConfig::tcp("example.org", 6379);
            let error = config.tls_with_roots(pem).unwrap_err();
            assert!(
                matches!(error, RedisConfigError::RootCertificates { .. }),
                "{pem}"
            );
        }
    }
}
