//! Versioned HTTP sessions: the model, the storage contract and the session manager.

mod clock;
mod cookie;
mod entropy;
mod model;
mod store;

pub use self::{
    clock::{Clock, SystemClock, Timestamp},
    cookie::{
        CookieConfig, CookieConfigBuilder, CookieConfigError, KeyError, KeyRing, SameSite,
        needs_vary_cookie, private_cache_control,
    },
    entropy::{Entropy, EntropyError, OsEntropy},
    model::{
        DecodeError, Expiry, InvalidKey, InvalidPrincipal, Key, Lifetimes, LifetimesError, Lineage,
        Principal, RECORD_HEADER_BYTES, Record, Relation, SecretHash, SessionId, SessionKey,
        SessionSecret, Values, Version,
    },
    store::{
        Commit, Create, Freshness, Load, MemoryStore, MemoryStoreBuilder, Renewal, SessionStore,
        StoreError, StoreErrorKind,
    },
};
