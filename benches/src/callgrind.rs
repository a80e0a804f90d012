//! Counts instructions, which do not depend on what else the machine does. Needs valgrind.
//!
//! The program runs itself under callgrind, each path with few and with many calls; the difference is
//! free of what the set-up takes.
//!
//! Valgrind knows no SHA extensions, so what SHA-256 takes is counted apart: 3,400 instructions a block here,
//! and some hundred on processors that have them.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    ops::{Div, Sub},
    process::{self, Command},
};

use serde::{Deserialize, Serialize};

/// A name, and what does that work so many times.
pub type Path = (&'static str, fn(u64));

/// Instructions per call, by path.
#[derive(Debug, Deserialize, Serialize)]
pub struct Counts {
    /// What compiled the program: another compiler makes other instructions.
    compiler: String,
    counts: BTreeMap<String, Count>,
}

/// Instructions.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Count {
    /// All of them.
    pub all: u64,
    /// Those of SHA-256 in software.
    pub sha256: u64,
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            all: self.all - other.all,
            sha256: self.sha256 - other.sha256,
        }
    }
}

impl Div<u64> for Count {
    type Output = Self;

    fn div(self, calls: u64) -> Self {
        Self {
            all: self.all / calls,
            sha256: self.sha256 / calls,
        }
    }
}

impl Counts {
    /// Does a path's work if the command line says so, for the process that counts. `None` then.
    ///
    /// # Panics
    ///
    /// If valgrind is missing or its output is not understood.
    #[must_use]
    pub fn of(paths: &[Path]) -> Option<Self> {
        if let [_, command, path, calls] = &*env::args().collect::<Vec<_>>()
            && command == RUN
        {
            let (_, work) = find(paths, path);
            work(calls.parse().expect("a number of calls"));
            return None;
        }
        let count = |(path, _): &Path| {
            let per_call = (counted(path, MANY) - counted(path, FEW)) / (MANY - FEW);
            ((*path).to_owned(), per_call)
        };
        Some(Self {
            compiler: compiler(),
            counts: paths.iter().map(count).collect(),
        })
    }

    /// What an earlier run has written.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is something else.
    pub fn read(file: &str) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))
    }

    /// Keeps the counts for later runs.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, file: &str) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(file, text + "\n").map_err(|error| format!("{file}: {error}"))
    }

    /// The instructions of one call of a path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Count> {
        self.counts.get(path).copied()
    }

    /// A table of the change against `baseline`, and the paths that need more than 3 % more
    /// instructions than there, or that it does not know.
    #[must_use]
    pub fn compare(&self, baseline: &Self) -> (String, Vec<&str>) {
        let mut table = HEAD.to_owned();
        if self.compiler != baseline.compiler {
            let (now, then) = (&self.compiler, &baseline.compiler);
            table = format!("The baseline is by {then}; this is by {now}.\n\n{table}");
        }
        let mut worse = Vec::new();
        for (path, Count { all, sha256 }) in &self.counts {
            let Some(before) = baseline.get(path) else {
                table += &format!("| {path} | {all} | {sha256} | - | new |\n");
                worse.push(&**path);
                continue;
            };
            let (before, change) = (before.all, percent(*all, before.all));
            table += &format!("| {path} | {all} | {sha256} | {before} | {change:+.1} % |\n");
            if change > TOLERANCE {
                worse.push(&**path);
            }
        }
        (table, worse)
    }
}

/// What callgrind counts for that many calls.
fn counted(path: &str, calls: u64) -> Count {
    let program = env::current_exe().expect("this program");
    let file = env::temp_dir().join(format!("callgrind.{}", process::id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(program)
        .args([RUN, path, &calls.to_string()])
        .output()
        .expect("valgrind, from the system's packages");
    let text = String::from_utf8(output.stderr).expect("text");
    let count = text
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let Some((_, count)) = count.filter(|_| output.status.success()) else {
        panic!("no count: {text}")
    };
    let profile = fs::read_to_string(&file).expect("callgrind's profile");
    fs::remove_file(&file).expect("a file of this program's own");
    Count {
        all: count.trim().parse().expect("a number"),
        sha256: own_cost(&profile, |function| {
            function.contains("sha256") && function.contains("compress")
        }),
    }
}

/// What functions of such names took themselves. The format is in valgrind's manual, under "Callgrind
/// Format Specification".
fn own_cost(profile: &str, is_sought: impl Fn(&str) -> bool) -> u64 {
    let mut sought = BTreeSet::new();
    // Whether the next line tells of such a function, and whether of what it has called.
    let (mut is_own, mut is_call) = (false, false);
    let mut total = 0;
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=").or(line.strip_prefix("cfn=")) {
            // The name stands only where its number occurs first.
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            if is_sought(name) {
                sought.insert(number);
            }
            if line.starts_with('f') {
                is_own = sought.contains(number);
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if let [position, cost] = line.split(' ').collect::<Vec<_>>()[..]
            && position.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
        {
            if is_own && !is_call {
                total += cost.parse::<u64>().expect("a number");
            }
            is_call = false;
        }
    }
    total
}

fn find(paths: &[Path], name: &str) -> Path {
    let path = paths.iter().find(|(path, _)| *path == name);
    *path.unwrap_or_else(|| panic!("no such path: {name}"))
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    let text = output.expect("the compiler").stdout;
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of instructions per call are far below 2^52"
)]
fn percent(now: u64, before: u64) -> f64 {
    100.0 * (now as f64 / before as f64 - 1.0)
}

const HEAD: &str =
    "| path | instructions | of which SHA-256 | before | change |\n|---|--:|--:|--:|--:|\n";
const RUN: &str = "run";
const FEW: u64 = 1_000;
const MANY: u64 = 11_000;

/// Percent. Equal programs differ by less than one: ids, tags and hash seeds are random.
const TOLERANCE: f64 = 3.0;
