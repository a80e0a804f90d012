//! S13: more cookies than anybody needs.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use tenure_tests::{Browser, Combination, for_every_combination};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The status of an answer to exactly these cookie fields. `None` if the server hangs up on them, which
/// it may do before it has read them all.
async fn status(node: SocketAddr, path: &str, fields: &[String]) -> Option<u16> {
    let mut request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    for field in fields {
        write!(request, "cookie: {field}\r\n").unwrap();
    }
    request.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(node).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut answer = Vec::new();
        let writing = async { writer.write_all(request.as_bytes()).await.ok() };
        let reading = async { reader.read_to_end(&mut answer).await.ok() };
        let _ = tokio::join!(writing, reading);
        let line = String::from_utf8_lossy(&answer);
        line.split(' ').nth(1)?.parse().ok()
    };
    timeout(LIMIT, exchange).await.unwrap()
}

async fn s13_kilobytes_of_cookies_cost_no_store_call_and_harm_nobody(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    browser.get(node, "/incr").await.ok();
    cluster.calls(0).clear();
    let pairs = |count: usize, value: usize| -> Vec<_> {
        let value = "x".repeat(value);
        (0..count).map(|n| format!("{n}={value}")).collect()
    };
    let forged = |n: usize| format!("session={}", "A".repeat(n));
    for fields in [
        // 15,000 pairs of 390 kB.
        vec![pairs(15_000, 19).join("; ")],
        // As many with nothing in them.
        vec![";".repeat(390_000)],
        vec!["=".repeat(390_000)],
        // One value, and one under our name.
        vec![format!("a={}", "x".repeat(390_000))],
        vec![forged(390_000)],
        // Our name, thousands of times.
        vec![vec![forged(9); 15_000].join("; ")],
        // In as many fields as servers take, and in more.
        pairs(90, 4_000),
        pairs(15_000, 10),
    ] {
        for path in ["/read", "/logout"] {
            // An answer without a session, or one of the refusals of RFC 6585 §5 and RFC 9110 §15.5.1.
            let status = status(node, path, &fields).await;
            let is_fine = matches!(status, None | Some(200 | 400 | 431));
            assert!(is_fine, "{path}: {status:?}");
        }
    }
    let calls = cluster.calls(0).calls();
    assert!(calls.is_empty(), "{calls:?}");
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
}

for_every_combination!(s13_kilobytes_of_cookies_cost_no_store_call_and_harm_nobody);

/// For a busy machine; what it takes does not depend on this.
const LIMIT: Duration = Duration::from_secs(20);
