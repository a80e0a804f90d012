//! The shards of a cluster: a primary and a replica each, which change places.

use std::cell::Cell;

use tenure_testing::{RedisCluster, RedisServer};

/// How many shards a round's cluster has.
pub(crate) const SHARDS: usize = 3;

/// A cluster by its shards. All of it blocks its thread.
pub(crate) struct Shards<'a>(pub(crate) &'a RedisCluster);

impl Shards<'_> {
    /// A shard's primary, running or not.
    pub(crate) fn primary(&self, shard: usize) -> &RedisServer {
        &self.0.nodes()[self.pair(shard).0]
    }

    /// Moves the slot of some session that the shard has. Where it has none, nothing happens.
    pub(crate) fn move_some(&self, from: usize, by: usize) {
        let key = self.primary(from).command(&["RANDOMKEY"]);
        if !key.is_empty() {
            let (to, _) = self.pair((from + by) % SHARDS);
            self.0.move_slot(self.0.slot(&key), to);
        }
    }

    /// Has a shard's nodes change places, and returns when they have. The old primary stops writing before, so
    /// nothing is lost.
    pub(crate) fn fail_over(&self, shard: usize) {
        let (_, replica) = self.pair(shard);
        self.0.wait_until_replicated();
        let replica = &self.0.nodes()[replica];
        let looks = Cell::new(0);
        self.0.wait_until("the replica has taken over", || {
            // Its answer is no promise: an election that is not won in time is not repeated.
            if looks
                .replace(looks.get() + 1)
                .is_multiple_of(LOOKS_PER_ATTEMPT)
            {
                replica.call(&["CLUSTER", "FAILOVER"]);
            }
            replica.command(&["ROLE"]).starts_with("master")
        });
        self.0.wait_until_served();
        self.0.wait_until_replicated();
    }

    /// Primary and replica. A node that does not run is not asked, and is the primary: no other one is stopped.
    fn pair(&self, shard: usize) -> (usize, usize) {
        let (first, second) = (shard, shard + SHARDS);
        let node = &self.0.nodes()[first];
        if node.is_running() && node.command(&["ROLE"]).starts_with("master") {
            (first, second)
        } else if node.is_running() {
            (second, first)
        } else {
            (first, second)
        }
    }
}

/// About 6 s, which is longer than a manual failover may take.
const LOOKS_PER_ATTEMPT: u32 = 600;
