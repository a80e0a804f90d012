//! Two nodes that write one session all the time, each with another number of clients.
//!
//! A committer that had lost twice once paused before it used what it had learnt, and lost again, until it
//! gave up: 503 without any fault.

use std::time::Duration;

use tenure_core::{MemoryStore, SessionManager};
use tenure_tests::{LatentStore, Visitor, random_key};
use tokio::{task::JoinSet, time::Instant};

/// How far the store is.
const ROUND_TRIPS: [u64; 3] = [0, 2, 20];

const CLIENTS: [usize; 2] = [32, 2];
const REQUESTS: usize = 100;

#[tokio::test(start_paused = true)]
async fn no_node_starves_however_far_the_store_is() {
    for milliseconds in ROUND_TRIPS {
        let round_trip = Duration::from_millis(milliseconds);
        let (memory, keys) = (MemoryStore::new(), random_key());
        let node = || {
            let store = LatentStore::new(memory.clone(), round_trip);
            SessionManager::builder(store, keys.parse().unwrap())
                .build()
                .unwrap()
        };
        let nodes = [node(), node()];
        let mut visitor = Visitor::new(nodes[0].clone());
        visitor
            .request(async |session| session.insert("n", 0_u64).unwrap())
            .await;
        let mut clients = JoinSet::new();
        for (node, clients_of_it) in nodes.iter().zip(CLIENTS) {
            for _ in 0..clients_of_it {
                let visitor = visitor.at(node);
                clients.spawn(async move {
                    let mut slowest = Duration::ZERO;
                    let mut refused = 0;
                    for _ in 0..REQUESTS {
                        let begun = Instant::now();
                        let (handle, session) = visitor.load().await;
                        session
                            .update("n", |n: Option<u64>| n.unwrap_or(0) + 1)
                            .unwrap();
                        refused += usize::from(handle.finish(200).await.refusal.is_some());
                        slowest = slowest.max(begun.elapsed());
                    }
                    (refused, slowest)
                });
            }
        }
        let outcomes = clients.join_all().await;
        let refused: usize = outcomes.iter().map(|(refused, _)| refused).sum();
        let slowest = outcomes.iter().map(|(_, slowest)| slowest).max().unwrap();
        let requests = REQUESTS * CLIENTS.iter().sum::<usize>();
        println!(
            "{milliseconds} ms of round trip: {refused} of {requests} refused, the slowest took {slowest:?}"
        );
        assert_eq!(refused, 0);
        assert_eq!(
            visitor.load().await.1.get("n").unwrap(),
            Some(u64::try_from(requests).unwrap())
        );
    }
}
