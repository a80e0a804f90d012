//! What the results depend on besides the contestants.

use std::fs;

use serde::Serialize;
use tokio::process::Command;

use crate::{Outcome, contestants::PACKAGES, processes::Cores, speed::CONNECTIONS};

/// The circumstances of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Setup {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
    pub(crate) redis: String,
    pub(crate) generator: String,
    pub(crate) compiler: String,
    /// Of one minute, before the run: what else went on.
    pub(crate) load: String,
    /// Which core is for what.
    pub(crate) cores: String,
    pub(crate) connections: u32,
    pub(crate) rounds: usize,
    pub(crate) seconds: u32,
    /// Of the packages, as `name version`.
    pub(crate) versions: Vec<String>,
}

impl Setup {
    pub(crate) async fn detect(
        cores: Cores,
        generator: &str,
        rounds: usize,
        seconds: u32,
    ) -> Outcome<Self> {
        let cpus = fs::read_to_string("/proc/cpuinfo")?;
        let load = fs::read_to_string("/proc/loadavg")?;
        let kernel = rustix::system::uname();
        let Cores {
            app,
            generator: generators,
            redis,
        } = cores;
        Ok(Self {
            processor: field(&cpus, "model name").unwrap_or("unknown").to_owned(),
            processors: cpus
                .lines()
                .filter(|line| line.starts_with("processor"))
                .count(),
            kernel: kernel.release().to_string_lossy().into_owned(),
            redis: version_of("redis-server").await?,
            generator: format!("wrk {generator}"),
            compiler: version_of("rustc").await?,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            cores: format!("app on {app}, generator on {generators}, Redis on {redis}"),
            connections: CONNECTIONS,
            rounds,
            seconds,
            versions: versions(include_str!("../../Cargo.lock"), PACKAGES),
        })
    }
}

async fn version_of(program: &str) -> Outcome<String> {
    let output = Command::new(program).arg("--version").output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The first value of a name in `/proc/cpuinfo`.
fn field<'a>(cpus: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = cpus.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    Some(value.trim())
}

fn versions(lock: &str, packages: &[&str]) -> Vec<String> {
    let entries = lock.split("[[package]]").skip(1);
    let named = entries.filter_map(|entry| {
        let value = |key| {
            let line = entry.lines().find_map(|line| line.strip_prefix(key))?;
            Some(line.trim_matches(['=', ' ', '"']))
        };
        let name = value("name")?;
        packages
            .contains(&name)
            .then_some(format!("{name} {}", value("version")?))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Setup {
        pub(crate) fn example() -> Self {
            Self {
                processor: "Example CPU".to_owned(),
                processors: 2,
                kernel: "6.1".to_owned(),
                redis: "Redis server v=7".to_owned(),
                generator: "wrk 4".to_owned(),
                compiler: "rustc 1.89".to_owned(),
                load: "0.10".to_owned(),
                cores: "app on 0, generator on 1, Redis on 1".to_owned(),
                connections: 16,
                rounds: 3,
                seconds: 2,
                versions: vec!["axum 0.8.9".to_owned()],
            }
        }
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "version = 4\n\n[[package]]\nname = \"axum\"\nversion = \"0.8.9\"\n\n\
            [[package]]\nname = \"axum-core\"\nversion = \"0.5.6\"\n";
        assert_eq!(versions(lock, &["axum", "tokio"]), ["axum 0.8.9"]);
    }

    #[test]
    fn every_package_that_is_named_in_the_results_is_there() {
        let versions = versions(include_str!("../../Cargo.lock"), PACKAGES);
        assert_eq!(versions.len(), PACKAGES.len(), "{versions:?}");
    }

    #[test]
    fn the_processors_model_is_the_first_one() {
        let cpus = "processor\t: 0\nmodel name\t: One\n\nprocessor\t: 1\nmodel name\t: Two\n";
        assert_eq!(field(cpus, "model name"), Some("One"));
        assert_eq!(field(cpus, "flags"), None);
    }
}
