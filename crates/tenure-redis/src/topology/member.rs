use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{Client, Value};
use tenure_core::{Part, StoreError, StoreErrorKind};
use tokio::time::Instant;

use super::{routes::Seat, territory::Territory};
use crate::{
    RedisConfig, RedisConfigError,
    config::Place,
    error::Fault,
    exclusive::{Exclusive, Kind},
    home::Home,
    node::{Node, NodeLimits, Purpose},
    script::{Manner, Request},
    tracking::Tracking,
};

/// One of several servers. It connects when it is first asked something.
pub(super) struct Member {
    pub(super) place: Place,
    pub(super) node: Node,
    exclusive: Option<Exclusive>,
    /// For whom the node reports, if it does.
    pub(super) tracking: Option<Tracking>,
    /// Of a node of a cluster that has proven something.
    pub(super) territory: Mutex<Territory>,
}

impl Member {
    /// Sends a request once.
    pub(super) async fn attempt(
        &self,
        request: &Request,
        way: Way,
        manner: Manner,
        until: Instant,
    ) -> Result<Value, Fault> {
        match (way, &self.exclusive) {
            (Way::Confirmed(kind), Some(exclusive)) => {
                // Boxed, since it may connect, and is rare.
                Box::pin(exclusive.attempt(request, kind, manner, until)).await
            }
            (Way::Confirmed(_), None) | (Way::Shared, _) => {
                self.node.attempt(request, manner, until).await
            }
        }
    }
}

/// On which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The one that all calls share.
    Shared,
    /// One that nobody else uses until replicas have confirmed, if they have to.
    Confirmed(Kind),
}

/// Makes members, all of the same kind.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) config: RedisConfig,
    pub(crate) limits: NodeLimits,
    pub(crate) min_replicas: u32,
    pub(crate) home: Arc<Home>,
    pub(crate) tracking: Option<Tracking>,
}

impl Maker {
    pub(super) const fn deadline(&self) -> Duration {
        self.limits.deadline
    }

    /// A server that has to be the primary when it is connected to.
    pub(super) fn primary(&self, place: &Place) -> Result<Member, StoreError> {
        self.member_for(place, Purpose::Primary, self.tracking.clone())
    }

    /// A node of a cluster.
    pub(super) fn member(&self, place: &Place, seat: Seat) -> Result<Member, StoreError> {
        // Beyond the limit, which no cluster reaches, a node serves, and nothing of it is cached.
        let part = Part::new(seat.into());
        let tracking = self.tracking.as_ref().zip(part);
        let tracking = tracking.map(|(tracking, part)| tracking.of_part(part));
        self.member_for(place, Purpose::Sessions, tracking)
    }

    fn member_for(
        &self,
        place: &Place,
        purpose: Purpose,
        tracking: Option<Tracking>,
    ) -> Result<Member, StoreError> {
        let client = self.config.client_at(place).map_err(refused)?;
        let exclusive = self.exclusive(&client).map_err(refused)?;
        let node = self.node(client, purpose);
        Ok(Member {
            place: place.clone(),
            exclusive,
            node: match &tracking {
                Some(tracking) => node.tracked(tracking.clone()),
                None => node,
            },
            tracking,
            territory: Mutex::default(),
        })
    }

    /// A server that is asked a question, and not used otherwise.
    pub(super) fn stranger(&self, place: &Place) -> Result<Node, StoreError> {
        let client = self.config.client_at(place).map_err(refused)?;
        let home = Arc::clone(&self.home);
        Ok(Node::new(client, self.limits, home, Purpose::Sessions))
    }

    pub(super) fn node(&self, client: Client, purpose: Purpose) -> Node {
        Node::new(client, self.limits, Arc::clone(&self.home), purpose)
    }

    pub(super) fn exclusive(&self, client: &Client) -> Result<Option<Exclusive>, RedisConfigError> {
        (self.min_replicas > 0)
            .then(|| {
                let home = Arc::clone(&self.home);
                Exclusive::new(client, self.min_replicas, self.limits.deadline, home)
            })
            .transpose()
    }
}

fn refused(error: RedisConfigError) -> StoreError {
    StoreError::with_source(StoreErrorKind::Refused, error)
}
