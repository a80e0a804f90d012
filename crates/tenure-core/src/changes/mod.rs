//! What a request did to its session: the log of it, the view that it gives, and doing it again.

mod codec;
mod draft;
mod error;
mod log;
mod merges;

use std::panic::{AssertUnwindSafe, catch_unwind};

#[cfg(test)]
pub(crate) use self::log::Seen;
pub(crate) use self::{
    codec::{decode, decode_optional, encode},
    draft::{Below, Draft},
    log::{Changes, NewLogin, Update},
    merges::Merges,
};
pub use self::{error::SessionError, merges::OnConflict};
use crate::model::Name;

/// Runs code of the application that changes are replayed with.
///
/// That happens for whoever commits at the moment, which may be another request's task: a panic must
/// fail its own request and not that one.
fn guarded<T>(
    name: &Name,
    code: impl FnOnce() -> Result<T, SessionError>,
) -> Result<T, SessionError> {
    catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|payload| {
        drop_guarded(payload);
        Err(SessionError::ReplayPanicked {
            key: name.as_str().to_owned(),
        })
    })
}

/// Drops what belongs to the application in a task that may be another request's.
pub(crate) fn drop_guarded<T>(it: T) {
    // A panic has been printed by its hook; there is nobody else to tell. What it carries is the application's
    // too, and dropping that may panic once more: better to leak it.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(it))) {
        std::mem::forget(payload);
    }
}
