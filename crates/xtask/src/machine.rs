//! What this machine has.

use std::{collections::BTreeSet, env, ffi::OsString, fs, path::PathBuf, process::Command};

/// What the plans depend on.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    programs: BTreeSet<&'static str>,
    root: bool,
    nightly: bool,
}

impl Machine {
    pub(crate) fn detect() -> Self {
        let path = search_path();
        let on_path = |program: &&str| {
            env::split_paths(&path).any(|folder| {
                let file = folder.join(program);
                file.is_file() || file.with_extension("exe").is_file()
            })
        };
        Self {
            programs: PROGRAMS.into_iter().filter(on_path).collect(),
            root: output("id", &["-u"]).trim() == "0",
            nightly: output("rustup", &["toolchain", "list"]).contains("nightly"),
        }
    }

    /// Whether a program is on the [`search_path`].
    pub(crate) fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }

    /// Whether the user may install system packages as they are.
    pub(crate) const fn is_root(&self) -> bool {
        self.root
    }

    pub(crate) const fn has_nightly(&self) -> bool {
        self.nightly
    }
}

/// The `PATH`, with the folder of servers such as nginx, which Debian leaves out of an ordinary user's.
pub(crate) fn search_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    // Folders that came out of a path go into one.
    env::join_paths(folders).unwrap_or(path)
}

/// The names of the fuzz targets, from the names of their files.
pub(crate) fn fuzz_targets() -> Result<Vec<String>, String> {
    let folder =
        fs::read_dir("fuzz/fuzz_targets").map_err(|error| format!("fuzz/fuzz_targets: {error}"))?;
    let mut targets = folder
        .filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned()))
        .collect::<Vec<_>>();
    targets.sort();
    Ok(targets)
}

/// What a program prints, or nothing if there is no such program.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| String::new(),
        |output| String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

/// All that a plan may ask for.
const PROGRAMS: [&str; 14] = [
    "apk",
    "apt-get",
    "brew",
    "cargo-fuzz",
    "cargo-nextest",
    "chromedriver",
    "dnf",
    "nginx",
    "python3",
    "redis-server",
    "sudo",
    "valgrind",
    "valkey-server",
    "wrk",
];

#[cfg(test)]
impl Machine {
    pub(crate) fn with(programs: &[&'static str]) -> Self {
        assert!(programs.iter().all(|program| PROGRAMS.contains(program)));
        Self {
            programs: programs.iter().copied().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn and_root(self) -> Self {
        Self { root: true, ..self }
    }

    pub(crate) fn and_nightly(self) -> Self {
        Self {
            nightly: true,
            ..self
        }
    }
}
