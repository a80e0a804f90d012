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
/// The methods are called where the store parses what it receives, so they must neither wait nor
/// take long.
pub trait FeedListener: fmt::Debug + Send + Sync + 'static {
    /// A session was changed, deleted or collected, or may have been.
    fn changed(&self, id: SessionId);

    /// Whatever was read until now may have changed without a report.
    fn lost(&self);
}

/// Proves that a store's reports arrive.
pub trait Feed: fmt::Debug + Send + Sync + 'static {
    /// Returns when every change that was made before the call has been reported to the listener.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] if that cannot be shown in bounded time. Nothing is proven then.
    ///
    /// # Cancellation
    ///
    /// Dropping the future has no effect on anything.
    fn prove(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>>;
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
