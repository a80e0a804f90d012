//! Runs steps one after the other and reports on each.

use std::{
    fmt,
    io::{self, BufRead, BufReader, IsTerminal},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::{machine, totals::Totals};

/// A named part of a task.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    title: String,
    pub(crate) invocations: Vec<Invocation>,
}

impl Step {
    pub(crate) fn new(title: &str, invocations: Vec<Invocation>) -> Self {
        Self {
            title: title.to_owned(),
            invocations,
        }
    }

    pub(crate) fn command(title: &str, command: &str) -> Self {
        Self::new(title, vec![Invocation::new(command)])
    }
}

/// A program with arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    words: Vec<String>,
    variable: Option<(&'static str, &'static str)>,
    output: Output,
}

impl Invocation {
    /// Splits the command at white space.
    pub(crate) fn new(command: &str) -> Self {
        Self {
            words: command.split_whitespace().map(str::to_owned).collect(),
            variable: None,
            output: Output::Shown,
        }
    }

    pub(crate) fn with(mut self, arguments: &[String]) -> Self {
        self.words.extend_from_slice(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.variable = Some((name, value));
        self
    }

    /// Reads test totals from what the program prints.
    pub(crate) fn counted(mut self) -> Self {
        self.output = Output::Counted;
        self
    }

    fn run(&self, totals: &mut Totals) -> io::Result<ExitStatus> {
        let (program, arguments) = self.words.split_first().ok_or(io::ErrorKind::NotFound)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("PATH", machine::search_path())
            .envs(self.variable)
            .stdin(Stdio::null());
        match self.output {
            Output::Shown => command.status(),
            Output::Counted => count(command, totals),
        }
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, value)) = self.variable {
            write!(f, "{name}='{value}' ")?;
        }
        f.write_str(&self.words.join(" "))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Output {
    Shown,
    Counted,
}

/// Runs all steps, or those up to the first that fails. The last lines are the totals and the outcome.
pub(crate) fn all(steps: &[Step]) -> Result<(), String> {
    let start = now();
    let mut totals = Totals::default();
    let outcome = steps.iter().enumerate().try_for_each(|(index, step)| {
        let label = format!("[{}/{}] {}", index + 1, steps.len(), step.title);
        println!("{label} …");
        let start = now();
        for invocation in &step.invocations {
            let problem = match invocation.run(&mut totals) {
                Ok(status) if status.success() => continue,
                Ok(status) => status.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(format!("{label}: FAILED ({problem})\n    {invocation}"));
        }
        println!("{label}: ok, {:.1} s\n", start.elapsed().as_secs_f32());
        Ok(())
    });
    if totals != Totals::default() {
        println!("{totals}");
    }
    outcome.inspect(|()| {
        println!(
            "all {} steps passed in {:.1} s",
            steps.len(),
            start.elapsed().as_secs_f32()
        );
    })
}

/// Runs a program, passes on what it prints and counts the tests in it.
fn count(mut command: Command, totals: &mut Totals) -> io::Result<ExitStatus> {
    if io::stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let (reader, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // It holds our ends of the pipe: with them open, the reader would never see the end.
    drop(command);
    let (sender, lines) = mpsc::channel();
    // Ends with the pipe, at the latest with this process.
    thread::spawn(move || {
        let mut lines = BufReader::new(reader).split(b'\n').map_while(Result::ok);
        lines.try_for_each(|line| sender.send(line))
    });
    loop {
        match lines.recv_timeout(QUIET) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                totals.read(&line);
            }
            Err(RecvTimeoutError::Disconnected) => return child.wait(),
            // A server that a failed test left behind may hold the pipe open for ever.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    return Ok(status);
                }
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "durations for the reader; nothing depends on them"
)]
fn now() -> Instant {
    Instant::now()
}

/// How long the pipe must be silent before a program that has ended counts as having said all.
const QUIET: Duration = Duration::from_millis(200);

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_ends_the_task_and_names_its_command() {
        let steps = [
            Step::command("first", "true"),
            Step::command("second", "false"),
            Step::command("third", "no-such-program"),
        ];
        let error = all(&steps).unwrap_err();
        assert!(error.starts_with("[2/3] second: FAILED (exit status: 1)"));
        assert!(error.ends_with("    false"));
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure() {
        assert!(all(&[Step::command("only", "no-such-program")]).is_err());
    }

    #[test]
    fn a_process_left_behind_does_not_hold_up_the_count() {
        let script = "echo 'test result: ok. 3 passed; 0 failed'; sleep 5 & exit 7";
        let invocation = Invocation::new("sh -c").with(&[script.to_owned()]);
        let mut totals = Totals::default();
        let start = now();
        let status = invocation.counted().run(&mut totals).unwrap();
        assert!(start.elapsed() < Duration::from_secs(4));
        assert_eq!(status.code(), Some(7));
        assert!(totals.to_string().contains("3 passed"));
    }
}
