//! What a store tells a cache, so that the cache need not ask.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::StoreError;
use crate::SessionId;

/// Told by a store what others have changed. Implemented by caches, called by stores.
///
/// # What a store promises
///
/// - **Changes.** Whatever a handle with a feed has returned from a load or a write, a later change
///   of that session by anybody else is reported, and so is that the storage has stopped watching it.
///   Changes that the handle makes itself are left out, since its cache sees them pass. A store whose
///   server reports those as well must know them by something that holds whatever becomes of the calls;
///   in doubt it reports: a report too many costs a load.
/// - **Loss.** If changes may go unreported, [`lost`](Self::lost) is called before the handle sends
///   anything on which later reports depend.
/// - **Proof.** When [`Feed::prove`] has returned, every change that was made before it was called
///   has been reported.
/// - **Order.** Calls that one handle makes one after the other reach the storage in that order,
///   those included that were given up before they were answered.
///
/// # Parts
///
/// A store on several servers has a [`Part`] for each: it can be lost, and proven, by itself, and what is known
/// of the sessions of the others stays. A cache notes for each answer which part it is from, and keeps to four
/// rules, which the store makes possible:
///
/// 1. An answer belongs to the part that was named *before* the call was sent ([`Feed::standing`]). It is not
///    kept if another one is named afterwards; if the call took a detour, the store reports the session as
///    changed before it returns.
/// 2. A proof is about its part only.
/// 3. So is a loss. A new connection to a server begins with one.
/// 4. Of what a part no longer speaks for, the cache is told ([`left`](Self::left)) before the part's next proof
///    returns.
///
/// The methods are called where the store parses what it receives, so they must neither wait nor
/// take long.
pub trait FeedListener: fmt::Debug + Send + Sync + 'static {
    /// A session was changed, deleted or collected, or may have been.
    fn changed(&self, id: SessionId);

    /// Whatever was read from this part until now may have changed without a report.
    fn lost(&self, part: Part);

    /// The part does not speak any more for the sessions for which `has_left` says so. By default, all of it
    /// counts as lost.
    fn left(&self, part: Part, has_left: &dyn Fn(SessionId) -> bool) {
        let _ = has_left;
        self.lost(part);
    }
}

/// What can be lost, and proven, by itself: the connection to one of a store's servers.
///
/// A small number, below [`Part::LIMIT`]. That of a server which has left is given to another one, which begins
/// with a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Part(u16);

impl Part {
    /// The part of a store that has one.
    pub const ONLY: Self = Self(0);

    /// How many parts a store can have: as many as a Redis Cluster should have nodes, and then some.
    pub const LIMIT: usize = 1024;

    /// `None` at [`LIMIT`](Self::LIMIT) and above.
    #[must_use]
    pub const fn new(index: usize) -> Option<Self> {
        if index < Self::LIMIT {
            #[expect(clippy::cast_possible_truncation, reason = "it is below the limit")]
            Some(Self(index as u16))
        } else {
            None
        }
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Who answers for a session at present. Two that are equal say that it has been the same part all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "made by every store with parts")]
pub struct Standing {
    /// The part; `None` while nobody is known.
    pub part: Option<Part>,
    /// Moves on whenever another part begins to answer for sessions.
    pub moves: u64,
}

impl Standing {
    /// That of every session in a store with one part.
    pub const ONLY: Self = Self {
        part: Some(Part::ONLY),
        moves: 0,
    };
}

/// What a proof is worth for the answer that a session is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "caches must know what to do")]
pub enum Absence {
    /// As much as for any other answer: it is reported when the session comes into being.
    Watched,
    /// Nothing: such an answer is good for as long as one without a feed.
    Unwatched,
}

/// Proves that a store's reports arrive.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// Returns when every change of this part that was made before the call has been reported to the listener.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if that cannot be shown in bounded time. Nothing is proven then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future has no effect on anything.
    fn prove(
        &self,
        part: Part,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>>;

    /// The parts that answer for sessions at present; `None`, the default, if there is only one, ever.
    fn parts(&self) -> Option<Vec<Part>> {
        None
    }

    /// Who answers for a session. Without parts, always the same.
    fn standing(&self, id: SessionId) -> Standing {
        let _ = id;
        Standing::ONLY
    }

    /// Whether sessions that are not there are watched. By default they are.
    fn absence(&self) -> Absence {
        Absence::Watched
    }
}

/// A store's handle that has a feed, and the feed.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by every store with a feed")]
pub struct Fed<S> {
    /// The handle. Only what is read and written through it is reported on.
    pub store: S,
    /// Its feed.
    pub feed: Arc<dyn Feed>,
}

impl<S> Fed<S> {
    /// The same feed, for a store that wraps this one.
    pub fn map<T>(self, wrap: impl FnOnce(S) -> T) -> Fed<T> {
        Fed {
            store: wrap(self.store),
            feed: self.feed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_small_numbers() {
        assert_eq!(Part::new(0), Some(Part::ONLY));
        assert_eq!(Part::new(Part::LIMIT - 1).map(Part::index), Some(1023));
        assert_eq!(Part::new(Part::LIMIT), None);
    }
}
