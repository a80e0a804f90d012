//! Everything that the requests of one schedule share.

use std::{cell::RefCell, sync::Arc, time::Duration};

use tenure_core::{
    Entropy, EntropyError, KeyRing, Lifetimes, SessionError, SessionManager, StoreErrorKind,
};
use tenure_near_cache::NearCache;

use crate::{
    cookie::Cookie,
    journal::{Journal, Kind, Phase, Violation},
    scenario::{Node, Scenario},
    server::{NodeStore, Server, Shared, SimulatedClock},
};

/// The nodes, the server, the browsers, and what was seen of them.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) server: Shared,
    pub(crate) managers: Vec<SessionManager>,
    pub(crate) browsers: RefCell<Vec<Browser>>,
    pub(crate) journal: RefCell<Journal>,
    /// Held by all that a request leaves to the manager, to see that it is let go of.
    pub(crate) canary: Arc<()>,
    pub(crate) trace: Trace,
}

/// A browser, as far as the session is concerned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) first: Option<String>,
    pub(crate) cookie: Option<String>,
    /// Responses that have not arrived.
    pub(crate) responses: Vec<Response>,
}

/// A response's cookie, on its way to a browser.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) visit: usize,
    pub(crate) set_cookie: String,
}

/// What happens, told; only when somebody wants to read it.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<RefCell<Vec<String>>>,
}

impl World {
    pub(crate) fn new(
        scenario: &Scenario,
        server: Server,
        clock: SimulatedClock,
        trace: Trace,
    ) -> Self {
        let server = Arc::new(parking_lot::Mutex::new(server));
        let chance = Chance::default();
        let nodes = scenario.nodes.iter().enumerate();
        let managers = nodes
            .map(|(number, node)| {
                let store = NodeStore::new(Arc::clone(&server), number);
                manager(*node, store, clock, chance.clone())
            })
            .collect();
        Self {
            scenario: scenario.clone(),
            server,
            managers,
            browsers: RefCell::new(vec![Browser::default(); 2]),
            journal: RefCell::default(),
            canary: Arc::default(),
            trace,
        }
    }

    /// Begins to wait for the manager.
    pub(crate) fn enter(&self, visit: usize, name: &'static str) -> Phase {
        let server = self.server.lock();
        let mut journal = self.journal.borrow_mut();
        let log = &mut journal.visits[visit];
        let link = &server.links[log.node];
        let phase = Phase {
            name,
            step: server.step,
            at: server.now(),
            owed: link.owed,
            faults: link.faults,
        };
        log.phase = Some(phase);
        phase
    }

    /// Has waited, with this error if any, and returns the present step.
    pub(crate) fn leave(&self, visit: usize, phase: Phase, error: Option<&SessionError>) -> u32 {
        let server = self.server.lock();
        let mut journal = self.journal.borrow_mut();
        let log = &mut journal.visits[visit];
        log.phase = None;
        let link = &server.links[log.node];
        if let Some(SessionError::Store(error)) = error
            && error.kind() == StoreErrorKind::TimedOut
            && link.owed == phase.owed
            && link.faults == phase.faults
            && !log.was_kept
        {
            let story = format!(
                "request {visit} was refused at its {} for want of time, but no call of its node went \
                 unanswered meanwhile",
                phase.name
            );
            journal.violations.push(Violation {
                kind: Kind::TimedOut,
                story,
            });
        }
        server.step
    }

    /// The response reaches its browser.
    pub(crate) fn deliver(&self, browser: usize, number: usize) {
        let mut browsers = self.browsers.borrow_mut();
        let browser = &mut browsers[browser];
        let Response { visit, set_cookie } = browser.responses.remove(number);
        let pair = set_cookie.split(';').next().unwrap_or_default();
        if Cookie::parse(pair).is_some() {
            browser.first.get_or_insert_with(|| pair.to_owned());
            browser.cookie = Some(pair.to_owned());
            return;
        }
        let mut journal = self.journal.borrow_mut();
        let log = &journal.visits[visit];
        if !log.has_destroyed && browser.cookie != log.presented_text {
            let story = format!(
                "the response of request {visit}, which did not log out, removes a cookie that its browser \
                 got since the request was sent"
            );
            journal.violations.push(Violation {
                kind: Kind::RemovedCookie,
                story,
            });
        }
        browser.cookie = None;
    }
}

impl Trace {
    pub(crate) fn told() -> Self {
        Self {
            lines: Some(RefCell::default()),
        }
    }

    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        if let Some(lines) = &self.lines {
            lines.borrow_mut().push(line());
        }
    }

    pub(crate) fn take(&self) -> Vec<String> {
        self.lines.as_ref().map(RefCell::take).unwrap_or_default()
    }
}

fn manager(node: Node, store: NodeStore, clock: SimulatedClock, chance: Chance) -> SessionManager {
    let keys = KeyRing::new(KEY).expect("32 bytes are a key");
    let builder = if node.is_cached {
        let cache = NearCache::builder(store)
            .max_bytes(1 << 20)
            .max_staleness(MAX_STALENESS)
            .clock(clock)
            .build();
        SessionManager::builder(cache, keys)
    } else {
        SessionManager::builder(store, keys)
    };
    let lifetimes = |idle| Lifetimes::new(idle, 20 * IDLE).expect("idle is shorter");
    builder
        .lifetimes(lifetimes(IDLE))
        .remembered_lifetimes(lifetimes(4 * IDLE))
        .rotation_grace(Duration::from_secs(2))
        .deadline(DEADLINE)
        .merge(
            "cart",
            |_: Option<u32>, ours: Option<u32>, _: Option<u32>| -> Option<u32> {
                // Without the panic hook, which would print it.
                std::panic::resume_unwind(Box::new(PanicOf {
                    change: ours.unwrap_or_default(),
                }))
            },
        )
        .clock(clock)
        .danger_entropy(chance)
        .build()
        .expect("the settings are sound")
}

/// What the merges panic with: the change whose conflict they were to settle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PanicOf {
    pub(crate) change: u32,
}

/// Ids, secrets and tags that are the same in every run: a counter, stirred, since ids and tags spread over
/// shards by their bytes.
#[derive(Clone, Debug, Default)]
struct Chance(Arc<std::sync::atomic::AtomicU64>);

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let stirred = crate::choices::Random::new(number).next().to_be_bytes();
            chunk.copy_from_slice(&stirred[..chunk.len()]);
        }
        Ok(())
    }
}

/// The key of all nodes.
const KEY: &[u8] = b"Xq3v7LrT0dYm9ZkP5wHs2NbGfJc8UaEi";

/// How long a manager waits for the store.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// Δ of the near caches: less than a deadline, so that a schedule can outlast it at little cost.
pub(crate) const MAX_STALENESS: Duration = Duration::from_millis(400);

/// How long sessions live without activity.
pub(crate) const IDLE: Duration = Duration::from_secs(4);
