use std::{
    collections::BTreeMap,
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use super::{
    program::Program,
    resp::{self, Reply},
};

/// A real Redis or Valkey server of this test's own, on a free port of the loopback interface.
///
/// It keeps nothing on disk but its log, in a temporary directory, and it is killed when this value is
/// dropped. A `static` is never dropped: give each test its server, which takes some 20 ms to start.
#[derive(Debug)]
pub struct RedisServer {
    launch: Launch,
    process: Mutex<Process>,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If `redis-server` is not installed. Tests that need it are never skipped in silence:
    /// `cargo xtask test` installs it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with more arguments, like `["--maxmemory", "4mb"]`.
    ///
    /// They come after those that this type gives, so they win; but leave the default user its
    /// rights, by which this value talks to its server.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start), and if the server refuses the arguments.
    #[must_use]
    pub fn start_with(extra_arguments: &[&str]) -> Self {
        Self::start_program(Program::Redis, extra_arguments)
    }

    /// Starts a server of this program, with more arguments.
    ///
    /// # Panics
    ///
    /// As [`start_with`](Self::start_with).
    #[must_use]
    pub fn start_program(program: Program, extra_arguments: &[&str]) -> Self {
        Self::launch(|port| Launch {
            program,
            port,
            arguments: extra_arguments.iter().copied().map(str::to_owned).collect(),
            configuration: None,
            folder: Folder::New,
        })
    }

    /// Starts what is drawn up for a free port, or for another one if that was taken meanwhile.
    pub(super) fn launch(draw_up: impl Fn(u16) -> Launch) -> Self {
        for _ in 0..PORTS_TO_TRY {
            let launch = draw_up(free_port());
            if let Some(process) = Process::spawn(&launch, None) {
                return Self {
                    launch,
                    process: Mutex::new(process),
                };
            }
        }
        panic!("{PORTS_TO_TRY} free ports were taken before a server could listen on them");
    }

    /// Where drivers connect to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// The port on the loopback interface.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.launch.port
    }

    /// The address on the loopback interface.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port()).into()
    }

    /// The server's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.lock().child.id()
    }

    /// Whether the server is neither [stopped](Self::stop) nor [killed](Self::kill) by this value.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.lock().is_running
    }

    /// Stops the server in its tracks (`SIGSTOP`) and returns once it stands still: connections stay
    /// open, and nothing is answered.
    ///
    /// This is not a partition: what clients send meanwhile waits in the server's socket buffers and
    /// is carried out on [`cont`](Self::cont).
    ///
    /// # Panics
    ///
    /// If the server is dead.
    pub fn stop(&self) {
        let mut process = self.process.lock();
        process.is_running = false;
        process.signal(Signal::STOP);
        let stopped = waitid(
            WaitId::Pid(Pid::from_child(&process.child)),
            WaitIdOptions::STOPPED,
        );
        if let Err(error) = stopped {
            panic!("the server did not stop: {error}");
        }
    }

    /// Lets a stopped server go on (`SIGCONT`).
    pub fn cont(&self) {
        let mut process = self.process.lock();
        process.signal(Signal::CONT);
        process.is_running = true;
    }

    /// Kills the server (`SIGKILL`) and waits until it is dead. Its data is lost.
    pub fn kill(&self) {
        self.process.lock().kill();
    }

    /// Kills the server if need be, and starts an empty one on the same port. A member of a cluster comes back
    /// as the member that it was, and a sentinel with what it knew.
    ///
    /// # Panics
    ///
    /// If another process took the port and kept it.
    pub fn restart(&self) {
        let mut process = self.process.lock();
        process.kill();
        for _ in 0..RESTARTS_TO_TRY {
            let folder = match self.launch.folder {
                Folder::New => None,
                Folder::Kept => Some(Arc::clone(&process.directory)),
            };
            if let Some(restarted) = Process::spawn(&self.launch, folder) {
                *process = restarted;
                return;
            }
            // Some other process has the port for an outgoing connection; those end soon.
            thread::sleep(PAUSE);
        }
        panic!("port {} was taken while the server was down", self.port());
    }

    /// Sends a command, binary-safe, and returns the reply as text (see [`Reply`]'s `Display`).
    ///
    /// # Panics
    ///
    /// If the server refuses the command; [`call`](Self::call) returns what it says instead.
    pub fn command<A: AsRef<[u8]>>(&self, arguments: &[A]) -> String {
        match self.call(arguments) {
            Reply::Error(error) => panic!("the server refused {}: {error}", name(arguments)),
            reply => reply.to_string(),
        }
    }

    /// Sends a command, binary-safe, on a connection of its own, and returns the reply.
    ///
    /// # Panics
    ///
    /// If there is no reply within 30 s.
    pub fn call<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        let bytes: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        match resp::call(self.address(), &bytes) {
            Ok(reply) => reply,
            Err(error) => panic!("the server did not answer {}: {error}", name(arguments)),
        }
    }

    /// How often each command was called since [`reset_command_stats`](Self::reset_command_stats),
    /// those in scripts included. Subcommands are named like `client|tracking`.
    ///
    /// The server also counts what this value asks for: an `info` for each earlier call of this method,
    /// and a `config|resetstat`.
    #[must_use]
    pub fn command_stats(&self) -> BTreeMap<String, u64> {
        let stat = |line: &str| {
            let (command, numbers) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let (calls, _) = numbers.split_once(',')?;
            Some((command.to_owned(), calls.parse().ok()?))
        };
        self.command(&["INFO", "commandstats"])
            .lines()
            .filter_map(stat)
            .collect()
    }

    /// What clients of `tenure-redis` have sent since
    /// [`reset_command_stats`](Self::reset_command_stats), besides the heartbeats of near caches and
    /// what this value asks for.
    #[must_use]
    pub fn sent_commands(&self) -> u64 {
        let is_sent = |name: &str| {
            !Self::INSIDE_SCRIPTS.contains(&name)
                && !name.starts_with("config")
                && !ASIDE.contains(&name)
        };
        let stats = self.command_stats();
        let sent = stats.iter().filter(|(name, _)| is_sent(name));
        sent.map(|(_, calls)| calls).sum()
    }

    /// The commands that only the scripts of `tenure-redis` use. Redis counts those in a script besides
    /// the script itself; the store's clients send others, so that what was *sent* can be told apart.
    pub const INSIDE_SCRIPTS: [&str; 20] = [
        "set",
        "getrange",
        "setrange",
        "pexpire",
        "exists",
        "strlen",
        "del",
        // Those of the login index.
        "hget",
        "hset",
        "hsetnx",
        "hdel",
        "zadd",
        "zrem",
        "zscore",
        "zcard",
        "zcount",
        "zrange",
        "zremrangebyscore",
        "pttl",
        "persist",
    ];

    /// Begins the counts of [`command_stats`](Self::command_stats) anew.
    pub fn reset_command_stats(&self) {
        self.command(&["CONFIG", "RESETSTAT"]);
    }
}

/// What to start.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: Program,
    pub(super) port: u16,
    pub(super) arguments: Vec<String>,
    /// A configuration file, which some roles of the server write to.
    pub(super) configuration: Option<String>,
    pub(super) folder: Folder,
}

/// What becomes of a server's folder when it is started again.
#[derive(Clone, Copy, Debug)]
pub(super) enum Folder {
    /// It gets a new one.
    New,
    /// It finds its own, in which it has written down who it is.
    Kept,
}

/// A running server and its directory; the directory outlives the process.
#[derive(Debug)]
struct Process {
    child: Child,
    directory: Arc<TempDir>,
    is_running: bool,
}

impl Process {
    /// `None` if another process has the port.
    fn spawn(launch: &Launch, directory: Option<Arc<TempDir>>) -> Option<Self> {
        let (program, port) = (launch.program, launch.port);
        let is_first = directory.is_none();
        let directory = directory.unwrap_or_else(new_folder);
        let mut command = Command::new(program.path());
        if let Some(configuration) = &launch.configuration {
            let file = directory.path().join(CONFIGURATION);
            if is_first && let Err(error) = fs::write(file, configuration) {
                panic!("the configuration of {program} cannot be written: {error}");
            }
            command.arg(CONFIGURATION);
        }
        // The log of the last time would tell of its end.
        let _ = fs::remove_file(directory.path().join(LOG));
        let child = command
            .args(["--port", &port.to_string()])
            .args(["--bind", "127.0.0.1", "--daemonize", "no"])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--logfile", LOG, "--dir", "."])
            .args(&launch.arguments)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                panic!(
                    "`{program}` is not installed: run the tests with `cargo xtask test`, which installs it"
                )
            }
            Err(error) => panic!("`{program}` does not start: {error}"),
        };
        let mut process = Self {
            child,
            directory,
            is_running: true,
        };
        process.wait_until_ready(port).then_some(process)
    }

    /// `false` if another process has the port.
    fn wait_until_ready(&mut self, port: u16) -> bool {
        for _ in 0..PAUSES_UNTIL_READY {
            match self.child.try_wait() {
                Ok(None) => {}
                Ok(Some(_)) if self.log().contains("Address already in use") => return false,
                ended => panic!("the server ended at once ({ended:?}): {}", self.log()),
            }
            if self.answers(port) {
                return true;
            }
            thread::sleep(PAUSE);
        }
        panic!("the server does not answer: {}", self.log());
    }

    /// Whether it is this process that answers, and not the one that was faster to take the port.
    fn answers(&self, port: u16) -> bool {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let pong = resp::call(address, &[b"PING"]);
        if !matches!(pong, Ok(Reply::Status(pong)) if pong == "PONG") {
            return false;
        }
        let own_line = format!("process_id:{}", self.child.id());
        resp::call(address, &[b"INFO", b"server"])
            .is_ok_and(|info| info.to_string().lines().any(|line| line == own_line))
    }

    fn signal(&self, signal: Signal) {
        if let Err(error) = kill_process(Pid::from_child(&self.child), signal) {
            panic!("the server cannot be sent {signal:?}: {error}");
        }
    }

    fn kill(&mut self) {
        self.is_running = false;
        // An error says that it is dead already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn new_folder() -> Arc<TempDir> {
    match tempfile::Builder::new().prefix("tenure-redis-").tempdir() {
        Ok(directory) => Arc::new(directory),
        Err(error) => panic!("no temporary directory for a server: {error}"),
    }
}

/// A port that nobody uses at present.
pub(super) fn free_port() -> u16 {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|bound| bound.local_addr());
    match bound {
        Ok(address) => address.port(),
        Err(error) => panic!("no free port: {error}"),
    }
}

fn name<A: AsRef<[u8]>>(arguments: &[A]) -> String {
    let name = arguments.first().map(AsRef::as_ref).unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

/// Heartbeats, and this value's own question.
const ASIDE: [&str; 2] = ["info", "ping"];

const CONFIGURATION: &str = "server.conf";
const LOG: &str = "redis.log";

/// Between two looks at a server that starts; it takes about 20 ms.
const PAUSE: Duration = Duration::from_millis(5);

/// 10 s, for a machine that is busy with other tests.
const PAUSES_UNTIL_READY: u32 = 2000;

const PORTS_TO_TRY: u32 = 10;
const RESTARTS_TO_TRY: u32 = 400;
