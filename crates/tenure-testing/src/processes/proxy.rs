use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::link::{Control, Fate, Link, Sought, Trap};

/// A TCP proxy on the loopback interface that breaks the connections between a client and a server.
///
/// It stands in front of Redis: it knows where a request of that protocol ends. Its threads and
/// connections end when it is dropped.
pub struct FaultProxy {
    address: SocketAddr,
    control: Arc<Control>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port for clients of `target`.
    ///
    /// # Panics
    ///
    /// If `target` is no address, or no port is free.
    #[must_use]
    pub fn start(target: impl ToSocketAddrs) -> Self {
        let target = target
            .to_socket_addrs()
            .map(|mut addresses| addresses.next());
        let Ok(Some(target)) = target else {
            panic!("the proxy's target is no address: {target:?}");
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (listener, address) = match listener.and_then(|bound| Ok((bound.local_addr()?, bound)))
        {
            Ok((address, listener)) => (listener, address),
            Err(error) => panic!("the proxy has nothing to listen on: {error}"),
        };
        let control = Arc::new(Control::default());
        let acceptor = thread::spawn({
            let control = Arc::clone(&control);
            move || accept(&listener, target, &control)
        });
        Self {
            address,
            control,
            acceptor: Some(acceptor),
        }
    }

    /// Where clients connect to instead of the server.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same, as drivers want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Treats all traffic like this from now on, on connections that are open as on new ones.
    ///
    /// What is being passed on at this moment may still arrive.
    pub fn set(&self, traffic: Traffic) {
        self.control.set(traffic);
    }

    /// Closes all connections, now, in both directions.
    pub fn cut(&self) {
        self.control.cut();
    }

    /// Passes that many more requests on, counted over all connections, and loses the reply to the last
    /// of them: the server carries it out, the proxy throws its answer away and then closes the
    /// connection.
    ///
    /// Replies to earlier requests that are still on their way on that connection are lost as well.
    /// Only one loss is prepared at a time: this and its siblings replace each other.
    ///
    /// # Panics
    ///
    /// If `requests` is 0.
    pub fn lose_reply(&self, requests: usize) {
        assert!(requests > 0, "the reply to no request cannot be lost");
        self.prepare(Sought::Nth(requests), Fate::LoseReply(None));
    }

    /// As [`lose_reply`](Self::lose_reply), with the next request that contains these bytes: a
    /// command's name, say, or a key. On a connection that carries heartbeats, counting does not do.
    pub fn lose_reply_to(&self, needle: impl AsRef<[u8]>) {
        let request = Sought::Containing(needle.as_ref().to_vec());
        self.prepare(request, Fate::LoseReply(None));
    }

    /// As [`lose_reply_to`](Self::lose_reply_to), and as [`set`](Self::set) at the very moment at which
    /// it strikes: before the client can send the request again.
    pub fn lose_reply_and_set(&self, needle: impl AsRef<[u8]>, traffic: Traffic) {
        let request = Sought::Containing(needle.as_ref().to_vec());
        self.prepare(request, Fate::LoseReply(Some(traffic)));
    }

    /// Holds the next request that contains these bytes back and closes its client's connection at
    /// once. After `delay` the server gets the request all the same, whatever its client has sent on
    /// other connections by then: so it is with a request that was on its way through the network when
    /// its sender gave it up.
    ///
    /// What the client sent behind that request is lost, and [`cut`](Self::cut) does not reach it any
    /// more. It counts as a loss once the server has carried it out.
    pub fn delay_request_to(&self, needle: impl AsRef<[u8]>, delay: Duration) {
        let request = Sought::Containing(needle.as_ref().to_vec());
        self.prepare(request, Fate::Delay(delay));
    }

    /// Passes that many more bytes of requests on and then closes the connection, most likely in the
    /// middle of a request, which the server then never sees whole.
    pub fn cut_after_bytes(&self, bytes: usize) {
        self.prepare(Sought::AtByte(bytes), Fate::LoseReply(None));
    }

    /// Takes back what is prepared and has not struck.
    pub fn disarm(&self) {
        self.control.arm(None);
    }

    /// How many prepared losses have struck, the last one once its connection is closed.
    #[must_use]
    pub fn losses(&self) -> usize {
        self.control.losses()
    }

    fn prepare(&self, request: Sought, fate: Fate) {
        self.control.arm(Some(Trap { request, fate }));
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.control.open_links()
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultProxy")
            .field("address", &self.address)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.control.shut_down();
        // Wakes the acceptor, which then sees that it is to end.
        let woken = TcpStream::connect(self.address).is_ok();
        if let Some(acceptor) = self.acceptor.take().filter(|_| woken) {
            // A panic of that thread has been printed; dropping must not add another.
            let _ = acceptor.join();
        }
    }
}

/// What a [`FaultProxy`] does with the bytes that reach it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Traffic {
    /// Passes them on.
    #[default]
    Pass,
    /// Holds them back in both directions, without closing anything, as a partition does. Back in
    /// [`Traffic::Pass`] they arrive late, as retransmitted ones would.
    BlackHole,
    /// Holds back what the server sends; requests arrive and are carried out.
    BlackHoleReplies,
    /// Holds back what clients send; what the server has answered arrives.
    BlackHoleRequests,
    /// Closes new connections as soon as they are made. Open ones go on: see [`FaultProxy::cut`].
    Refuse,
}

fn accept(listener: &TcpListener, target: SocketAddr, control: &Arc<Control>) {
    let mut links: Vec<Link> = Vec::new();
    loop {
        let accepted = listener.accept();
        if control.is_shut_down() {
            break;
        }
        links.retain(|link| !link.has_ended());
        let Ok((client, _)) = accepted else {
            continue;
        };
        if control.refuses() || links.len() >= MAX_CONNECTIONS {
            continue;
        }
        // A server that is down closes the client's connection: `client` is dropped.
        links.extend(Link::open(client, target, control).ok());
    }
    for link in links {
        link.join();
    }
}

/// Each has two threads. A client that makes more than this in a test has lost its bounds.
const MAX_CONNECTIONS: usize = 256;
