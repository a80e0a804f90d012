//! The audit trail in a stream.

use tenure_core::{
    AuditEntry, KeyRing, MemoryStore, Operator, SessionError, SessionManager, verify_audit,
};
use tenure_redis::RedisStore;
use tenure_testing::RedisServer;

fn sessions(audit: tenure_redis::RedisAudit) -> SessionManager {
    let store = MemoryStore::new();
    SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .login_index(store)
        .audit(audit)
        .build()
        .unwrap()
}

/// The entries of the stream, in order.
fn entries(server: &RedisServer) -> Vec<AuditEntry> {
    let reply = server.command(&["XRANGE", "tenure:audit", "-", "+"]);
    let lines = reply.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn two_processes_write_whole_chains_into_one_stream() {
    let server = RedisServer::start();
    let node = async || {
        let store = RedisStore::connect(server.url()).await.unwrap();
        sessions(store.audit())
    };
    let nodes = [node().await, node().await];
    for user in ["ada", "grace", "eve"] {
        for node in &nodes {
            let operator = Operator::new("op", "ticket 7");
            node.index().by(operator).end_all(user).await.unwrap();
        }
    }
    let entries = entries(&server);
    assert_eq!(entries.len(), 12);
    assert_eq!(verify_audit(&entries), None);
    assert!(verify_audit(&entries[1..]).is_some());
}

#[tokio::test]
async fn without_the_server_nothing_is_done_that_has_to_be_written_down() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let sessions = sessions(store.audit());
    drop(server);
    let refused = sessions.index().end_all("ada").await.unwrap_err();
    assert!(matches!(refused, SessionError::Audit(_)));
    assert_eq!(sessions.index().fence("ada").await.unwrap().as_u64(), 0);
}

#[tokio::test]
async fn old_entries_go() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let sessions = sessions(store.audit().keeps(10));
    for _ in 0..200 {
        let operator = Operator::new("op", "ticket 7");
        sessions.index().by(operator).unblock("ada").await.unwrap();
    }
    // Redis drops whole nodes of the stream, of a hundred entries each.
    let kept = entries(&server).len();
    assert!((10..=210).contains(&kept), "{kept} of 400");
}
