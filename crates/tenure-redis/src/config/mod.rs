//! Where the servers are, and how to log in to them.

mod error;
mod url;

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

pub use self::error::RedisConfigError;

/// Where the Redis or Valkey servers are, and how to log in to them.
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
///
/// let cluster = RedisConfig::cluster([("node-a", 6379), ("node-b", 6379)]);
/// let watched = RedisConfig::sentinel("sessions", [("watcher-a", 26379), ("watcher-b", 26379)]);
/// # Ok::<_, tenure_redis::RedisConfigError>(())
/// ```
///
/// # Security
///
/// `Debug` shows addresses and database, never user names and passwords, and no error of this crate
/// shows the URL.
#[derive(Clone)]
pub struct RedisConfig {
    /// Of the one server; of several, what they have in common besides host and port.
    address: ConnectionAddr,
    login: RedisConnectionInfo,
    servers: Servers,
}

/// How many servers there are, and what for.
#[derive(Clone)]
pub(crate) enum Servers {
    One,
    /// Some nodes of a cluster, which tell the others.
    Cluster(Vec<Place>),
    /// Those that tell who is the primary.
    Sentinels(Sentinels),
}

#[derive(Clone)]
pub(crate) struct Sentinels {
    pub(crate) places: Vec<Place>,
    /// As what they know the primary.
    pub(crate) name: String,
    login: RedisConnectionInfo,
    encryption: Encryption,
}

#[derive(Clone, Copy, Debug)]
enum Encryption {
    AsData,
    Never,
}

/// Where one of several servers is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
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

    /// A cluster, some of whose nodes are at these host names or IP addresses. All that it takes to begin is
    /// one that answers; name several, so that one may be down.
    ///
    /// The nodes tell each other's addresses, so these have to be reachable from here, and with TLS the
    /// certificates have to be theirs (`cluster-announce-hostname` and
    /// `cluster-preferred-endpoint-type hostname` tell names).
    #[must_use]
    pub fn cluster<H: Into<String>>(nodes: impl IntoIterator<Item = (H, u16)>) -> Self {
        Self::of(Servers::Cluster(places(nodes)))
    }

    /// The primary that sentinels at these host names or IP addresses know as `name`.
    ///
    /// Name all of them: what more than half of those named say counts. Which others they know is not asked.
    #[must_use]
    pub fn sentinel<H: Into<String>>(
        name: impl Into<String>,
        sentinels: impl IntoIterator<Item = (H, u16)>,
    ) -> Self {
        Self::of(Servers::Sentinels(Sentinels {
            places: places(sentinels),
            name: name.into(),
            login: RedisConnectionInfo::default(),
            encryption: Encryption::AsData,
        }))
    }

    /// Reads a URL:
    ///
    /// | URL | for |
    /// |---|---|
    /// | `redis://[user][:password@]host[:port][/database]` | a server |
    /// | `redis-cluster://[user][:password@]host[:port],host[:port],…` | a cluster |
    /// | `redis-sentinel://[user][:password@]host[:port],…[/database]#name` | a primary that sentinels watch; port 26379 unless given |
    /// | `unix:///path[?db=…&user=…&pass=…]` | a server at a socket |
    ///
    /// `rediss`, `rediss-cluster` and `rediss-sentinel` encrypt (cargo feature `tls`), the connections to
    /// sentinels, too. `valkey` and `valkeys` do as well. Sentinels with a log-in of their own take it from the
    /// query: `?sentinel_user=…&sentinel_pass=…#name`.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError::Url`], [`RedisConfigError::TlsNotEnabled`],
    /// [`RedisConfigError::InsecureTls`], [`RedisConfigError::ClusterDatabase`] or
    /// [`RedisConfigError::PrimaryName`].
    pub fn from_url(url: &str) -> Result<Self, RedisConfigError> {
        let config = url::read(url)?;
        config.check()?;
        Ok(config)
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
            ..encrypted
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

    /// The user to log in to sentinels as. Default: their default user; it is not that of the servers that
    /// they watch. Does nothing for others.
    #[must_use]
    pub fn sentinel_username(self, username: impl AsRef<str>) -> Self {
        self.with_sentinels(|sentinels| {
            sentinels.login = sentinels.login.clone().set_username(username);
        })
    }

    /// The password to log in to sentinels with. Default: none. Does nothing for others.
    #[must_use]
    pub fn sentinel_password(self, password: impl AsRef<str>) -> Self {
        self.with_sentinels(|sentinels| {
            sentinels.login = sentinels.login.clone().set_password(password);
        })
    }

    /// Speaks to sentinels without encryption, although the servers that they watch are spoken to with it. Does
    /// nothing for others.
    ///
    /// # Security
    ///
    /// Whoever is between here and the sentinels can name a server of theirs. With TLS to that, it has to have
    /// a certificate, so it gets nothing; but sessions are gone for as long.
    #[must_use]
    pub fn danger_unencrypted_sentinels(self) -> Self {
        self.with_sentinels(|sentinels| sentinels.encryption = Encryption::Never)
    }

    fn with_sentinels(mut self, change: impl FnOnce(&mut Sentinels)) -> Self {
        if let Servers::Sentinels(sentinels) = &mut self.servers {
            change(sentinels);
        }
        self
    }

    pub(crate) const fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Refuses what can be told to be wrong before anything connects.
    pub(crate) fn check(&self) -> Result<(), RedisConfigError> {
        match &self.servers {
            Servers::One => Ok(()),
            Servers::Cluster(places) if places.is_empty() => Err(RedisConfigError::NoServers),
            Servers::Cluster(_) if self.login.db() != 0 => Err(RedisConfigError::ClusterDatabase {
                database: self.login.db(),
            }),
            Servers::Cluster(_) => Ok(()),
            Servers::Sentinels(it) if it.places.is_empty() => Err(RedisConfigError::NoServers),
            Servers::Sentinels(it) if it.name.is_empty() => Err(RedisConfigError::PrimaryName),
            Servers::Sentinels(_) => Ok(()),
        }
    }

    /// Hands the only server over to the driver. Does not connect.
    pub(crate) fn client(&self) -> Result<Client, RedisConfigError> {
        open(self.address.clone(), &self.login)
    }

    /// The same for one of several servers.
    pub(crate) fn client_at(&self, place: &Place) -> Result<Client, RedisConfigError> {
        open(moved_to(&self.address, place), &self.login)
    }

    /// The same for a sentinel.
    pub(crate) fn sentinel_at(
        &self,
        sentinels: &Sentinels,
        place: &Place,
    ) -> Result<Client, RedisConfigError> {
        let address = match sentinels.encryption {
            Encryption::AsData => moved_to(&self.address, place),
            Encryption::Never => ConnectionAddr::Tcp(place.host.clone(), place.port),
        };
        open(address, &sentinels.login)
    }

    fn at(address: ConnectionAddr) -> Self {
        Self {
            address,
            login: RedisConnectionInfo::default(),
            servers: Servers::One,
        }
    }

    fn of(servers: Servers) -> Self {
        Self {
            // Host and port are put in for each of them.
            address: ConnectionAddr::Tcp(String::new(), 0),
            login: RedisConnectionInfo::default(),
            servers,
        }
    }
}

fn places<H: Into<String>>(places: impl IntoIterator<Item = (H, u16)>) -> Vec<Place> {
    let place = |(host, port): (H, u16)| Place {
        host: host.into(),
        port,
    };
    places.into_iter().map(place).collect()
}

fn moved_to(address: &ConnectionAddr, place: &Place) -> ConnectionAddr {
    let Place { host, port } = place.clone();
    match address {
        ConnectionAddr::TcpTls {
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    }
}

fn open(address: ConnectionAddr, login: &RedisConnectionInfo) -> Result<Client, RedisConfigError> {
    #[cfg(feature = "tls")]
    if let ConnectionAddr::TcpTls { .. } = address {
        provide_cryptography();
    }
    // The driver leaves Nagle's algorithm on, which delays requests that follow each other. The
    // probes keep firewalls from forgetting a connection that is idle: the next calls on it would
    // time out before it is found to be dead.
    let socket = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(PROBE_AFTER));
    // RESP3 tells of a connection's end, and carries invalidations for caches.
    let login = login
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name("tenure", env!("CARGO_PKG_VERSION"));
    address
        .into_connection_info()
        .map(|info| info.set_tcp_settings(socket).set_redis_settings(login))
        .and_then(Client::open)
        .map_err(|error| RedisConfigError::Driver {
            source: Box::new(error),
        })
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = match &self.servers {
            Servers::One => self.address.to_string(),
            Servers::Cluster(places) => format!("{places:?}"),
            Servers::Sentinels(it) => format!("{} of {:?}", it.name, it.places),
        };
        f.debug_struct("RedisConfig")
            .field("address", &addresses)
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
    use std::error::Error;

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
    fn several_servers_are_named_with_one_log_in() {
        let url = "redis-cluster://app:s%2Cecret@a.example:7000,b.example,[fd00::1]:7001";
        let cluster = RedisConfig::from_url(url).unwrap();
        let Servers::Cluster(places) = cluster.servers() else {
            panic!("{cluster:?}");
        };
        let shown: Vec<_> = places.iter().map(Place::to_string).collect();
        assert_eq!(shown, ["a.example:7000", "b.example:6379", "fd00::1:7001"]);
        assert_eq!(cluster.login.username(), Some("app"));
        assert_eq!(cluster.login.password(), Some("s,ecret"));
        cluster.check().unwrap();
        assert!(!format!("{cluster:?}").contains("ecret"));

        let url =
            "redis-sentinel://:pw@a.example,b.example:7/3?sentinel_user=w&sentinel_pass=%26x#main";
        let watched = RedisConfig::from_url(url).unwrap();
        let Servers::Sentinels(it) = watched.servers() else {
            panic!("{watched:?}");
        };
        let shown: Vec<_> = it.places.iter().map(Place::to_string).collect();
        assert_eq!(shown, ["a.example:26379", "b.example:7"]);
        assert_eq!((&*it.name, watched.login.db()), ("main", 3));
        assert_eq!(watched.login.password(), Some("pw"));
        assert_eq!(
            (it.login.username(), it.login.password()),
            (Some("w"), Some("&x"))
        );
        let client = watched.sentinel_at(it, &it.places[0]).unwrap();
        assert_eq!(client.get_connection_info().redis_settings().db(), 0);
    }

    #[test]
    fn several_servers_that_could_not_work_are_refused_with_what_to_do() {
        let refused = |url: &str| {
            let error = RedisConfig::from_url(url).and_then(|config| config.check());
            error.unwrap_err().to_string()
        };
        let database = refused("redis-cluster://a.example:7000/2");
        assert!(database.contains("leave `/2` out"), "{database}");
        for url in [
            "redis-sentinel://a.example",
            "redis-sentinel://a.example/0#",
        ] {
            let error = refused(url);
            assert!(
                error.contains("redis-sentinel://host:port"),
                "{url}: {error}"
            );
        }
        for url in [
            "redis-cluster://",
            "redis-cluster://a.example,",
            "redis-cluster://a.example:99999",
            "redis-cluster://u:hunter2@a.example,b.example:port",
            "redis-cluster:a.example",
            "redis-sentinel://a.example/x#main",
            "redis-sentinel://a.example?sentinel_port=1#main",
        ] {
            let error = RedisConfig::from_url(url).unwrap_err();
            assert!(
                matches!(error, RedisConfigError::Url { .. }),
                "{url}: {error:?}"
            );
            assert!(!format!("{error:?}").contains("hunter2"), "{url}");
        }
        let none = RedisConfig::cluster([] as [(&str, u16); 0]).check();
        assert!(matches!(none, Err(RedisConfigError::NoServers)));
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
            "rediss-cluster://example.org",
            "valkeys-sentinel://example.org#main",
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
