//! A node: the testbed as a process of its own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

/// A testbed process that can be stopped, killed and started again. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Node {
    address: SocketAddr,
    program: Box<Path>,
    arguments: Vec<String>,
    child: Mutex<Child>,
}

impl Node {
    /// Starts `program node` with these options and waits until it serves.
    pub(crate) async fn start(program: &Path, arguments: Vec<String>) -> io::Result<Self> {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut outcome = spawn(program, free, &arguments).await;
        for _ in 1..STARTS {
            if outcome.is_ok() {
                break;
            }
            // Nothing is broken yet; but on a busy machine it may find no connection within its deadline.
            sleep(PAUSE).await;
            outcome = spawn(program, free, &arguments).await;
        }
        let (child, address) = outcome?;
        Ok(Self {
            address,
            program: program.into(),
            arguments,
            child: Mutex::new(child),
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it (`SIGKILL`), leaves it dead for a while and starts it again on its port.
    pub(crate) async fn kill_and_restart(&self, dead_for: Duration) -> io::Result<()> {
        let mut child = self.child.lock().await;
        child.kill().await?;
        sleep(dead_for).await;
        let mut outcome = spawn(&self.program, self.address, &self.arguments).await;
        for _ in 0..RESTARTS {
            if outcome.is_ok() {
                break;
            }
            // The store may be unreachable at this moment, or some outgoing connection may have the
            // port; both pass.
            sleep(PAUSE).await;
            outcome = spawn(&self.program, self.address, &self.arguments).await;
        }
        (*child, _) = outcome?;
        Ok(())
    }

    /// Stops it in its tracks (`SIGSTOP`) for a while.
    pub(crate) async fn freeze(&self, still_for: Duration) -> io::Result<()> {
        let child = self.child.lock().await;
        signal(&child, Signal::STOP)?;
        sleep(still_for).await;
        signal(&child, Signal::CONT)
    }
}

async fn spawn(
    program: &Path,
    listen: SocketAddr,
    arguments: &[String],
) -> io::Result<(Child, SocketAddr)> {
    let mut child = Command::new(program)
        .args(["node", "--listen", &listen.to_string()])
        .args(arguments)
        // Refusals and faults are what a round is made of. What a node prints all the same is a panic;
        // one that is restarted while its store is out of reach says so as well, and is started again.
        .env("RUST_LOG", "off")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(if listen.port() == 0 {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut lines = BufReader::new(stdout).lines();
    let line = timeout(START_LIMIT, lines.next_line()).await??;
    let address = line
        .as_deref()
        .and_then(|line| line.strip_prefix("listening on "))
        .and_then(|address| address.parse().ok());
    let unready = || io::Error::other("the node ended before it served");
    Ok((child, address.ok_or_else(unready)?))
}

fn signal(child: &Child, signal: Signal) -> io::Result<()> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let pid = id.and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    Ok(kill_process(pid, signal)?)
}

/// For a machine that is busy with other things.
const START_LIMIT: Duration = Duration::from_secs(20);

/// One that cannot start at all says so as many times.
const STARTS: u32 = 5;

const PAUSE: Duration = Duration::from_millis(100);

/// 10 s, beyond every fault.
const RESTARTS: u32 = 100;
