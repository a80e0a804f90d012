//! What a session is: values without behaviour that waits, reads a clock or talks to anyone.

mod client;
mod id;
mod key;
mod layout;
mod lifetimes;
mod login;
mod principal;
mod record;
mod secret;
mod values;
mod version;

#[cfg(test)]
pub(crate) use self::key::IntoName;
pub(crate) use self::values::MAX_VALUE_BYTES;
pub use self::{
    client::{Actor, Client, ClientInfo},
    id::SessionId,
    key::{AnyKey, InvalidKey, Key, SessionKey},
    layout::{DecodeError, RECORD_HEADER_BYTES},
    lifetimes::{Lifetimes, LifetimesError},
    login::{Epoch, InvalidLoginName, Login, LoginName, LoginRefusal, LoginStamp, Whose},
    principal::{InvalidPrincipal, Principal},
    record::{Expiry, Record, Retention},
    secret::{SecretHash, SessionSecret},
    values::Values,
    version::{Lineage, Relation, Version},
};
pub(crate) use self::{id::BySession, key::Name, values::Edits};
