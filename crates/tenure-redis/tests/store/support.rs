//! What the tests do over and over.

use tenure_core::{Clock, Create, Freshness, Load, Record, SessionStore, SystemClock};
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, records};

/// A session that was just created.
pub(crate) async fn live(store: &RedisStore) -> Record {
    let record = records::fresh(SystemClock.now());
    let outcome = store.create(record.clone()).await;
    assert_eq!(outcome.unwrap(), Create::Created);
    record
}

/// Asserts that exactly this is stored.
pub(crate) async fn holds(store: &RedisStore, record: &Record) {
    let loaded = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(loaded.unwrap(), Load::Found(record.clone()));
}

/// Asserts that nothing is stored under the record's id.
pub(crate) async fn lacks(store: &RedisStore, record: &Record) {
    let loaded = store.load(record.id(), Freshness::Latest).await;
    assert_eq!(loaded.unwrap(), Load::Absent);
}

/// The key of a session in a store with the default prefix.
pub(crate) fn key(record: &Record) -> String {
    format!("tenure:{}", record.id().as_uuid())
}

/// Sends a command that has no spaces within its words.
pub(crate) fn send(server: &RedisServer, command: &str) -> String {
    server.command(&command.split(' ').collect::<Vec<_>>())
}

/// Kills every connection but the one that says so. Returns how many there were; connections of
/// earlier commands may still be among them.
pub(crate) fn kill_connections(server: &RedisServer) -> u32 {
    let killed = send(server, "CLIENT KILL TYPE normal SKIPME yes");
    killed.parse().unwrap()
}
