//! A load that several callers wait for.

use std::panic::AssertUnwindSafe;

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use tenure_core::{Load, StoreError, StoreErrorKind};

/// Begins a flight.
///
/// Whoever waits for it polls it, on whatever runtime they are. What the store waits with, its timers for one,
/// belongs to the runtime of the first, and panics when that has ended: a fault for those who go on, not a panic
/// of theirs.
pub(crate) fn take_off(
    load: impl Future<Output = Result<Load, StoreError>> + Send + 'static,
) -> Flight {
    let load = AssertUnwindSafe(load).catch_unwind();
    let guarded = load.map(|outcome| {
        outcome.unwrap_or_else(|payload| {
            // Dropping it may panic once more.
            std::mem::forget(payload);
            let panicked = "the store panicked";
            Err(StoreError::with_source(
                StoreErrorKind::Interrupted,
                panicked,
            ))
        })
    });
    guarded.boxed().shared()
}

/// Runs as long as somebody waits for it.
pub(crate) type Flight = Shared<BoxFuture<'static, Result<Load, StoreError>>>;

/// What does not keep it running.
pub(crate) type WeakFlight = WeakShared<BoxFuture<'static, Result<Load, StoreError>>>;
