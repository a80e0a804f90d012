//! The quickstart, as its users start it.

use std::{
    env,
    path::PathBuf,
    process::{Command, Stdio},
};

use cargo_metadata::Message;

use crate::process::Program;

/// A running quickstart.
#[derive(Debug)]
pub(crate) struct Quickstart {
    url: String,
    _program: Program,
}

impl Quickstart {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(binary());
        command.env("TENURE_LISTEN", "127.0.0.1:0");
        // Leaves no files behind.
        command.env("TENURE_STORE", "memory:");
        command.env("TENURE_KEYS", tenure_tests::random_key());
        let started = Program::start(&command, |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        let (program, url) = started.await.unwrap();
        Self {
            url,
            _program: program,
        }
    }

    /// Its first page.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Cargo knows where the binary lies, and that it is that of the sources as they are now.
fn binary() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Command::new(cargo)
        .args(["build", "--package", "quickstart"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let messages = Message::parse_stream(&*build.stdout).map(Result::unwrap);
    let executable = messages.filter_map(|message| match message {
        Message::CompilerArtifact(artifact) => artifact.executable,
        _ => None,
    });
    executable.last().unwrap().into()
}
