use std::{fmt, sync::Arc};

use tenure_core::{SessionManager, SessionStore};
use tenure_near_cache::NearCache;

/// What the routes need.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) sessions: SessionManager,
    pub(crate) stats: Stats,
}

impl App {
    /// An app without a near cache.
    #[must_use]
    pub fn new(sessions: SessionManager) -> Self {
        let stats = Stats(Arc::new(|| "null".to_owned()));
        Self { sessions, stats }
    }

    /// The same, with a near cache for `/stats` to tell of.
    #[must_use]
    pub fn with_near_cache<S: SessionStore>(self, cache: NearCache<S>) -> Self {
        let stats = move || serde_json::to_string(&cache.metrics()).unwrap_or_default();
        Self {
            stats: Stats(Arc::new(stats)),
            ..self
        }
    }
}

/// Where `/stats` gets its text.
#[derive(Clone)]
pub(crate) struct Stats(Arc<dyn Fn() -> String + Send + Sync>);

impl Stats {
    pub(crate) fn json(&self) -> String {
        (self.0)()
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stats(..)")
    }
}
