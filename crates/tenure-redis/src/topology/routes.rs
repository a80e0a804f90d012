//! Which member answers for which slot, as far as we know: no I/O.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{slots::SLOTS, view::View};
use crate::config::Place;

/// The map of a cluster, and everyone who may know a newer one.
pub(super) struct Routes<M> {
    /// The seat of each slot's owner.
    owners: Box<[Seat]>,
    seats: Vec<Option<Seated<M>>>,
    /// Slots about which their former owner has told, and when: it knows best.
    told: HashMap<u16, Instant>,
    /// By which the cluster is recognised.
    ids: HashSet<String>,
    replicas: Vec<Place>,
    /// Where there were members once.
    former: VecDeque<Place>,
    /// Counts the changes of owners.
    changes: u64,
}

/// Index of a member; numbers of those who have left are given to others.
pub(super) type Seat = u16;

struct Seated<M> {
    place: Place,
    member: Arc<M>,
}

impl<M> Routes<M> {
    pub(super) fn new() -> Self {
        Self {
            owners: vec![NOBODY; usize::from(SLOTS)].into(),
            seats: Vec::new(),
            told: HashMap::new(),
            ids: HashSet::new(),
            replicas: Vec::new(),
            former: VecDeque::new(),
            changes: 0,
        }
    }

    /// Who answers for a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<M>> {
        self.member(self.owners[usize::from(slot)])
    }

    /// The seat of whoever answers for a slot.
    pub(super) fn seat_of(&self, slot: u16) -> Option<Seat> {
        let seat = self.owners[usize::from(slot)];
        self.member(seat).map(|_| seat)
    }

    /// Some slot for which this one answers.
    pub(super) fn slot_at(&self, seat: Seat) -> Option<u16> {
        (0..SLOTS).find(|slot| self.owners[usize::from(*slot)] == seat)
    }

    /// The seats of those who answer for slots.
    pub(super) fn owning(&self) -> Vec<Seat> {
        let mut is_owning = vec![false; self.seats.len()];
        for seat in &self.owners {
            if let Some(is_owning) = is_owning.get_mut(usize::from(*seat)) {
                *is_owning = true;
            }
        }
        (0..)
            .zip(is_owning)
            .filter_map(|(seat, is)| is.then_some(seat))
            .collect()
    }

    /// How often an owner has changed.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    pub(super) fn member(&self, seat: Seat) -> Option<&Arc<M>> {
        let seated = self.seats.get(usize::from(seat))?.as_ref()?;
        Some(&seated.member)
    }

    /// The member at a place, if there is one.
    pub(super) fn at(&self, place: &Place) -> Option<&Arc<M>> {
        let mut seated = self.seats.iter().flatten();
        let seated = seated.find(|seated| seated.place == *place)?;
        Some(&seated.member)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Arc<M>> {
        self.seats.iter().flatten().map(|seated| &seated.member)
    }

    /// All places besides those of members at which somebody may know more.
    pub(super) fn others(&self) -> impl Iterator<Item = &Place> {
        self.replicas.iter().chain(&self.former)
    }

    /// Whether a view is of this cluster, and not of another one that has taken over an address.
    pub(super) fn is_related(&self, view: &View) -> bool {
        self.ids.is_empty() || view.ids.iter().any(|id| self.ids.contains(id))
    }

    /// Takes in what a former owner has told of a slot, and returns the member at that place.
    ///
    /// # Errors
    ///
    /// That of `make`.
    pub(super) fn moved<E>(
        &mut self,
        slot: u16,
        place: &Place,
        now: Instant,
        make: impl FnOnce(&Place, Seat) -> Result<M, E>,
    ) -> Result<Arc<M>, E> {
        let (seat, member) = self.seat(place, make)?;
        self.told.insert(slot, now);
        self.give(slot, seat);
        Ok(member)
    }

    /// The member at a place, which answers for nothing by that.
    ///
    /// # Errors
    ///
    /// That of `make`.
    pub(super) fn visit<E>(
        &mut self,
        place: &Place,
        make: impl FnOnce(&Place, Seat) -> Result<M, E>,
    ) -> Result<Arc<M>, E> {
        Ok(self.seat(place, make)?.1)
    }

    /// Forgets what was told in favour of a place, which does not answer.
    pub(super) fn doubt(&mut self, place: &Place) {
        let seat = self.seats.iter().position(|seated| {
            let seated = seated.as_ref();
            seated.is_some_and(|seated| seated.place == *place)
        });
        let owners = &self.owners;
        let is_its = |slot: u16| seat == Some(usize::from(owners[usize::from(slot)]));
        self.told.retain(|slot, _| !is_its(*slot));
    }

    /// Takes a view in, which was asked for at `asked`. Slots that nobody answers for by it keep their owner: a
    /// node that has just joined has gaps in its view. Tells whether an owner has changed.
    pub(super) fn adopt<E>(
        &mut self,
        view: &View,
        now: Instant,
        make: impl Fn(&Place, Seat) -> Result<M, E>,
    ) -> bool {
        let before = self.changes;
        self.told.retain(|_, told| now < *told + TOLD_FOR);
        for range in &view.ranges {
            let Ok((seat, _)) = self.seat(&range.owner, &make) else {
                continue;
            };
            for slot in range.first..=range.last {
                if !self.told.contains_key(&slot) {
                    self.give(slot, seat);
                }
            }
        }
        self.ids = view.ids.iter().cloned().collect();
        self.replicas.clone_from(&view.replicas);
        self.dismiss();
        self.changes != before
    }

    fn give(&mut self, slot: u16, seat: Seat) {
        let owner = &mut self.owners[usize::from(slot)];
        if *owner != seat {
            *owner = seat;
            self.changes += 1;
        }
    }

    fn seat<E>(
        &mut self,
        place: &Place,
        make: impl FnOnce(&Place, Seat) -> Result<M, E>,
    ) -> Result<(Seat, Arc<M>), E> {
        let is_there = |seated: &Option<Seated<M>>| {
            let seated = seated.as_ref();
            seated.is_some_and(|seated| seated.place == *place)
        };
        let taken = self.seats.iter().position(is_there);
        let free = || self.seats.iter().position(Option::is_none);
        let index = taken.or_else(free).unwrap_or(self.seats.len());
        // A cluster has a thousand nodes at most.
        let seat = Seat::try_from(index).unwrap_or(NOBODY);
        if let Some(Some(seated)) = self.seats.get(index) {
            return Ok((seat, Arc::clone(&seated.member)));
        }
        let member = Arc::new(make(place, seat)?);
        let seated = Some(Seated {
            place: place.clone(),
            member: Arc::clone(&member),
        });
        match self.seats.get_mut(index) {
            Some(empty) => *empty = seated,
            None => self.seats.push(seated),
        }
        self.former.retain(|former| former != place);
        Ok((seat, member))
    }

    /// Lets members go that answer for nothing any more. Their connections close when their last call ends.
    fn dismiss(&mut self) {
        let needed = self.owning();
        for (seat, seated) in (0..).zip(&mut self.seats) {
            if let Some(seated) = seated.take_if(|_| !needed.contains(&seat)) {
                self.former.push_front(seated.place);
            }
        }
        self.former.truncate(FORMER);
    }
}

const NOBODY: Seat = Seat::MAX;

/// How long what a former owner has told outweighs what others say: they learn of it within the pulse of the
/// cluster's bus, which is a second.
const TOLD_FOR: Duration = Duration::from_secs(2);

/// So many former places are kept. Where addresses change all the time, most of them are of no use.
const FORMER: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::view::{Health, Range};

    fn place(port: u16) -> Place {
        let host = "h".to_owned();
        Place { host, port }
    }

    fn view(owners: &[(u16, u16, u16)]) -> View {
        let range = |(first, last, port): &(u16, u16, u16)| Range {
            first: *first,
            last: *last,
            owner: place(*port),
        };
        View {
            ranges: owners.iter().map(range).collect(),
            ids: owners
                .iter()
                .map(|(.., port)| format!("id-{port}"))
                .collect(),
            replicas: vec![place(99)],
            health: Health::Up,
            epoch: 1,
        }
    }

    /// A member that knows its port.
    type Known = Routes<u16>;

    fn make(place: &Place, _: Seat) -> Result<u16, ()> {
        Ok(place.port)
    }

    fn owner(routes: &Known, slot: u16) -> Option<u16> {
        routes.owner(slot).map(|port| **port)
    }

    fn three() -> (Known, Instant) {
        let (mut routes, now) = (Routes::new(), Instant::now());
        let whole = view(&[(0, 99, 1), (100, 199, 2), (200, 16383, 3)]);
        assert!(routes.adopt(&whole, now, make));
        assert!(!routes.adopt(&whole, now, make), "nothing has changed");
        (routes, now)
    }

    #[test]
    fn a_slot_is_asked_for_where_the_view_says() {
        let (routes, _) = three();
        assert_eq!(owner(&routes, 99), Some(1));
        assert_eq!(owner(&routes, 100), Some(2));
        assert_eq!(owner(&routes, 16383), Some(3));
        assert_eq!(owner(&Routes::new(), 0), None);
    }

    #[test]
    fn what_an_owner_tells_outweighs_older_views_and_then_not_any_more() {
        let (mut routes, now) = three();
        let old = view(&[(0, 99, 1), (100, 199, 2), (200, 16383, 3)]);
        assert_eq!(
            routes.moved(7, &place(2), now, make).map(|port| *port),
            Ok(2)
        );
        assert!(!routes.adopt(&old, now + TOLD_FOR / 2, make));
        assert_eq!((owner(&routes, 7), owner(&routes, 8)), (Some(2), Some(1)));
        assert!(routes.adopt(&old, now + TOLD_FOR, make));
        assert_eq!(owner(&routes, 7), Some(1));
    }

    #[test]
    fn what_was_told_in_favour_of_a_place_that_does_not_answer_is_no_reason() {
        let (mut routes, now) = three();
        assert!(routes.moved(7, &place(4), now, make).is_ok());
        assert!(routes.moved(8, &place(2), now, make).is_ok());
        routes.doubt(&place(4));
        routes.doubt(&place(5));
        let old = view(&[(0, 99, 1), (100, 199, 2), (200, 16383, 3)]);
        routes.adopt(&old, now, make);
        assert_eq!((owner(&routes, 7), owner(&routes, 8)), (Some(1), Some(2)));
    }

    #[test]
    fn a_view_with_gaps_leaves_them_as_they_were() {
        let (mut routes, now) = three();
        assert!(routes.adopt(&view(&[(0, 99, 2)]), now, make));
        assert_eq!((owner(&routes, 7), owner(&routes, 200)), (Some(2), Some(3)));
    }

    #[test]
    fn who_has_left_is_still_asked_about_the_cluster_and_the_number_is_given_away() {
        let (mut routes, now) = three();
        let without = view(&[(0, 199, 2), (200, 16383, 3)]);
        routes.adopt(&without, now, make);
        assert_eq!(routes.at(&place(1)), None);
        assert!(routes.others().any(|other| *other == place(1)));
        assert!(
            routes.others().any(|other| *other == place(99)),
            "a replica"
        );
        routes.adopt(&view(&[(0, 199, 4), (200, 16383, 3)]), now, make);
        assert_eq!(routes.seats.len(), 3);
        assert_eq!(owner(&routes, 0), Some(4));
        for port in 1000..1100 {
            routes.adopt(&view(&[(0, 16383, port)]), now, make);
        }
        assert!(routes.seats.len() <= 3);
        assert_eq!(routes.former.len(), FORMER);
    }

    #[test]
    fn a_cluster_is_recognised_by_any_of_its_members() {
        let (routes, _) = three();
        assert!(routes.is_related(&view(&[(0, 16383, 3)])));
        assert!(!routes.is_related(&view(&[(0, 16383, 4)])));
        assert!(
            Known::new().is_related(&view(&[(0, 16383, 4)])),
            "the first one"
        );
    }
}
