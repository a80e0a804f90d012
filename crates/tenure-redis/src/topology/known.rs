//! What is known of a cluster, and looking anew.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{StreamExt, stream::FuturesUnordered};
use parking_lot::RwLock;
use tenure_core::{Part, StoreError};
use tokio::time::Instant;

use super::{
    Maker,
    member::Member,
    refresh::Found,
    routes::{Routes, Seat},
    trail::unavailable,
    view::{Health, View},
};
use crate::{config::Place, connector::chance, error::no_connection_in_time, script::Manner};

/// What a look at the cluster changes.
pub(super) struct Known {
    pub(super) maker: Maker,
    pub(super) seeds: Vec<Place>,
    /// Never held across an `await`: a node that does not answer must not stop the calls to others.
    pub(super) routes: RwLock<Routes<Member>>,
}

impl Known {
    pub(super) fn new(maker: Maker, seeds: Vec<Place>) -> Self {
        Self {
            maker,
            seeds,
            routes: RwLock::new(Routes::new()),
        }
    }

    /// The member of a part, and a slot for which it should answer.
    pub(super) fn at(&self, part: Part) -> Result<(Arc<Member>, u16), StoreError> {
        let gone = || unavailable("the node has left the cluster");
        let seat = Seat::try_from(part.index()).map_err(|_| gone())?;
        let routes = self.routes.read();
        let member = routes.member(seat).map(Arc::clone).ok_or_else(gone)?;
        let told = member.territory.lock().slot();
        let slot = told.or_else(|| routes.slot_at(seat)).ok_or_else(gone)?;
        Ok((member, slot))
    }

    /// Those who answer for slots, by their addresses.
    pub(super) fn owners(&self) -> Vec<Arc<Member>> {
        let routes = self.routes.read();
        let owning = routes.owning().into_iter();
        let owners = owning.filter_map(|seat| routes.member(seat).map(Arc::clone));
        let mut owners: Vec<_> = owners.collect();
        owners.sort_by_key(|member| (member.place.host.clone(), member.place.port));
        owners
    }

    pub(super) fn owner(&self, slot: u16) -> Option<Arc<Member>> {
        self.routes.read().owner(slot).map(Arc::clone)
    }

    pub(super) fn moved(&self, slot: u16, place: &Place) -> Result<Arc<Member>, StoreError> {
        let mut routes = self.routes.write();
        routes.moved(slot, place, Instant::now(), |place, seat| {
            self.maker.member(place, seat)
        })
    }

    /// The member at a place, which answers for nothing yet if it is not known.
    pub(super) fn visited(&self, place: &Place) -> Result<Arc<Member>, StoreError> {
        let mut routes = self.routes.write();
        routes.visit(place, |place, seat| self.maker.member(place, seat))
    }

    /// Asks several nodes, and takes in the best view.
    pub(super) async fn look(self: Arc<Self>) -> Result<Found, StoreError> {
        let limit = self.maker.deadline();
        let end = Instant::now() + limit;
        let mut sources = self.sources();
        let mut asking = FuturesUnordered::new();
        let mut views: Vec<View> = Vec::new();
        let mut fault = None;
        while Instant::now() < end {
            while asking.len() < ASKED_AT_ONCE
                && let Some(place) = sources.pop_front()
            {
                let until = end.min(Instant::now() + limit / 2);
                asking.push(self.view_of(place, until));
            }
            match asking.next().await {
                Some(Ok(view)) => {
                    views.push(view);
                    if self.is_settled(&views) {
                        break;
                    }
                }
                Some(Err(error)) => fault = Some(error),
                None => break,
            }
        }
        let routes = self.routes.read();
        let best = views.iter().max_by_key(|view| {
            let agreeing = views.iter().filter(|other| other.agrees_with(view)).count();
            let covered = view.covered();
            (
                routes.is_related(view),
                view.health,
                covered,
                view.epoch,
                agreeing,
            )
        });
        drop(routes);
        match (best, fault) {
            (Some(best), _) => Ok(self.adopt(best)),
            (None, Some(fault)) => Err(fault),
            (None, None) => Err(no_connection_in_time()),
        }
    }

    /// Whether two that are content agree. One alone may be cut off from the others, or have just joined.
    fn is_settled(&self, views: &[View]) -> bool {
        let Some((last, before)) = views.split_last() else {
            return false;
        };
        let is_good = last.health >= Health::Unknown && self.routes.read().is_related(last);
        is_good && before.iter().any(|view| view.agrees_with(last))
    }

    fn adopt(&self, view: &View) -> Found {
        let mut routes = self.routes.write();
        if routes.adopt(view, Instant::now(), |place, seat| {
            self.maker.member(place, seat)
        }) {
            Found::News
        } else {
            Found::Nothing
        }
    }

    /// Whom to ask: first those with a connection, then everyone who was ever told of, by chance, so that not all
    /// clients ask the same one.
    pub(super) fn sources(&self) -> VecDeque<Place> {
        let routes = self.routes.read();
        let (near, far): (Vec<_>, Vec<_>) = routes
            .members()
            .partition(|member| member.node.is_connected());
        let place = |member: &Arc<Member>| member.place.clone();
        let mut near: Vec<_> = near.into_iter().map(place).collect();
        let far = far.into_iter().map(place);
        let far = far.chain(routes.others().cloned());
        let mut far: Vec<_> = far.chain(self.seeds.iter().cloned()).collect();
        drop(routes);
        shuffle(&mut near);
        shuffle(&mut far);
        let mut sources = VecDeque::from(near);
        for place in far {
            if !sources.contains(&place) {
                sources.push_back(place);
            }
        }
        sources
    }

    async fn view_of(&self, place: Place, until: Instant) -> Result<View, StoreError> {
        let member = self.routes.read().at(&place).map(Arc::clone);
        let questions = View::questions();
        let reply = match member {
            Some(member) => member.node.ask(&questions, Manner::Plain, until).await?,
            None => {
                let stranger = self.maker.stranger(&place)?;
                stranger.ask(&questions, Manner::Plain, until).await?
            }
        };
        View::read(reply, &place)
    }
}

fn shuffle(places: &mut [Place]) {
    for end in (1..places.len()).rev() {
        places.swap(end, usize::from(chance()) % (end + 1));
    }
}

/// Until two of them agree.
const ASKED_AT_ONCE: usize = 3;
