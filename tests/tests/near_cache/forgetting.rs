//! A server that cannot keep track of all that is cached. Redis forgets whom to tell of a key when more
//! than `tracking-table-max-keys` are tracked, by default a million for all clients together.
//!
//! It tells the client that it forgets, but not with `NOLOOP` and not if it was a command of that client
//! that took the room: 297 of 400 sessions stayed old then, with each heartbeat "proving" them, and a
//! logout was not seen for a minute.

use tenure_testing::RedisServer;
use tenure_tests::Browser;
use tokio::time::sleep;

use crate::nodes::{Nodes, STALENESS};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_forgets_is_not_served_beyond_the_staleness_bound() {
    let redis = RedisServer::start_with(&["--tracking-table-max-keys", "100"]);
    let nodes = Nodes::start(redis, None).await;
    let [here, there] = nodes.both();
    let mut visitors = Vec::new();
    for visitor in 0..SESSIONS {
        let mut browser = Browser::new();
        browser.get(here, "/incr").await.ok();
        // Both ways into the other node's cache: by a read, and by a write of its own.
        if visitor % 4 < 2 {
            assert_eq!(browser.peek(there, "/read").await.number(), 1);
        } else {
            browser.get(there, "/incr").await.ok();
        }
        visitors.push(browser);
    }
    let mut expected = Vec::new();
    for (visitor, browser) in visitors.iter().enumerate() {
        // The visitor keeps an older cookie, which does not tell the other node of the change.
        if visitor % 2 == 0 {
            expected.push(browser.peek(here, "/incr").await.number());
        } else {
            browser.peek(here, "/logout").await.ok();
            expected.push(0);
        }
    }
    sleep(STALENESS).await;
    let mut old = 0;
    for (browser, expected) in visitors.iter().zip(&expected) {
        old += usize::from(browser.peek(there, "/read").await.number() != *expected);
    }
    println!("{old} of {SESSIONS} sessions are older than {STALENESS:?}");
    assert_eq!(old, 0);
}

const SESSIONS: usize = 400;
