//! The connection in use, and the making of a new one.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use redis::Client;
use tenure_core::{Entropy, OsEntropy, StoreError, StoreErrorKind};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    error::no_connection_in_time, home::Home, link::Link, node::Purpose, tracking::Tracking,
};

/// Keeps one connection to one address.
///
/// The driver's connection manager is not used: it does not reconnect when a server stops answering.
/// Here, a connection that breaks, or on which several calls in a row get no answer, is replaced by
/// the next call. At most one attempt to connect is under way, whose outcome all callers share; and after
/// one has ended, the next begins after a [`pause`], for which its callers wait. So a server that refuses
/// is asked some twenty times a second by each node, however many calls there are, and one that is back
/// is in use within the pause.
pub(crate) struct Connector {
    client: Client,
    purpose: Purpose,
    tracking: Option<Tracking>,
    /// How long an attempt may take.
    limit: Duration,
    home: Arc<Home>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    attempt: Option<Attempt>,
    /// When the next attempt may begin.
    not_before: Option<Instant>,
}

/// An attempt to connect, which everyone who needs a connection waits for.
#[derive(Clone)]
struct Attempt {
    begins: Instant,
    outcome: Shared<BoxFuture<'static, Result<Arc<Link>, StoreError>>>,
}

impl Connector {
    pub(crate) fn new(client: Client, limit: Duration, home: Arc<Home>, purpose: Purpose) -> Self {
        Self {
            client,
            purpose,
            tracking: None,
            limit,
            home,
            state: Mutex::default(),
        }
    }

    /// The same for another connection, on which the server tells of changes.
    pub(crate) fn tracked(&self, tracking: Tracking) -> Self {
        Self {
            client: self.client.clone(),
            purpose: self.purpose,
            tracking: Some(tracking),
            limit: self.limit,
            home: Arc::clone(&self.home),
            state: Mutex::default(),
        }
    }

    pub(crate) fn address(&self) -> String {
        self.client.get_connection_info().addr().to_string()
    }

    /// Refuses to take answers for proofs where the server reports nothing.
    pub(crate) fn check_tracking(&self) -> Result<(), StoreError> {
        self.tracking.as_ref().map_or(Ok(()), Tracking::check)
    }

    /// The connection in use, if there is one.
    pub(crate) fn present(&self) -> Option<Arc<Link>> {
        let state = self.state.lock();
        let link = state.link.as_ref().filter(|link| link.is_usable());
        link.map(Arc::clone)
    }

    /// The connection in use, or a new one.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, StoreError> {
        let asked = Instant::now();
        let attempt = match self.current() {
            Current::Link(link) => return Ok(link),
            Current::Attempt(attempt) => attempt,
        };
        // An attempt that began before this call says nothing of the server's present state if it
        // failed: the server may have come back since. One that begins afterwards does.
        match self.outcome(&attempt).await {
            Ok(link) if link.is_usable() => Ok(link),
            outcome if attempt.begins >= asked => outcome,
            Ok(_) | Err(_) => match self.current() {
                Current::Link(link) => Ok(link),
                Current::Attempt(attempt) => self.outcome(&attempt).await,
            },
        }
    }

    fn current(&self) -> Current {
        let mut state = self.state.lock();
        let lost = state.link.take_if(|link| !link.is_usable());
        if let Some(link) = &state.link {
            return Current::Link(Arc::clone(link));
        }
        let now = Instant::now();
        let is_stuck = |attempt: &mut Attempt| {
            // Asked, since nobody may have waited for it.
            now > attempt.begins + 2 * self.limit
                && attempt.outcome.clone().now_or_never().is_none()
        };
        if state.attempt.take_if(is_stuck).is_some() {
            // It ends by itself within the limit. So its runtime is blocked, or driven by nobody.
            self.home.move_here();
        }
        let begins = state.not_before.unwrap_or(now).max(now);
        let attempt = state.attempt.get_or_insert_with(|| self.attempt(begins));
        let current = Current::Attempt(attempt.clone());
        drop(state);
        if lost.is_some() {
            let address = self.address();
            tracing::warn!(%address, "the connection to Redis is lost or silent; making a new one");
        }
        current
    }

    /// An attempt runs as a task, so that callers who leave early cannot keep it from succeeding. It is
    /// ended when nobody holds the attempt any more.
    fn attempt(&self, begins: Instant) -> Attempt {
        let (client, tracking) = (self.client.clone(), self.tracking.clone());
        let (limit, purpose, home) = (self.limit, self.purpose, Arc::clone(&self.home));
        let connecting = move || {
            let (client, tracking) = (client.clone(), tracking.clone());
            async move {
                sleep_until(begins).await;
                let patience = limit / PATIENCE_PER_LIMIT;
                timeout(
                    limit,
                    Link::connect(&client, purpose, patience, tracking.as_ref()),
                )
                .await
                .unwrap_or_else(|_| Err(no_connection_in_time()))
                .map(Arc::new)
            }
        };
        let outcome = async move {
            let outcome = home.run(connecting).await;
            outcome.unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Unavailable)))
        };
        Attempt {
            begins,
            outcome: outcome.boxed().shared(),
        }
    }

    async fn outcome(&self, attempt: &Attempt) -> Result<Arc<Link>, StoreError> {
        let outcome = attempt.outcome.clone().await;
        let mut state = self.state.lock();
        let is_current = |current: &mut Attempt| current.outcome.ptr_eq(&attempt.outcome);
        if state.attempt.take_if(is_current).is_some() {
            state.link = outcome.as_ref().ok().map(Arc::clone);
            // Also after one that succeeded: a server that has become a replica takes connections, and
            // refuses the writes on them, for which each is given up.
            state.not_before = Some(Instant::now() + pause());
        }
        outcome
    }
}

enum Current {
    Link(Arc<Link>),
    Attempt(Attempt),
}

/// Between an attempt's end and the next: 25 to 75 ms, by chance, so that the nodes that have lost
/// a server do not come back to it all at once. Short, since it is what a server's return costs: no
/// growing back-off.
pub(crate) fn pause() -> Duration {
    about(PAUSE)
}

/// Half of this span to one and a half, by chance.
pub(crate) fn about(span: Duration) -> Duration {
    span / 2 + span * u32::from(chance()) / 256
}

/// Without chance, zero: nothing secret depends on it.
pub(crate) fn chance() -> u8 {
    let mut chance = [0];
    let _ = OsEntropy.fill(&mut chance);
    chance[0]
}

const PAUSE: Duration = Duration::from_millis(50);

/// A call that is given up within a tenth of the deadline says nothing of the connection: its caller
/// may have left for reasons of its own.
const PATIENCE_PER_LIMIT: u32 = 10;
