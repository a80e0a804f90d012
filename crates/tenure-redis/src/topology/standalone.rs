use std::sync::Arc;

use redis::Value;
use tenure_core::StoreError;

use super::Maker;
use crate::{
    RedisConfig, RedisConfigError,
    exclusive::{Exclusive, Kind},
    node::{Node, Purpose},
    script::Request,
    tracking::Tracking,
};

/// One address, at which whoever is there answers for every key.
pub(crate) struct Standalone {
    node: Node,
    exclusive: Option<Arc<Exclusive>>,
}

impl Standalone {
    pub(super) fn new(config: &RedisConfig, maker: &Maker) -> Result<Self, RedisConfigError> {
        let client = config.client()?;
        Ok(Self {
            exclusive: maker.exclusive(&client)?.map(Arc::new),
            node: maker.node(client, Purpose::Sessions),
        })
    }

    pub(super) const fn node(&self) -> &Node {
        &self.node
    }

    pub(super) async fn connect(&self) -> Result<(), StoreError> {
        self.node.connect().await
    }

    pub(super) async fn confirmed(
        &self,
        request: &Request,
        kind: Kind,
    ) -> Result<Value, StoreError> {
        match &self.exclusive {
            // Boxed, since it may connect, and others than those who asked for it need no room for that.
            Some(exclusive) => Box::pin(exclusive.write(request, kind)).await,
            None => self.node.call(request).await,
        }
    }

    pub(super) fn tracked(&self, tracking: Tracking) -> Self {
        Self {
            node: self.node.tracked(tracking),
            exclusive: self.exclusive.clone(),
        }
    }
}
