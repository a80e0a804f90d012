//! What this node has learnt of a few sessions a short while ago, so that it need not ask again.

use parking_lot::Mutex;

use crate::{SessionId, Timestamp};

/// Remembers a point in time for each of the sessions that were noted last. Of two that share a place, the
/// earlier one is forgotten, so the table never grows: it saves store calls, and nothing depends on it.
#[derive(Debug)]
pub(super) struct Recent {
    places: Box<[Place]>,
}

type Place = Mutex<Option<(SessionId, Timestamp)>>;

impl Recent {
    /// Notes a point in time, instead of any earlier one.
    pub(super) fn note(&self, id: SessionId, time: Timestamp) {
        *self.place(id).lock() = Some((id, time));
    }

    /// Claims the work that brings a session up to that point in time, unless it is up to one that suffices.
    pub(super) fn claim(
        &self,
        id: SessionId,
        time: Timestamp,
        suffices: impl FnOnce(Timestamp) -> bool,
    ) -> Option<Claim<'_>> {
        let mut place = self.place(id).lock();
        if place.is_some_and(|(noted, at)| noted == id && suffices(at)) {
            return None;
        }
        *place = Some((id, time));
        Some(Claim {
            recent: self,
            id,
            is_done: false,
        })
    }

    pub(super) fn get(&self, id: SessionId) -> Option<Timestamp> {
        let place = *self.place(id).lock();
        place
            .filter(|(noted, _)| *noted == id)
            .map(|(_, time)| time)
    }

    fn place(&self, id: SessionId) -> &Place {
        let [.., high, low] = id.as_bytes();
        // The last bytes of a version 4 UUID are random.
        &self.places[usize::from(u16::from_be_bytes([*high, *low])) % PLACES]
    }
}

/// Work that one request has taken on for all. If it leaves it undone, others may.
#[must_use = "a claim that is dropped is given up"]
pub(super) struct Claim<'a> {
    recent: &'a Recent,
    id: SessionId,
    is_done: bool,
}

impl Claim<'_> {
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut place = self.recent.place(self.id).lock();
        if !self.is_done && place.is_some_and(|(noted, _)| noted == self.id) {
            *place = None;
        }
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
        }
    }
}

/// As many as the sessions that are busy at one moment on one node; 32 KiB.
const PLACES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_last_is_remembered_of_each_session() {
        let recent = Recent::default();
        let (one, other) = (
            SessionId::from_bytes([1; 16]),
            SessionId::from_bytes([2; 16]),
        );
        let at = Timestamp::from_millis;
        recent.note(one, at(5));
        recent.note(one, at(6));
        assert_eq!((recent.get(one), recent.get(other)), (Some(at(6)), None));
    }

    #[test]
    fn work_is_claimed_once_until_it_is_given_up_or_due_again() {
        let recent = Recent::default();
        let id = SessionId::from_bytes([1; 16]);
        let claim = |time| {
            let time = Timestamp::from_millis(time);
            recent.claim(id, time, |at| at >= time)
        };
        let first = claim(5).unwrap();
        assert!(claim(5).is_none(), "it is under way");
        drop(first);
        claim(5).expect("it was given up").done();
        assert!(claim(5).is_none(), "it is done");
        claim(6).expect("it is due again").done();
    }
}
