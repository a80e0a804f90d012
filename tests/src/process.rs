//! Testbeds as processes of their own.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A testbed process. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    address: SocketAddr,
    child: Child,
}

impl Node {
    /// Starts the testbed at `program` with these options and waits until it serves.
    ///
    /// `program` is `env!("CARGO_BIN_EXE_testbed-node")` in the tests of this package.
    pub async fn start(program: &str, options: &[&str]) -> Self {
        Self::start_by(Command::new(program), options).await
    }

    /// The same with a command that runs the testbed, whose options come last.
    pub async fn start_by(mut command: Command, options: &[&str]) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the testbed");
        let stdout = child.stdout.take().expect("its output");
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_LIMIT, lines.next_line()).await;
        let line = line
            .expect("a start in time")
            .expect("its output")
            .expect("a line");
        let address = line.strip_prefix("listening on ").expect("its address");
        Self {
            address: address.parse().expect("an address"),
            child,
        }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it (`SIGKILL`) and waits until it is gone.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("a process to kill");
    }

    /// Its process id.
    ///
    /// # Panics
    ///
    /// If it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }
}

const START_LIMIT: Duration = Duration::from_secs(30);
