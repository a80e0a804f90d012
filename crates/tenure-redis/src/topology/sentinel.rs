//! A primary that sentinels watch, and replace when it fails.
//!
//! A primary that was replaced does not know it for ten seconds and more, and takes writes that will be lost. So the
//! sentinels are asked all the time, several times a second while there are calls, and not only when something
//! fails.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join, stream::FuturesUnordered};
use parking_lot::RwLock;
use redis::Value;
use tenure_core::StoreError;
use tokio::time::{Instant, timeout_at};

use super::{
    Maker, Way,
    election::{Rank, Word, elected, vouch_for},
    member::Member,
    refresh::{Found, Refresh, Rhythm},
    trail::{Trail, unavailable},
};
use crate::{
    RedisConfigError,
    config::Sentinels,
    error::{Failure, Fault, Hint, no_connection_in_time},
    node::{Node, Purpose},
    script::{Manner, Request},
    tracking::Tracking,
};

pub(crate) struct Sentinel {
    state: Arc<State>,
    refresh: Refresh,
}

/// What a look at the sentinels changes.
struct State {
    maker: Maker,
    sentinels: Sentinels,
    watchers: Vec<Node>,
    /// Never held across an `await`.
    primary: RwLock<Option<Primary>>,
}

#[derive(Clone)]
struct Primary {
    member: Arc<Member>,
    /// Of the latest word that named it.
    rank: Rank,
}

impl Sentinel {
    pub(super) fn new(maker: Maker, sentinels: Sentinels) -> Result<Self, RedisConfigError> {
        let watchers = sentinels.places.iter().map(|place| {
            let client = maker.config.sentinel_at(&sentinels, place)?;
            let home = Arc::clone(&maker.home);
            Ok(Node::new(client, maker.limits, home, Purpose::Sentinel))
        });
        let home = Arc::clone(&maker.home);
        let state = Arc::new(State {
            watchers: watchers.collect::<Result<_, RedisConfigError>>()?,
            maker,
            sentinels,
            primary: RwLock::default(),
        });
        let looking = Arc::clone(&state);
        let look = move || Arc::clone(&looking).look();
        Ok(Self {
            refresh: Refresh::new(home, RHYTHM, look),
            state,
        })
    }

    pub(super) fn tracked(&self, tracking: Tracking) -> Result<Self, RedisConfigError> {
        let maker = Maker {
            tracking: Some(tracking),
            ..self.state.maker.clone()
        };
        Self::new(maker, self.state.sentinels.clone())
    }

    /// Asks the sentinels for the primary, and connects to it.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        let until = Instant::now() + self.state.maker.deadline();
        let looked = self.refresh.wait(self.refresh.ask(), until).await;
        looked.unwrap_or_else(|| Err(no_connection_in_time()))?;
        match self.state.primary() {
            Some(primary) => primary.node.connect().await,
            None => Err(unavailable(NO_PRIMARY)),
        }
    }

    /// See [`Topology::call`](super::Topology::call).
    pub(super) async fn call(&self, request: &Request, way: Way) -> Result<Value, StoreError> {
        let now = Instant::now();
        let until = now + self.state.maker.deadline();
        if self.refresh.ask_now_and_then(now) >= TOO_LONG_AGO {
            // Nobody has looked for a while, since there were no calls. The primary may have been replaced long ago.
            let look = self
                .refresh
                .wait(self.refresh.ask(), until.min(now + LOOK_LIMIT));
            Box::pin(look).await;
        }
        let primary = self.state.primary();
        let first = match &primary {
            Some(member) => match member.attempt(request, way, Manner::Plain, until).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => Some(fault),
            },
            None => None,
        };
        // Boxed, since it is rare and each call would have room for it.
        Box::pin(self.go_on(request, way, until, primary, first)).await
    }

    /// Shows that the primary's pushes have arrived, and that it is still the primary: by itself it would not
    /// know.
    pub(super) async fn prove(&self) -> Result<(), StoreError> {
        let until = Instant::now() + self.state.maker.deadline();
        if self.state.primary().is_none() {
            self.refresh.wait(self.refresh.ask(), until).await;
        }
        let primary = self
            .state
            .primary()
            .ok_or_else(|| unavailable(NO_PRIMARY))?;
        let (proof, words) = join(primary.node.prove(), self.state.words(until)).await;
        self.state.adopt(&words);
        proof.inspect_err(|_| {
            self.refresh.ask();
        })?;
        let is_still = self
            .state
            .primary()
            .is_some_and(|it| Arc::ptr_eq(&it, &primary));
        if is_still && vouch_for(&primary.place, &words, self.state.watchers.len()) {
            Ok(())
        } else {
            self.refresh.ask();
            Err(unavailable(
                "not more than half of the sentinels vouch for the primary",
            ))
        }
    }

    async fn go_on(
        &self,
        request: &Request,
        way: Way,
        until: Instant,
        mut asked: Option<Arc<Member>>,
        mut fault: Option<Fault>,
    ) -> Result<Value, StoreError> {
        let mut trail = Trail::new(self.state.maker.deadline(), until);
        let outcome = {
            let attempts = async {
                loop {
                    let failed = asked.take().zip(fault.take());
                    let next = self.next(request, until, failed, &mut trail).await?;
                    // From here on it may be carried out.
                    trail.refusal = None;
                    match next.attempt(request, way, Manner::Plain, until).await {
                        Ok(reply) => return Ok(reply),
                        Err(failed) => fault = Some(failed),
                    }
                    asked = Some(next);
                }
            };
            timeout_at(until, pin!(attempts)).await
        };
        trail.end(outcome)
    }

    /// Whom to ask next, if anyone.
    async fn next(
        &self,
        request: &Request,
        until: Instant,
        failed: Option<(Arc<Member>, Fault)>,
        trail: &mut Trail,
    ) -> Result<Arc<Member>, StoreError> {
        let ticket = self.refresh.ask();
        let Some((asked, fault)) = failed else {
            trail.refusal = Some(no_connection_in_time());
            let looked = self.refresh.wait(ticket, until).await;
            looked.unwrap_or_else(|| Err(no_connection_in_time()))?;
            return self.state.primary().ok_or_else(|| unavailable(NO_PRIMARY));
        };
        match fault {
            Fault::Unreached(error) => {
                trail.refusal = Some(error.clone());
                self.refresh.wait_if_soon(ticket, until).await;
                let other = self.state.primary();
                return other.filter(|it| !Arc::ptr_eq(it, &asked)).ok_or(error);
            }
            Fault::Failed(Failure::Broken(error)) => {
                if trail.is_open || !request.may_be_repeated() {
                    return Err(Failure::Broken(error).into());
                }
                tracing::debug!(%error, "the connection to the primary broke; sending the call again");
                trail.is_open = true;
                // Sentinels cut the connections of those whom they promote and demote, just when they do.
                self.refresh.wait_if_soon(ticket, until).await;
            }
            Fault::Failed(Failure::Elsewhere(elsewhere)) => {
                if elsewhere.hint == Hint::Demoted {
                    asked.node.reconnect();
                }
                if let Hint::Moved(_) | Hint::Ask(_) = elsewhere.hint {
                    return Err(elsewhere.error);
                }
                trail.refusal = Some(elsewhere.error);
                trail.wait().await?;
            }
            fault @ (Fault::TimedOut | Fault::Failed(Failure::Answered(_))) => {
                return Err(fault.into());
            }
        }
        Ok(self.state.primary().unwrap_or(asked))
    }
}

impl fmt::Debug for Sentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let primary = self.state.primary();
        f.debug_struct("Sentinel")
            .field("sentinels", &self.state.sentinels.places)
            .field("primary", &primary.map(|it| it.place.to_string()))
            .finish_non_exhaustive()
    }
}

impl State {
    fn primary(&self) -> Option<Arc<Member>> {
        let primary = self.primary.read();
        primary.as_ref().map(|primary| Arc::clone(&primary.member))
    }

    async fn look(self: Arc<Self>) -> Result<Found, StoreError> {
        let until = Instant::now() + self.maker.deadline();
        let words = self.words(until).await;
        if words.is_empty() {
            return Err(unavailable("no sentinel tells who is the primary"));
        }
        Ok(self.adopt(&words))
    }

    /// What the sentinels say. Once more than half of them have answered, the others are not waited for much longer.
    async fn words(&self, until: Instant) -> Vec<Word> {
        let questions = Word::questions(&self.sentinels.name);
        let soon = until.min(Instant::now() + LOOK_LIMIT);
        let asking = self.watchers.iter().map(|watcher| {
            let asked = watcher.ask(&questions, Manner::Plain, until);
            async { Word::read(asked.await.ok()?) }
        });
        let mut asking: FuturesUnordered<_> = asking.collect();
        let mut words = Vec::new();
        loop {
            let is_enough = words.len() * 2 > self.watchers.len();
            let limit = if is_enough { soon } else { until };
            match timeout_at(limit, asking.next()).await {
                Ok(Some(word)) => words.extend(word),
                Ok(None) | Err(_) => return words,
            }
        }
    }

    /// Asks the elected one from now on. Calls that wait for the old one are left to it.
    fn adopt(&self, words: &[Word]) -> Found {
        let known = self.primary.read().clone();
        let standing = known.map(|known| (known.member.place.clone(), known.rank));
        let standing = standing.as_ref().map(|(place, rank)| (place, *rank));
        let Some(word) = elected(words, standing, self.watchers.len()) else {
            return Found::Nothing;
        };
        let (place, rank) = (&word.primary, word.rank);
        let mut primary = self.primary.write();
        if let Some(known) = primary
            .as_mut()
            .filter(|known| known.member.place == *place)
        {
            known.rank = known.rank.max(rank);
            return Found::Nothing;
        }
        match self.maker.primary(place) {
            Ok(member) => {
                let member = Arc::new(member);
                if let Some(old) = primary.replace(Primary { member, rank }) {
                    tracing::warn!(old = %old.member.place, new = %place, "the sentinels name another primary");
                }
                Found::News
            }
            Err(error) => {
                tracing::warn!(%error, %place, "the sentinels name a primary that cannot be used");
                Found::Nothing
            }
        }
    }
}

const NO_PRIMARY: &str = "the sentinels know no primary of that name";

/// A deposed primary is written to for the better part of such a beat after a sentinel has said so.
const RHYTHM: Rhythm = Rhythm {
    shortest_pause: Duration::from_millis(50),
    longest_pause: Duration::from_millis(250),
    now_and_then: Duration::from_millis(500),
};

/// A call does not go to a primary that nobody has asked about for so long.
const TOO_LONG_AGO: Duration = Duration::from_secs(1);

/// A sentinel that has not answered by then does not count, if most have.
const LOOK_LIMIT: Duration = Duration::from_millis(250);
