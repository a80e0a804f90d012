//! The session cookie: its signed value, its attributes, and finding it in a request.

mod caching;
mod config;
mod header;
mod key_ring;
mod token;

pub use self::{
    caching::{invites_caches, needs_vary_cookie, private_cache_control},
    config::{CookieConfig, CookieConfigBuilder, CookieConfigError, SameSite},
    header::sets_cookie,
    key_ring::{KeyError, KeyRing},
};
pub(crate) use self::{
    header::{CookieFinder, Sought},
    key_ring::TokenKeys,
    token::{RawToken, Token},
};
