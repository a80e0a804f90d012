//! One proxied connection, and what all of them obey.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};

use super::{proxy::Traffic, resp};

/// A connection between a client and the server, with a thread for each direction.
pub(super) struct Link {
    requests: JoinHandle<()>,
    replies: JoinHandle<()>,
}

impl Link {
    pub(super) fn open(
        client: TcpStream,
        target: SocketAddr,
        control: &Arc<Control>,
    ) -> io::Result<Self> {
        let server = TcpStream::connect_timeout(&target, CONNECT_DEADLINE)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ends = Arc::new(Ends { client, server });
        let key = control.enter(&ends);
        let requests = thread::spawn({
            let (ends, control) = (Arc::clone(&ends), Arc::clone(control));
            move || {
                if pass_requests(&ends, &control, key).is_err() {
                    ends.close();
                }
            }
        });
        let replies = thread::spawn({
            let control = Arc::clone(control);
            move || {
                // However the server's side ended, the client gets to know.
                let _ = pass_replies(&ends, &control, key);
                ends.close();
                control.leave(key);
            }
        });
        Ok(Self { requests, replies })
    }

    pub(super) fn has_ended(&self) -> bool {
        self.requests.is_finished() && self.replies.is_finished()
    }

    pub(super) fn join(self) {
        // A panic of these threads has been printed by now.
        let _ = self.requests.join();
        let _ = self.replies.join();
    }
}

/// What all connections of a proxy obey.
#[derive(Default)]
pub(super) struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    traffic: Traffic,
    trap: Option<Trap>,
    losses: usize,
    links: Vec<Entry>,
    next_key: u64,
    shut_down: bool,
}

struct Entry {
    key: u64,
    ends: Arc<Ends>,
    cut: bool,
    /// A trap closed on this connection: the client gets nothing more.
    mute: bool,
    /// What is still to arrive at the server is out of reach: cutting does not stop it.
    late: bool,
}

/// What happens to a request, and to which.
pub(super) struct Trap {
    pub(super) request: Sought,
    pub(super) fate: Fate,
}

/// The request that a trap waits for.
pub(super) enum Sought {
    /// So many requests from now.
    Nth(usize),
    Containing(Vec<u8>),
    /// The one in which that many more bytes end.
    AtByte(usize),
}

/// What becomes of a request that was trapped, and of its connection.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// The server gets it; the client gets nothing more. From then on, traffic is treated like this.
    LoseReply(Option<Traffic>),
    /// The client's side is closed at once; the server gets the request so much later.
    Delay(Duration),
}

impl Control {
    pub(super) fn set(&self, traffic: Traffic) {
        self.state.lock().traffic = traffic;
        self.changed.notify_all();
    }

    pub(super) fn arm(&self, trap: Option<Trap>) {
        self.state.lock().trap = trap;
    }

    pub(super) fn cut(&self) {
        let mut state = self.state.lock();
        for link in state.links.iter_mut().filter(|link| !link.late) {
            link.cut = true;
            link.ends.close();
        }
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn shut_down(&self) {
        let mut state = self.state.lock();
        state.shut_down = true;
        for link in &mut state.links {
            link.late = false;
        }
        drop(state);
        self.cut();
    }

    pub(super) fn is_shut_down(&self) -> bool {
        self.state.lock().shut_down
    }

    pub(super) fn refuses(&self) -> bool {
        self.state.lock().traffic == Traffic::Refuse
    }

    pub(super) fn losses(&self) -> usize {
        self.state.lock().losses
    }

    pub(super) fn open_links(&self) -> usize {
        self.state.lock().links.len()
    }

    fn enter(&self, ends: &Arc<Ends>) -> u64 {
        let mut state = self.state.lock();
        let key = state.next_key;
        state.next_key += 1;
        if state.shut_down {
            ends.close();
        }
        let cut = state.shut_down;
        state.links.push(Entry {
            key,
            ends: Arc::clone(ends),
            cut,
            mute: false,
            late: false,
        });
        key
    }

    fn leave(&self, key: u64) {
        let mut state = self.state.lock();
        if state.entry(key).is_some_and(|link| link.mute) {
            state.losses += 1;
        }
        state.links.retain(|link| link.key != key);
        drop(state);
        // The other direction may be held back, and has nobody to pass anything to any more.
        self.changed.notify_all();
    }

    /// Waits while `held` says so. An error if the connection was closed.
    fn wait(&self, key: u64, held: impl Fn(Traffic) -> bool) -> io::Result<()> {
        let mut state = self.state.lock();
        loop {
            if state.entry(key).is_none_or(|link| link.cut) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if !held(state.traffic) {
                return Ok(());
            }
            self.changed.wait(&mut state);
        }
    }

    /// How much of this request to pass on, and what becomes of it if a trap was set for it.
    fn spring(&self, key: u64, request: &[u8]) -> (usize, Option<Fate>) {
        let mut state = self.state.lock();
        let sprung = match &mut state.trap {
            None => None,
            Some(trap) => trap
                .request
                .passed(request)
                .map(|length| (length, trap.fate)),
        };
        let Some((length, fate)) = sprung else {
            return (request.len(), None);
        };
        state.trap = None;
        if let Fate::LoseReply(Some(traffic)) = fate {
            state.traffic = traffic;
        }
        if let Some(link) = state.entry(key) {
            link.mute = true;
            link.late = matches!(fate, Fate::Delay(_));
        }
        (length, Some(fate))
    }

    /// Waits, unless everything ends before.
    fn sleep(&self, delay: Duration) {
        for _ in 0..delay.as_millis() / STEP.as_millis() {
            if self.is_shut_down() {
                return;
            }
            thread::sleep(STEP);
        }
    }

    fn is_mute(&self, key: u64) -> bool {
        self.state.lock().entry(key).is_none_or(|link| link.mute)
    }
}

impl Sought {
    /// How much of the request is passed on, if it is the one.
    fn passed(&mut self, request: &[u8]) -> Option<usize> {
        match self {
            Self::Nth(left) => {
                *left -= 1;
                (*left == 0).then_some(request.len())
            }
            Self::Containing(needle) => contains(request, needle).then_some(request.len()),
            Self::AtByte(left) => {
                let passed = *left;
                *left = left.saturating_sub(request.len());
                (request.len() > passed).then_some(passed)
            }
        }
    }
}

impl State {
    fn entry(&mut self, key: u64) -> Option<&mut Entry> {
        self.links.iter_mut().find(|link| link.key == key)
    }
}

struct Ends {
    client: TcpStream,
    server: TcpStream,
}

impl Ends {
    fn close(&self) {
        // An error says that it is closed already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Passes requests on one by one, so that a trap can strike between two of them.
fn pass_requests(ends: &Ends, control: &Control, key: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut waiting = Vec::new();
    loop {
        let length = (&ends.client).read(&mut chunk)?;
        if length == 0 {
            break;
        }
        waiting.extend_from_slice(&chunk[..length]);
        while let Some(length) = request_len(&waiting) {
            control.wait(key, holds_requests)?;
            let (passed, fate) = control.spring(key, &waiting[..length]);
            if let Some(Fate::Delay(delay)) = fate {
                // An error says that the client has closed it already.
                let _ = ends.client.shutdown(Shutdown::Both);
                control.sleep(delay);
            }
            (&ends.server).write_all(&waiting[..passed])?;
            if fate.is_some() {
                // The server carries out what it has, then reads the end of the stream and closes:
                // that, in `pass_replies`, is the proof that the request was carried out.
                return ends.server.shutdown(Shutdown::Write);
            }
            waiting.drain(..length);
        }
    }
    control.wait(key, holds_requests)?;
    (&ends.server).write_all(&waiting)?;
    ends.server.shutdown(Shutdown::Write)
}

fn pass_replies(ends: &Ends, control: &Control, key: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = (&ends.server).read(&mut chunk)?;
        let held = |traffic| matches!(traffic, Traffic::BlackHole | Traffic::BlackHoleReplies);
        // The end of the stream is held back as well: a partition hides it.
        control.wait(key, held)?;
        if length == 0 {
            return Ok(());
        }
        if !control.is_mute(key) {
            (&ends.client).write_all(&chunk[..length])?;
        }
    }
}

const fn holds_requests(traffic: Traffic) -> bool {
    matches!(traffic, Traffic::BlackHole | Traffic::BlackHoleRequests)
}

/// As [`resp::request_len`], but gives up on what grows too large to be a request.
fn request_len(waiting: &[u8]) -> Option<usize> {
    resp::request_len(waiting)
        .or_else(|| (waiting.len() >= MAX_REQUEST_BYTES).then_some(waiting.len()))
}

fn contains(request: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || request.windows(needle.len()).any(|at| at == needle)
}

const CHUNK_BYTES: usize = 16 << 10;

/// Above every record's limit by far.
const MAX_REQUEST_BYTES: usize = 64 << 20;

/// How often a delayed request looks whether it is still wanted.
const STEP: Duration = Duration::from_millis(5);

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
