//! The load generator: `wrk`, one thread, with a script that gives each request the next cookie.

use std::{fs, net::SocketAddr, process::Stdio};

use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::Outcome;

/// `wrk` and its files.
#[derive(Debug)]
pub(crate) struct Generator {
    directory: TempDir,
    pub(crate) version: String,
}

/// How much it is to request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: u32,
    pub(crate) seconds: u32,
}

/// What one run of the generator came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Reading {
    /// Answers received.
    pub(crate) requests: u64,
    /// Requests sent; a few more than were answered.
    pub(crate) sent: u64,
    pub(crate) duration_us: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Answers that were no successes, and failures of connections.
    pub(crate) errors: u64,
}

impl Generator {
    /// Writes the script, and finds out whether `wrk` is there.
    pub(crate) async fn prepare() -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("peers-").tempdir()?;
        fs::write(directory.path().join(SCRIPT), include_str!("wrk.lua"))?;
        let output = Command::new("wrk").arg("-v").output().await;
        let output =
            output.map_err(|error| format!("`wrk` does not start: {error}; Debian has it"))?;
        let text = String::from_utf8(output.stdout)?;
        let version = text.split_whitespace().nth(1).unwrap_or("?").to_owned();
        Ok(Self { directory, version })
    }

    /// Requests a page over and over, each time with the next of these `Cookie` fields.
    pub(crate) async fn run(
        &self,
        node: SocketAddr,
        path: &str,
        cookies: &[String],
        load: Load,
    ) -> Outcome<Reading> {
        let Load {
            connections,
            seconds,
        } = load;
        let list = self.directory.path().join("cookies");
        fs::write(&list, cookies.join("\n"))?;
        let output = Command::new("wrk")
            .args(["--threads", "1", "--connections", &connections.to_string()])
            .args(["--duration", &format!("{seconds}s"), "--script", SCRIPT])
            .arg(format!("http://{node}{path}"))
            .arg("--")
            .arg(&list)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        Reading::parse(&String::from_utf8_lossy(&output.stdout))
            .ok_or_else(|| String::from_utf8_lossy(&output.stderr).into())
    }
}

impl Reading {
    /// Finds the script's line among what `wrk` prints itself.
    fn parse(output: &str) -> Option<Self> {
        let line = output.lines().find(|line| line.starts_with('{'))?;
        serde_json::from_str(line).ok()
    }

    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / (self.duration_us as f64 / 1e6)
    }
}

const SCRIPT: &str = "wrk.lua";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_line_is_found_among_what_wrk_prints() {
        let output = "Running 2s test @ http://127.0.0.1:1/read\n  1 threads and 16 connections\n  \
            Thread Stats   Avg      Stdev     Max   +/- Stdev\n    Latency   310.40us   95.26us   \
            2.93ms   86.51%\n  102344 requests in 2.10s, 11.71MB read\nRequests/sec:  48733.20\n\
            {\"requests\":102344,\"sent\":102360,\"duration_us\":2100087,\"p50_us\":296,\
            \"p99_us\":640,\"errors\":3}\n";
        let reading = Reading::parse(output).unwrap();
        let expected = Reading {
            requests: 102_344,
            sent: 102_360,
            duration_us: 2_100_087,
            p50_us: 296,
            p99_us: 640,
            errors: 3,
        };
        assert_eq!(reading, expected);
        assert_eq!(reading.requests_per_second().round(), 48_733.0);
    }

    #[test]
    fn output_without_that_line_is_no_reading() {
        assert_eq!(Reading::parse("unable to connect to 127.0.0.1:1\n"), None);
        assert_eq!(Reading::parse("{\"requests\":1}\n"), None);
    }
}
