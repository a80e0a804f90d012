//! What a request did to its session: the log of it, the view that it gives, and doing it again.

mod codec;
mod draft;
mod error;
mod log;
mod merges;

#[cfg(test)]
pub(crate) use self::log::Seen;
pub(crate) use self::{
    codec::{decode, decode_optional, encode},
    draft::Draft,
    log::{Changes, Login, Update},
    merges::Merges,
};
pub use self::{error::SessionError, merges::OnConflict};
