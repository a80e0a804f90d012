use std::{fmt, str::FromStr, time::Duration};

use tenure_core::MemoryStore;

use crate::{AnyStore, ConnectError};

/// Where sessions are to be kept, as written in a configuration.
///
/// It is checked for its scheme when it is parsed, and for the rest when it is connected. `Debug` shows nothing but
/// the scheme.
#[derive(Clone)]
pub struct StoreUrl {
    kind: Kind,
    /// As the store wants it.
    #[cfg_attr(
        not(any(feature = "redis", feature = "sqlite")),
        expect(
            dead_code,
            reason = "only stores that are elsewhere need to be told where"
        )
    )]
    place: String,
    deadline: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite,
    #[cfg(feature = "redis")]
    Redis,
}

impl StoreUrl {
    /// How long a call to the store may take. Default: that of the store, 1 s for all of them.
    ///
    /// Memory is never late.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Connects to the store, or opens it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Store`], whose source says what is wrong.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves no connection behind.
    pub async fn connect(self) -> Result<AnyStore, ConnectError> {
        match self.kind {
            Kind::Memory => Ok(AnyStore::memory(MemoryStore::new())),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => {
                let mut builder = tenure_sqlite::SqliteStore::builder(&self.place);
                if let Some(deadline) = self.deadline {
                    builder = builder.deadline(deadline);
                }
                let store = builder.open().await;
                Ok(AnyStore::sqlite(store.map_err(failed("sqlite"))?))
            }
            #[cfg(feature = "redis")]
            Kind::Redis => {
                let mut builder = tenure_redis::RedisStore::builder(&*self.place);
                if let Some(deadline) = self.deadline {
                    builder = builder.deadline(deadline);
                }
                let store = builder.connect().await;
                Ok(AnyStore::redis(store.map_err(failed("redis"))?))
            }
        }
    }
}

impl FromStr for StoreUrl {
    type Err = ConnectError;

    fn from_str(url: &str) -> Result<Self, ConnectError> {
        let (scheme, rest) = url.split_once(':').ok_or(ConnectError::NoScheme)?;
        if !is_scheme(scheme) {
            return Err(ConnectError::NoScheme);
        }
        let lower = scheme.to_ascii_lowercase();
        let Some(known) = SCHEMES.iter().find(|known| known.name == lower) else {
            return Err(ConnectError::UnknownScheme { scheme: lower });
        };
        let kind = known.kind.ok_or(ConnectError::FeatureOff {
            scheme: known.name,
            feature: known.feature,
        })?;
        let place = match kind {
            Kind::Memory if rest.is_empty() || rest == "//" => String::new(),
            Kind::Memory => return Err(ConnectError::NamedMemory),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => rest.strip_prefix("//").unwrap_or(rest).to_owned(),
            #[cfg(feature = "redis")]
            Kind::Redis => url.to_owned(),
        };
        Ok(Self {
            kind,
            place,
            deadline: None,
        })
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreUrl")
            .field("kind", &self.kind)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What stores' URLs begin with.
pub(crate) struct Scheme {
    name: &'static str,
    pub(crate) example: &'static str,
    feature: &'static str,
    /// `None` if the feature is off.
    kind: Option<Kind>,
}

pub(crate) const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "memory",
        example: "`memory:`",
        feature: "",
        kind: Some(Kind::Memory),
    },
    Scheme {
        name: "sqlite",
        example: "`sqlite:PATH`",
        feature: "sqlite",
        #[cfg(feature = "sqlite")]
        kind: Some(Kind::Sqlite),
        #[cfg(not(feature = "sqlite"))]
        kind: None,
    },
    Scheme {
        name: "redis",
        example: "`redis://HOST`",
        feature: "redis",
        #[cfg(feature = "redis")]
        kind: Some(Kind::Redis),
        #[cfg(not(feature = "redis"))]
        kind: None,
    },
    Scheme {
        name: "rediss",
        example: "`rediss://HOST`",
        feature: "redis-tls",
        #[cfg(feature = "redis-tls")]
        kind: Some(Kind::Redis),
        #[cfg(not(feature = "redis-tls"))]
        kind: None,
    },
];

/// As RFC 3986 has them (section 3.1). What is none is not shown to anyone: it may be anything.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(any(feature = "redis", feature = "sqlite"))]
fn failed<E: std::error::Error + Send + Sync + 'static>(
    scheme: &'static str,
) -> impl FnOnce(E) -> ConnectError {
    move |source| ConnectError::Store {
        scheme,
        source: Box::new(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> ConnectError {
        url.parse::<StoreUrl>().unwrap_err()
    }

    #[test]
    fn what_belongs_to_no_store_is_refused_with_what_is_known() {
        for text in [
            "",
            "sessions.db",
            "/var/lib/sessions.db",
            "1:2",
            "pass word:x",
        ] {
            let error = refused(text);
            assert!(matches!(error, ConnectError::NoScheme), "{text}");
            assert!(error.to_string().contains("`sqlite:PATH`"), "{error}");
        }
        let error = refused("mongodb://user:secret@host/");
        let text = error.to_string();
        assert!(text.contains("`mongodb:`") && text.contains("`redis://HOST`"));
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn memory_has_no_name() {
        for url in ["memory:", "memory://", "MEMORY:"] {
            assert!(url.parse::<StoreUrl>().is_ok(), "{url}");
        }
        for url in ["memory:mine", "memory://host"] {
            assert!(matches!(refused(url), ConnectError::NamedMemory), "{url}");
        }
    }

    #[cfg(not(feature = "sqlite"))]
    #[test]
    fn a_store_whose_feature_is_off_is_refused_with_its_name() {
        let text = refused("sqlite:sessions.db").to_string();
        assert!(text.contains("`sqlite` of `tenure-stores`"), "{text}");
    }

    #[cfg(all(feature = "redis", not(feature = "redis-tls")))]
    #[test]
    fn redis_over_tls_is_never_taken_for_redis_without() {
        let text = refused("rediss://host").to_string();
        assert!(text.contains("`redis-tls` of `tenure-stores`"), "{text}");
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn a_path_is_taken_as_it_is() {
        for (url, path) in [
            ("sqlite:sessions.db", "sessions.db"),
            ("sqlite://sessions.db", "sessions.db"),
            ("sqlite:/var/lib/a b%20.db", "/var/lib/a b%20.db"),
            ("sqlite:///var/lib/x.db?y", "/var/lib/x.db?y"),
        ] {
            let parsed: StoreUrl = url.parse().unwrap();
            assert_eq!((parsed.kind, &*parsed.place), (Kind::Sqlite, path));
        }
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_password_is_not_shown() {
        let url: StoreUrl = "redis://user:secret@host".parse().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }
}
