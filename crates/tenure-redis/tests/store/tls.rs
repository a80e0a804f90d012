//! Encrypted connections, and those that must not come about.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Command, Stdio},
};

use tenure_core::StoreErrorKind;
use tenure_redis::{ConnectError, RedisConfig, RedisStore};
use tenure_testing::RedisServer;

use crate::support::{holds, live};

#[tokio::test]
async fn a_server_with_a_trusted_certificate_is_used_and_any_other_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let own = certificate(directory.path(), "own");
    let other = certificate(directory.path(), "other");
    let (port, server) = start(directory.path(), "own");

    let config = RedisConfig::tcp("localhost", port)
        .tls_with_roots(own)
        .unwrap();
    let store = RedisStore::connect(config.clone()).await.unwrap();
    let record = live(&store).await;
    holds(&store, &record).await;
    let confirming = RedisStore::builder(config).min_replicas(1).connect().await;
    assert!(confirming.is_ok());

    // Another root, the operating system's roots, and a name that is not in the certificate.
    let untrusted = [
        RedisConfig::tcp("localhost", port)
            .tls_with_roots(other)
            .unwrap(),
        RedisConfig::from_url(&format!("rediss://localhost:{port}")).unwrap(),
        RedisConfig::from_url(&format!("rediss://127.0.0.1:{port}")).unwrap(),
    ];
    for config in untrusted {
        match RedisStore::connect(config).await.unwrap_err() {
            ConnectError::Connection { source, .. } => {
                assert_eq!(source.kind(), StoreErrorKind::Unavailable, "{source:?}");
            }
            error => panic!("{error:?}"),
        }
    }
    // And nothing falls back to plain text.
    let plain = RedisConfig::tcp("localhost", server.port()).tls();
    assert!(RedisStore::connect(plain).await.is_err());
}

fn start(directory: &Path, name: &str) -> (u16, RedisServer) {
    let path = |suffix| {
        directory
            .join(format!("{name}.{suffix}"))
            .display()
            .to_string()
    };
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let server = RedisServer::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("crt"),
        "--tls-key-file",
        &path("key"),
        "--tls-ca-cert-file",
        &path("crt"),
        "--tls-auth-clients",
        "no",
    ]);
    (port, server)
}

/// A self-signed certificate for `localhost`, as PEM. Leaves it and its key in the directory.
fn certificate(directory: &Path, name: &str) -> Vec<u8> {
    let made = Command::new("openssl")
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        ])
        .args([
            "-subj",
            "/CN=tenure",
            "-addext",
            "subjectAltName=DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:false"])
        .args([
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.crt"),
        ])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(made.success(), "openssl makes a certificate");
    std::fs::read(directory.join(format!("{name}.crt"))).unwrap()
}
