//! A load that several callers wait for.

use futures_util::future::{BoxFuture, Shared, WeakShared};
use tenure_core::{Load, StoreError};

/// Runs as long as somebody waits for it.
pub(crate) type Flight = Shared<BoxFuture<'static, Result<Load, StoreError>>>;

/// What does not keep it running.
pub(crate) type WeakFlight = WeakShared<BoxFuture<'static, Result<Load, StoreError>>>;
