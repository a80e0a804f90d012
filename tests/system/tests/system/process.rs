//! Programs that do not outlive their test.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A program in a process group of its own. The whole group is killed when this is dropped, and also
/// when the test is killed.
#[derive(Debug)]
pub(crate) struct Program {
    /// A shell at the head of the group: it waits for the end of its input, which the kernel closes
    /// however this process ends, and then kills the group, itself included.
    shell: Child,
    output: Arc<Mutex<String>>,
    end_of_output: mpsc::Receiver<()>,
}

impl Program {
    /// Starts a program and waits for the line of output from which `read` takes what it needs. If the
    /// program ends before that, what it has printed is the error.
    pub(crate) async fn start<T: Send + 'static>(
        command: &Command,
        read: impl Fn(&str) -> Option<T> + Send + 'static,
    ) -> Result<(Self, T), String> {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", WATCHDOG, "sh"])
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let mut shell = shell.spawn().unwrap();
        let lines = BufReader::new(shell.stdout.take().unwrap()).lines();
        let output = Arc::new(Mutex::new(String::new()));
        let (sender, line) = oneshot::channel();
        let (at_end, end_of_output) = mpsc::channel();
        // Reads to the end, since a program whose output nobody reads comes to a halt.
        thread::spawn({
            let output = Arc::clone(&output);
            move || {
                let mut sender = Some(sender);
                for line in lines.map_while(Result::ok) {
                    output.lock().extend([&*line, "\n"]);
                    if let Some(found) = sender.as_ref().and_then(|_| read(&line)) {
                        // Whoever no longer waits for it has given up.
                        let _ = sender.take().map(|sender| sender.send(found));
                    }
                }
                let _ = at_end.send(());
            }
        });
        let program = Self {
            shell,
            output,
            end_of_output,
        };
        let found = tokio::time::timeout(PATIENCE, line).await;
        let found = found.unwrap_or_else(|_| panic!("{command:?} says: {}", program.output()));
        match found {
            Ok(found) => Ok((program, found)),
            Err(_) => Err(program.output()),
        }
    }

    /// What it has printed so far.
    fn output(&self) -> String {
        self.output.lock().clone()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        // Every process of the group has the pipe open: behind its end, none writes to the test's
        // temporary directory any more, which is removed next.
        let _ = self.end_of_output.recv_timeout(PATIENCE);
        if thread::panicking() {
            println!(
                "--- what a program of this test printed:\n{}",
                self.output()
            );
        }
    }
}

/// `$@` is the program with its arguments.
const WATCHDOG: &str = r#""$@" 2>&1 & exec >/dev/null 2>&1; read -r _; kill -KILL 0"#;

/// What starts in a second here may take longer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
