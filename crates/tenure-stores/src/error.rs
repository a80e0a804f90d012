use std::error::Error;

/// A store that could not be had. Never shows more of the URL than its scheme, since there may be a password in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The text is not a URL.
    #[error("not a URL of a session store: it has to begin with {}", schemes())]
    NoScheme,
    /// No store has URLs of that scheme.
    #[error("there is no session store for `{scheme}:`; known are {}", schemes())]
    #[non_exhaustive]
    UnknownScheme {
        /// What the URL begins with.
        scheme: String,
    },
    /// The program was compiled without that store.
    #[error(
        "this program was compiled without session stores for `{scheme}:`; switch the feature `{feature}` of \
         `tenure-stores` on"
    )]
    #[non_exhaustive]
    FeatureOff {
        /// What the URL begins with.
        scheme: &'static str,
        /// The feature that is missing.
        feature: &'static str,
    },
    /// `memory:` was followed by something.
    #[error("`memory:` is all of its URL, since such a store is no place that could be named")]
    NamedMemory,
    /// The store could not be connected.
    #[error("the session store at `{scheme}:` could not be connected")]
    #[non_exhaustive]
    Store {
        /// What the URL begins with.
        scheme: &'static str,
        /// The store's own error.
        source: Box<dyn Error + Send + Sync>,
    },
}

fn schemes() -> String {
    let schemes = crate::url::SCHEMES.iter().map(|scheme| scheme.example);
    schemes.collect::<Vec<_>>().join(", ")
}
