//! Adapters × stores.

use crate::{Adapter, ClusterBuilder};

/// Where a combination keeps its sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "stories handle every store")]
pub enum Backend {
    /// `MemoryStore`; nodes of a cluster are servers in one process that share it.
    Memory,
    /// `RedisStore` on a server of the test's own.
    Redis,
    /// The same, with a `NearCache` in each node.
    NearCache,
    /// `RedisStore` on a cluster of the test's own.
    RedisCluster,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Combination {
    /// What stands between the routes and the session manager.
    pub adapter: Adapter,
    /// Where sessions are kept.
    pub backend: Backend,
}

impl Combination {
    /// A cell of the matrix.
    #[must_use]
    pub const fn new(adapter: Adapter, backend: Backend) -> Self {
        Self { adapter, backend }
    }

    /// Begins a cluster of this combination.
    pub fn cluster(self) -> ClusterBuilder {
        ClusterBuilder::new(self)
    }
}

/// Makes tests of stories, for every combination; one line per combination.
#[macro_export]
macro_rules! for_every_combination {
    ($($story:ident),+ $(,)?) => {
        $crate::for_every_combination!(@ tower_on_memory, Tower, Memory, $($story),+);
        $crate::for_every_combination!(@ tower_on_redis, Tower, Redis, $($story),+);
        $crate::for_every_combination!(@ tower_on_near_cache, Tower, NearCache, $($story),+);
        $crate::for_every_combination!(@ axum_on_memory, Axum, Memory, $($story),+);
        $crate::for_every_combination!(@ axum_on_redis, Axum, Redis, $($story),+);
        $crate::for_every_combination!(@ axum_on_near_cache, Axum, NearCache, $($story),+);
        // What differs there is below the store, so one adapter has all stories on it.
        $crate::for_every_combination!(@ axum_on_redis_cluster, Axum, RedisCluster, $($story),+);
        $crate::for_every_combination!(@ actix_on_memory, Actix, Memory, $($story),+);
        $crate::for_every_combination!(@ actix_on_redis, Actix, Redis, $($story),+);
        $crate::for_every_combination!(@ actix_on_near_cache, Actix, NearCache, $($story),+);
    };
    (@ $combination:ident, $adapter:ident, $backend:ident, $($story:ident),+) => {
        mod $combination {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story($crate::Combination::new(
                        $crate::Adapter::$adapter,
                        $crate::Backend::$backend,
                    ))
                    .await;
                }
            )+
        }
    };
}
