//! The Redis server and the proxy do to a connection what they say.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "the steps that tests share fail like the tests themselves"
)]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use tenure_testing::{
    FaultProxy, Program, RedisCluster, RedisSentinels, RedisServer, Reply, Traffic,
};

#[test]
fn a_server_answers_and_is_dead_after_its_drop() {
    let server = RedisServer::start();
    let address = server.address();
    assert_eq!(server.command(&["PING"]), "PONG");
    assert_eq!(server.command(&["DBSIZE"]), "0");
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}", server.port()));
    drop(server);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn commands_carry_any_bytes() {
    let server = RedisServer::start();
    let bytes: Vec<u8> = (0..=u8::MAX).chain(*b"\r\n$-1\r\n").collect();
    server.command(&[b"SET".as_slice(), b"key", &bytes]);
    assert_eq!(server.call(&["GET", "key"]), Reply::Bulk(bytes));
    assert_eq!(server.call(&["GET", "other"]), Reply::Nil);
    assert_eq!(server.command(&["KEYS", "*"]), "key");
    assert!(matches!(server.call(&["NONSENSE"]), Reply::Error(_)));
}

#[test]
fn a_killed_server_restarts_empty_on_its_port_with_its_arguments() {
    let server = RedisServer::start_with(&["--maxmemory", "64mb"]);
    let (port, pid) = (server.port(), server.pid());
    for _ in 0..2 {
        server.command(&["SET", "key", "value"]);
        server.kill();
        assert!(TcpStream::connect(server.address()).is_err());
        server.restart();
        assert_eq!(server.command(&["DBSIZE"]), "0");
    }
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    let limit = server.command(&["CONFIG", "GET", "maxmemory"]);
    assert_eq!(limit, format!("maxmemory\n{}", 64 << 20));
}

#[test]
fn a_stopped_server_answers_when_it_goes_on() {
    let server = RedisServer::start();
    let mut client = Client::connect(server.address());
    server.stop();
    client.send("INCR n\r\n");
    assert!(client.is_silent());
    server.cont();
    assert_eq!(client.receive().unwrap(), ":1\r\n");
    // Also when it is killed, or dropped, while it stands still.
    server.stop();
    server.restart();
    server.stop();
}

#[test]
fn a_valkey_server_says_that_it_is_one() {
    let server = RedisServer::start_program(Program::Valkey, &[]);
    let info = server.command(&["INFO", "server"]);
    assert!(info.contains("server_name:valkey"), "{info}");
    assert!(info.contains("valkey_version:9."), "{info}");
}

#[test]
fn a_cluster_serves_all_slots_moves_them_and_takes_its_members_back() {
    for program in [Program::Redis, Program::Valkey] {
        let cluster = RedisCluster::builder().program(program).start();
        let slot = cluster.slot("key");
        let (from, other) = (cluster.owner(slot), cluster.owner(0));
        let to = (other + usize::from(from == other)) % 3;
        let moved = |node: usize| {
            let asked = cluster.nodes()[node].call(&["GET", "key"]);
            matches!(asked, Reply::Error(error) if error.starts_with("MOVED"))
        };
        cluster.nodes()[from].command(&["SET", "key", "value"]);
        assert!(moved(to), "{program}");
        cluster.move_slot(slot, to);
        assert_eq!(cluster.owner(slot), to);
        assert_eq!(cluster.nodes()[to].command(&["GET", "key"]), "value");
        assert!(moved(from), "{program}");
        cluster.nodes()[5].kill();
        cluster.nodes()[5].restart();
        cluster.wait_until_replicated();
        assert_eq!(
            cluster.nodes()[5].command(&["CLUSTER", "MYID"]),
            cluster.id(5)
        );
    }
}

#[test]
fn sentinels_name_another_primary_when_they_are_told_to_replace_it() {
    for program in [Program::Redis, Program::Valkey] {
        let watched = RedisSentinels::builder().program(program).start();
        assert_eq!(watched.primary(), 0);
        let primary = watched.fail_over();
        assert_ne!(primary, 0);
        let role = watched.nodes()[primary].command(&["ROLE"]);
        assert!(role.starts_with("master"), "{role}");
    }
}

#[test]
fn commands_are_counted_those_in_scripts_too() {
    let server = RedisServer::start();
    server.command(&["GET", "key"]);
    server.reset_command_stats();
    server.command(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "key"]);
    server.command(&["CLIENT", "ID"]);
    let stats = server.command_stats();
    assert_eq!(stats.get("get"), Some(&1));
    assert_eq!(stats.get("eval"), Some(&1));
    assert_eq!(stats.get("client|id"), Some(&1));
    assert_eq!(stats.get("set"), None);
}

#[test]
fn a_proxy_passes_everything_on_until_it_is_told_otherwise() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    let large = "x".repeat(300_000);
    client.send(&format!(
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n{large}\r\n"
    ));
    assert_eq!(client.receive().unwrap(), "+OK\r\n");
    assert_eq!(server.command(&["STRLEN", "k"]), "300000");
    assert_eq!(proxy.connections(), 1);
    drop(client);
    wait_until(|| proxy.connections() == 0);
}

#[test]
fn a_black_hole_holds_requests_back_and_a_healed_one_lets_them_arrive_late() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.set(Traffic::BlackHole);
    client.send("INCR n\r\n");
    let mut newcomer = Client::connect(proxy.address());
    newcomer.send("INCR n\r\n");
    assert!(client.is_silent() && newcomer.is_silent());
    assert_eq!(server.call(&["GET", "n"]), Reply::Nil);
    proxy.set(Traffic::Pass);
    client.receive().unwrap();
    newcomer.receive().unwrap();
    assert_eq!(server.command(&["GET", "n"]), "2");
}

#[test]
fn a_one_way_black_hole_lets_the_server_carry_requests_out() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.set(Traffic::BlackHoleReplies);
    client.send("INCR n\r\n");
    wait_until(|| server.command(&["GET", "n"]) == "1");
    assert!(client.is_silent());
    // Nor does the client hear that the server has closed.
    server.kill();
    assert!(client.is_silent());
    proxy.set(Traffic::Pass);
    assert_eq!(client.receive().unwrap(), ":1\r\n");
    assert_eq!(client.receive().unwrap(), "");
}

#[test]
fn a_lost_reply_is_that_of_the_nth_request_which_was_carried_out() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.lose_reply(2);
    client.send("INCR n\r\n");
    assert_eq!(client.receive().unwrap(), ":1\r\n");
    client.send("INCR n\r\n");
    assert_eq!(client.receive().unwrap(), "");
    assert_eq!(server.command(&["GET", "n"]), "2");
    wait_until(|| proxy.losses() == 1);
    // It strikes once.
    let mut client = Client::connect(proxy.address());
    client.send("INCR n\r\n");
    assert_eq!(client.receive().unwrap(), ":3\r\n");
}

#[test]
fn a_lost_reply_can_be_chosen_by_what_the_request_contains() {
    let (server, proxy) = proxied();
    let mut heartbeat = Client::connect(proxy.address());
    let mut client = Client::connect(proxy.address());
    proxy.lose_reply_to("INCR");
    heartbeat.send("PING\r\n");
    assert_eq!(heartbeat.receive().unwrap(), "+PONG\r\n");
    // The needle lies across two segments.
    client.send("*2\r\n$4\r\nIN");
    heartbeat.send("PING\r\n");
    assert_eq!(heartbeat.receive().unwrap(), "+PONG\r\n");
    client.send("CR\r\n$1\r\nn\r\nPING\r\n");
    assert_eq!(client.receive().unwrap(), "");
    assert_eq!(server.command(&["GET", "n"]), "1");
    heartbeat.send("PING\r\n");
    assert_eq!(heartbeat.receive().unwrap(), "+PONG\r\n");
}

#[test]
fn a_loss_can_change_the_traffic_before_anything_is_sent_again() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.lose_reply_and_set("INCR", Traffic::BlackHoleRequests);
    client.send("INCR n\r\n");
    // The reply is lost, and that it is can be seen: only requests are held back.
    assert_eq!(client.receive().unwrap(), "");
    let mut client = Client::connect(proxy.address());
    client.send("INCR n\r\n");
    assert!(client.is_silent());
    assert_eq!(server.command(&["GET", "n"]), "1");
    proxy.set(Traffic::Pass);
    assert_eq!(client.receive().unwrap(), ":2\r\n");
}

#[test]
fn a_delayed_request_arrives_after_its_sender_has_given_it_up() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.delay_request_to("APPEND", Duration::from_millis(300));
    client.send("APPEND k late\r\n");
    assert!(client.is_closed());
    assert_eq!(server.call(&["GET", "k"]), Reply::Nil);
    // Neither what is sent again nor the end of all connections has an influence on it.
    let mut client = Client::connect(proxy.address());
    client.send("APPEND k soon,\r\n");
    assert_eq!(client.receive().unwrap(), ":5\r\n");
    proxy.cut();
    wait_until(|| proxy.losses() == 1);
    assert_eq!(server.command(&["GET", "k"]), "soon,late");
}

#[test]
fn a_trap_that_is_taken_back_does_not_strike() {
    let (_server, proxy) = proxied();
    proxy.lose_reply_to("PING");
    proxy.disarm();
    let mut client = Client::connect(proxy.address());
    client.send("PING\r\n");
    assert_eq!(client.receive().unwrap(), "+PONG\r\n");
}

#[test]
fn a_proxy_that_is_dropped_does_not_wait_for_what_it_delays() {
    let (_server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.delay_request_to("PING", Duration::from_secs(3600));
    client.send("PING\r\n");
    assert!(client.is_closed());
    drop(proxy);
}

#[test]
fn a_connection_cut_in_the_middle_of_a_request_carries_nothing_out() {
    let (server, proxy) = proxied();
    let mut client = Client::connect(proxy.address());
    proxy.cut_after_bytes(20);
    client.send("INCR n\r\n");
    assert_eq!(client.receive().unwrap(), ":1\r\n");
    client.send("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
    assert_eq!(client.receive().unwrap(), "");
    assert_eq!(server.command(&["GET", "n"]), "1");
}

#[test]
fn connections_are_refused_and_cut_on_demand() {
    let (_server, proxy) = proxied();
    let mut old = Client::connect(proxy.address());
    // Only an answer shows that the proxy, and not just the kernel, has accepted the connection.
    old.send("PING\r\n");
    assert_eq!(old.receive().unwrap(), "+PONG\r\n");
    proxy.set(Traffic::Refuse);
    old.send("PING\r\n");
    assert_eq!(old.receive().unwrap(), "+PONG\r\n");
    let mut refused = Client::connect(proxy.address());
    assert!(refused.is_closed());
    proxy.cut();
    assert!(old.is_closed());
    proxy.set(Traffic::Pass);
    let mut new = Client::connect(proxy.address());
    new.send("PING\r\n");
    assert_eq!(new.receive().unwrap(), "+PONG\r\n");
}

#[test]
fn a_dropped_proxy_closes_everything_even_what_it_holds_back() {
    let (_server, proxy) = proxied();
    let address = proxy.address();
    let mut client = Client::connect(address);
    proxy.set(Traffic::BlackHole);
    client.send("PING\r\n");
    drop(proxy);
    assert!(client.is_closed());
    assert!(TcpStream::connect(address).is_err());
}

fn proxied() -> (RedisServer, FaultProxy) {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    (server, proxy)
}

struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
    }

    /// What arrives next; nothing if the connection was closed.
    fn receive(&mut self) -> io::Result<String> {
        self.0.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut bytes = [0; 1024];
        let length = self.0.read(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    fn is_closed(&mut self) -> bool {
        match self.receive() {
            Ok(received) => received.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// That nothing comes can only be seen by waiting for it.
    fn is_silent(&mut self) -> bool {
        self.0
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        let silence = self.0.read(&mut [0]);
        silence.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

fn wait_until(condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain");
}
