//! Which server answers for a key.

mod cluster;
mod election;
mod known;
mod member;
mod refresh;
mod routes;
mod sentinel;
mod slots;
mod standalone;
mod territory;
mod trail;
mod view;

use std::{fmt, sync::Arc};

use redis::Value;
use tenure_core::{Absence, Part, Standing, StoreError};

pub(crate) use self::member::{Maker, Way};
use self::{cluster::Cluster, sentinel::Sentinel, standalone::Standalone};
use crate::{
    RedisConfig, RedisConfigError, config::Servers, exclusive::Kind, script::Request,
    tracking::Tracking,
};

/// The servers that keep the sessions. Whoever asks names a key, and not a server.
pub(crate) enum Topology {
    /// One server, so nothing to decide.
    Standalone(Box<Standalone>),
    /// One at a time, which others choose.
    Sentinel(Sentinel),
    /// Many, each of which answers for some slots.
    Cluster(Cluster),
}

impl Topology {
    pub(crate) fn new(config: &RedisConfig, maker: Maker) -> Result<Self, RedisConfigError> {
        config.check()?;
        Ok(match config.servers() {
            Servers::One => Self::Standalone(Box::new(Standalone::new(config, &maker)?)),
            Servers::Cluster(seeds) => Self::Cluster(Cluster::new(maker, seeds.clone())),
            Servers::Sentinels(it) => Self::Sentinel(Sentinel::new(maker, it.clone())?),
        })
    }

    /// Connects, so that a wrong address shows.
    pub(crate) async fn connect(&self) -> Result<(), StoreError> {
        match self {
            Self::Standalone(standalone) => standalone.connect().await,
            Self::Sentinel(sentinel) => sentinel.connect().await,
            Self::Cluster(cluster) => cluster.connect().await,
        }
    }

    /// Carries a request out within the deadline, wherever its key is.
    ///
    /// If the connection breaks before the answer comes, a request that
    /// [may be repeated](Request::may_be_repeated) is sent once more.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves everything usable. The request may be carried out all the same.
    pub(crate) async fn call(&self, request: &Request) -> Result<Value, StoreError> {
        match self {
            Self::Standalone(standalone) => standalone.node().call(request).await,
            Self::Sentinel(sentinel) => sentinel.call(request, Way::Shared).await,
            Self::Cluster(cluster) => cluster.call(request, Way::Shared).await,
        }
    }

    /// The same for a write that replicas have to confirm, if they have to.
    ///
    /// # Cancellation
    ///
    /// As for [`call`](Self::call).
    pub(crate) async fn confirmed(
        &self,
        request: &Request,
        kind: Kind,
    ) -> Result<Value, StoreError> {
        match self {
            Self::Standalone(standalone) => standalone.confirmed(request, kind).await,
            Self::Sentinel(sentinel) => sentinel.call(request, Way::Confirmed(kind)).await,
            Self::Cluster(cluster) => cluster.call(request, Way::Confirmed(kind)).await,
        }
    }

    /// On how many servers the keys are, as far as is known.
    pub(crate) fn shares(&self) -> usize {
        match self {
            Self::Standalone(_) | Self::Sentinel(_) => 1,
            Self::Cluster(cluster) => cluster.shares(),
        }
    }

    /// Asks one of these servers something that is about no key.
    pub(crate) async fn call_at(
        &self,
        share: usize,
        request: &Request,
    ) -> Result<Value, StoreError> {
        match self {
            Self::Standalone(_) | Self::Sentinel(_) => self.call(request).await,
            Self::Cluster(cluster) => cluster.call_at(share, request).await,
        }
    }

    /// The same servers on other connections, on which they tell of changes. `None` if they cannot be
    /// set up.
    pub(crate) fn tracked(&self, tracking: &Tracking) -> Option<Arc<Self>> {
        match self {
            Self::Standalone(it) => {
                let standalone = Box::new(it.tracked(tracking.clone()));
                Some(Arc::new(Self::Standalone(standalone)))
            }
            // What was valid for the store is so for another one.
            Self::Sentinel(it) => {
                let sentinel = it.tracked(tracking.clone()).ok()?;
                Some(Arc::new(Self::Sentinel(sentinel)))
            }
            Self::Cluster(it) => Some(Arc::new(Self::Cluster(it.tracked(tracking.clone())))),
        }
    }

    /// Shows that whatever a part has pushed by now has been received, and that it speaks for its sessions.
    pub(crate) async fn prove(&self, part: Part) -> Result<(), StoreError> {
        match self {
            Self::Standalone(standalone) => standalone.node().prove().await,
            Self::Sentinel(sentinel) => sentinel.prove().await,
            Self::Cluster(cluster) => cluster.prove(part).await,
        }
    }

    /// See [`Feed::parts`](tenure_core::Feed::parts).
    pub(crate) fn parts(&self) -> Option<Vec<Part>> {
        match self {
            Self::Standalone(_) | Self::Sentinel(_) => None,
            Self::Cluster(cluster) => Some(cluster.parts()),
        }
    }

    /// See [`Feed::standing`](tenure_core::Feed::standing).
    pub(crate) fn standing(&self, key: impl FnOnce() -> String) -> Standing {
        match self {
            Self::Standalone(_) | Self::Sentinel(_) => Standing::ONLY,
            Self::Cluster(cluster) => cluster.standing(&key()),
        }
    }

    /// See [`Feed::absence`](tenure_core::Feed::absence).
    pub(crate) const fn absence(&self) -> Absence {
        match self {
            Self::Standalone(_) | Self::Sentinel(_) => Absence::Watched,
            // The node that takes a slot over says nothing of what it creates to whoever has read the absence at
            // the one that had it.
            Self::Cluster(_) => Absence::Unwatched,
        }
    }
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone(standalone) => standalone.node().fmt(f),
            Self::Sentinel(sentinel) => sentinel.fmt(f),
            Self::Cluster(cluster) => cluster.fmt(f),
        }
    }
}
