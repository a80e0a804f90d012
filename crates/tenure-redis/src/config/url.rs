//! What URLs say.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

use super::{Encryption, Place, RedisConfig, RedisConfigError, Sentinels, Servers};

pub(super) fn read(url: &str) -> Result<RedisConfig, RedisConfigError> {
    let scheme = url.split(':').next().unwrap_or_default();
    let (scheme, kind) = match scheme.split_once('-') {
        Some((scheme, kind)) => (scheme, Some(kind.to_ascii_lowercase())),
        None => (scheme, None),
    };
    let encrypted = ["rediss", "valkeys"]
        .iter()
        .any(|name| scheme.eq_ignore_ascii_case(name));
    if encrypted && cfg!(not(feature = "tls")) {
        return Err(RedisConfigError::TlsNotEnabled);
    }
    match kind.as_deref() {
        None => {
            let parsed = parse(url)?;
            Ok(RedisConfig {
                address: parsed.addr().clone(),
                login: parsed.redis_settings().clone(),
                servers: Servers::One,
            })
        }
        Some("cluster") => {
            let several = Several::read(url, scheme, 6379)?;
            several.no_more("cluster URLs have no query")?;
            Ok(RedisConfig {
                address: several.first.addr().clone(),
                login: several.first.redis_settings().clone(),
                servers: Servers::Cluster(several.places),
            })
        }
        Some("sentinel") => {
            let several = Several::read(url, scheme, 26379)?;
            let sentinels = several.sentinels()?;
            Ok(RedisConfig {
                address: several.first.addr().clone(),
                login: several.first.redis_settings().clone(),
                servers: Servers::Sentinels(sentinels),
            })
        }
        Some(_) => Err(refused("the scheme is not known")),
    }
}

/// A URL with several hosts, taken apart.
struct Several<'a> {
    scheme: &'a str,
    /// The URL as if the first host were the only one.
    first: ConnectionInfo,
    places: Vec<Place>,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Several<'a> {
    fn read(url: &'a str, scheme: &'a str, default_port: u16) -> Result<Self, RedisConfigError> {
        let (_, rest) = url
            .split_once("://")
            .ok_or_else(|| refused("`://` is missing"))?;
        let (rest, fragment) = cut(rest, '#');
        let (rest, query) = cut(rest, '?');
        let (authority, database) = cut(rest, '/');
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (format!("{login}@"), hosts),
            None => (String::new(), authority),
        };
        let database = database.unwrap_or_default();
        let mut first = None;
        let mut places = Vec::new();
        for host in hosts.split(',') {
            let port = if has_port(host) {
                String::new()
            } else {
                format!(":{default_port}")
            };
            // What the driver takes for a URL of a single server, percent-encoding and all.
            let parsed = parse(&format!("{scheme}://{login}{host}{port}/{database}"))?;
            match parsed.addr() {
                ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                    places.push(Place {
                        host: host.clone(),
                        port: *port,
                    });
                }
                _ => return Err(refused("only hosts can be several")),
            }
            first.get_or_insert(parsed);
        }
        Ok(Self {
            scheme,
            first: first.ok_or_else(|| refused("there is no host"))?,
            places,
            query,
            fragment,
        })
    }

    fn no_more(&self, otherwise: &'static str) -> Result<(), RedisConfigError> {
        match (self.query, self.fragment) {
            (None, None) => Ok(()),
            _ => Err(refused(otherwise)),
        }
    }

    fn sentinels(&self) -> Result<Sentinels, RedisConfigError> {
        let (mut user, mut pass) = ("", "");
        for pair in self.query.iter().flat_map(|query| query.split('&')) {
            match pair.split_once('=') {
                Some(("sentinel_user", value)) => user = value,
                Some(("sentinel_pass", value)) => pass = value,
                _ => {
                    return Err(refused(
                        "the query has something else than a log-in of sentinels",
                    ));
                }
            }
        }
        // The driver decodes what is encoded.
        let log_in = parse(&format!("{}://{user}:{pass}@localhost", self.scheme))?;
        let name = match self.fragment {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => return Err(RedisConfigError::PrimaryName),
        };
        Ok(Sentinels {
            places: self.places.clone(),
            name,
            login: if user.is_empty() && pass.is_empty() {
                redis::RedisConnectionInfo::default()
            } else {
                log_in.redis_settings().clone()
            },
            encryption: Encryption::AsData,
        })
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Behind the brackets of an IPv6 address, if it is one.
fn has_port(host: &str) -> bool {
    host.rsplit(']').next().unwrap_or_default().contains(':')
}

fn parse(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let parsed = url
        .into_connection_info()
        .map_err(|error| RedisConfigError::Url {
            source: Box::new(error),
        })?;
    if let ConnectionAddr::TcpTls { insecure: true, .. } = parsed.addr() {
        return Err(RedisConfigError::InsecureTls);
    }
    Ok(parsed)
}

fn refused(reason: &'static str) -> RedisConfigError {
    RedisConfigError::Url {
        source: reason.into(),
    }
}
