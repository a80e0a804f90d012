//! Redis Cluster: each primary answers for some of the slots, and they change hands.
//!
//! - The node that says `MOVED` knows best: it is followed at once, and the map is looked up in the background.
//! - `ASK` is about one request, and changes nothing.
//! - Who does not answer is reason enough to look up the map; but a call is not sent to another node unless
//!   somebody says that it is the right one.
//! - The deadline ends everything.

use std::{fmt, pin::pin, sync::Arc, time::Duration};

use redis::Value;
use tenure_core::{Part, Standing, StoreError, StoreErrorKind};
use tokio::time::{Instant, timeout_at};

use super::{
    Maker, Way,
    known::Known,
    member::Member,
    refresh::{Refresh, Rhythm},
    slots::slot_of,
    territory::{is_owner, questions},
    trail::{Trail, unavailable},
};
use crate::{
    config::Place,
    error::{Failure, Fault, Hint, Named, no_connection_in_time, unexpected_reply},
    script::{Manner, Request},
    tracking::Tracking,
};

pub(crate) struct Cluster {
    state: Arc<Known>,
    refresh: Refresh,
}

impl Cluster {
    pub(super) fn new(maker: Maker, seeds: Vec<Place>) -> Self {
        let home = Arc::clone(&maker.home);
        let state = Arc::new(Known::new(maker, seeds));
        let looking = Arc::clone(&state);
        let look = move || Arc::clone(&looking).look();
        Self {
            refresh: Refresh::new(home, RHYTHM, look),
            state,
        }
    }

    /// Looks who is there, and connects to one of them.
    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        let until = Instant::now() + self.state.maker.deadline();
        let ticket = self.refresh.ask();
        let looked = self.refresh.wait(ticket, until).await;
        looked.unwrap_or_else(|| Err(no_connection_in_time()))
    }

    /// See [`Topology::call`](super::Topology::call).
    pub(super) async fn call(&self, request: &Request, way: Way) -> Result<Value, StoreError> {
        let now = Instant::now();
        let until = now + self.state.maker.deadline();
        let slot = slot_of(request.key().unwrap_or_default());
        self.refresh.ask_now_and_then(now);
        let owner = self.state.owner(slot);
        let first = match &owner {
            Some(member) => match member.attempt(request, way, Manner::Plain, until).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => Some(fault),
            },
            None => None,
        };
        // Boxed, since it is rare and each call would have room for it.
        let journey = Journey {
            cluster: self,
            request,
            way,
            slot,
            until,
        };
        let outcome = Box::pin(journey.go_on(owner, first)).await;
        if let (Some(tracking), Some(key)) = (&self.state.maker.tracking, request.key()) {
            // Whoever has answered may be another one than a cache has noted.
            tracking.took_a_detour(key);
        }
        outcome
    }

    /// How many nodes answer for slots.
    pub(super) fn shares(&self) -> usize {
        self.state.owners().len().max(1)
    }

    /// Asks one of them, by the order of their addresses.
    pub(super) async fn call_at(
        &self,
        share: usize,
        request: &Request,
    ) -> Result<Value, StoreError> {
        let until = Instant::now() + self.state.maker.deadline();
        if self.state.owners().is_empty() {
            self.refresh.wait(self.refresh.ask(), until).await;
        }
        let Some(member) = self.state.owners().into_iter().nth(share) else {
            return Err(unavailable("the cluster has fewer nodes by now"));
        };
        let reply = member.node.attempt(request, Manner::Plain, until).await;
        Ok(reply.inspect_err(|_| {
            self.refresh.ask();
        })?)
    }

    /// The same cluster on other connections, on which it tells of changes.
    pub(super) fn tracked(&self, tracking: Tracking) -> Self {
        let maker = Maker {
            tracking: Some(tracking),
            ..self.state.maker.clone()
        };
        // All that are known, so that it does not depend on the first ones being there.
        Self::new(maker, self.state.sources().into())
    }

    /// The parts of the nodes that answer for slots.
    pub(super) fn parts(&self) -> Vec<Part> {
        let owning = self.state.routes.read().owning();
        if owning.is_empty() {
            self.refresh.ask();
        }
        let parts = owning.into_iter();
        parts.filter_map(|seat| Part::new(seat.into())).collect()
    }

    /// Who answers for a key.
    pub(super) fn standing(&self, key: &str) -> Standing {
        let routes = self.state.routes.read();
        let seat = routes.seat_of(slot_of(key.as_bytes()));
        Standing {
            part: seat.and_then(|seat| Part::new(seat.into())),
            moves: routes.changes(),
        }
    }

    /// Shows that a node's pushes have arrived, and that it speaks for the sessions that are said to be its own. Of
    /// those for which it does not any more, its listener is told first.
    pub(super) async fn prove(&self, part: Part) -> Result<(), StoreError> {
        let until = Instant::now() + self.state.maker.deadline();
        let (member, slot) = self.state.at(part)?;
        let Some(tracking) = &member.tracking else {
            return Err(unavailable("nothing is reported on this connection"));
        };
        let questions = Request::proofs(questions(tracking.prefix(), slot));
        let reply = member.node.prove_by(&questions, until).await;
        let reply = reply.inspect_err(|_| {
            // Who hangs does not say that it was replaced.
            self.refresh.ask();
        })?;
        let Value::Array(replies) = reply else {
            return Err(unexpected_reply());
        };
        let [owns, slots] = <[Value; 2]>::try_from(replies).map_err(|_| unexpected_reply())?;
        let slots = slots.extract_error().map_err(Failure::from)?;
        // Under the lock, so that no other proof goes ahead that has found nothing new.
        let mut territory = member.territory.lock();
        let was_known = territory.slot().is_some();
        if let Some(slots) = territory.take_in(slots, &member.place)? {
            tracking.left(|key| !slots.contains(slot_of(key)));
            if was_known {
                self.refresh.ask();
            }
        }
        drop(territory);
        is_owner(owns).inspect_err(|_| {
            self.refresh.ask();
        })?;
        Ok(())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("seeds", &self.state.seeds)
            .finish_non_exhaustive()
    }
}

/// A call whose first attempt has failed.
struct Journey<'a> {
    cluster: &'a Cluster,
    request: &'a Request,
    way: Way,
    slot: u16,
    until: Instant,
}

/// Where to go next, if anywhere.
type Next = Result<(Arc<Member>, Manner), StoreError>;

impl Journey<'_> {
    async fn go_on(
        self,
        mut member: Option<Arc<Member>>,
        mut fault: Option<Fault>,
    ) -> Result<Value, StoreError> {
        let until = self.until;
        let mut trail = Trail::new(self.cluster.state.maker.deadline(), until);
        let outcome = {
            let journey = async {
                loop {
                    let next = self.next(member.take(), fault.take(), &mut trail).await;
                    let (to, manner) = next?;
                    // From here on it may be carried out.
                    trail.refusal = None;
                    match to.attempt(self.request, self.way, manner, until).await {
                        Ok(reply) => return Ok(reply),
                        Err(failed) => fault = Some(failed),
                    }
                    member = Some(to);
                }
            };
            timeout_at(until, pin!(journey)).await
        };
        trail.end(outcome)
    }

    async fn next(
        &self,
        asked: Option<Arc<Member>>,
        fault: Option<Fault>,
        trail: &mut Trail,
    ) -> Next {
        let Some((asked, fault)) = asked.zip(fault) else {
            return self.find(trail).await;
        };
        let refresh = &self.cluster.refresh;
        match fault {
            Fault::TimedOut => {
                refresh.ask();
                Err(StoreError::new(StoreErrorKind::TimedOut))
            }
            Fault::Unreached(error) => {
                trail.refusal = Some(error.clone());
                self.cluster.state.routes.write().doubt(&asked.place);
                refresh.wait_if_soon(refresh.ask(), self.until).await;
                match self.owner_besides(&asked) {
                    Some(other) => Ok((other, Manner::Plain)),
                    None => Err(error),
                }
            }
            Fault::Failed(Failure::Broken(error)) => {
                refresh.ask();
                if trail.is_open || !self.request.may_be_repeated() {
                    return Err(Failure::Broken(error).into());
                }
                tracing::debug!(%error, "the connection to a node broke; sending the call again");
                trail.is_open = true;
                let owner = self.cluster.state.owner(self.slot);
                Ok((owner.unwrap_or(asked), Manner::Plain))
            }
            Fault::Failed(Failure::Answered(error)) => Err(error),
            Fault::Failed(Failure::Elsewhere(elsewhere)) => {
                trail.refusal = Some(elsewhere.error);
                self.follow(asked, elsewhere.hint, trail).await
            }
        }
    }

    async fn follow(&self, asked: Arc<Member>, hint: Hint, trail: &mut Trail) -> Next {
        let refresh = &self.cluster.refresh;
        match hint {
            Hint::Moved(to) => {
                refresh.ask();
                trail.redirect().await?;
                let place = place_of(to, &asked);
                if place == asked.place {
                    // Its name stands for another node by now; the old one still holds the connection.
                    asked.node.reconnect();
                    trail.wait().await?;
                }
                let member = self.cluster.state.moved(self.slot, &place)?;
                Ok((member, Manner::Plain))
            }
            Hint::Ask(to) => {
                trail.redirect().await?;
                let place = place_of(to, &asked);
                let member = self.cluster.state.visited(&place)?;
                Ok((member, Manner::Sent))
            }
            Hint::NotNow | Hint::Demoted => {
                refresh.ask();
                trail.wait().await?;
                let owner = self.cluster.state.owner(self.slot);
                Ok((owner.unwrap_or(asked), Manner::Plain))
            }
        }
    }

    /// Nobody is known who answers for the slot.
    async fn find(&self, trail: &mut Trail) -> Next {
        let refresh = &self.cluster.refresh;
        trail.refusal = Some(no_connection_in_time());
        let looked = refresh.wait(refresh.ask(), self.until).await;
        match (self.cluster.state.owner(self.slot), looked) {
            (Some(owner), _) => Ok((owner, Manner::Plain)),
            (None, Some(Ok(()))) => Err(unavailable("no node of the cluster answers for the slot")),
            (None, Some(Err(error))) => Err(error),
            (None, None) => Err(no_connection_in_time()),
        }
    }

    fn owner_besides(&self, asked: &Arc<Member>) -> Option<Arc<Member>> {
        let owner = self.cluster.state.owner(self.slot)?;
        (!Arc::ptr_eq(&owner, asked)).then_some(owner)
    }
}

fn place_of(named: Named, asked: &Member) -> Place {
    Place {
        host: named.host.unwrap_or_else(|| asked.place.host.clone()),
        port: named.port,
    }
}

/// With 5000 clients of a cluster that is down, 5000 questions a second to all nodes together, of 25 µs each. A
/// cluster's bus tells everybody of news within some ten milliseconds. Without a reason, for what nobody is told of
/// by a redirection: new replicas.
const RHYTHM: Rhythm = Rhythm {
    shortest_pause: Duration::from_millis(50),
    longest_pause: Duration::from_secs(1),
    now_and_then: Duration::from_secs(30),
};
