//! How `redis-server` comes onto this machine.

use crate::{machine::Machine, run::Invocation};

/// The commands after which `redis-server` is on the `PATH`. The last one proves it.
pub(crate) fn provision(machine: &Machine) -> Result<Vec<Invocation>, String> {
    let mut commands = if machine.has("redis-server") {
        Vec::new()
    } else {
        installation(machine)?
    };
    commands.push(Invocation::new("redis-server --version"));
    Ok(commands)
}

fn installation(machine: &Machine) -> Result<Vec<Invocation>, String> {
    let Some((manager, commands)) = MANAGERS.iter().find(|(manager, _)| machine.has(manager))
    else {
        return Err(format!(
            "The tests need redis-server, and there is none on the PATH.\n\
             None of these package managers is there to install it: {}.\n\
             Install Redis 7 or later, then start again.",
            MANAGERS.map(|(manager, _)| manager).join(", ")
        ));
    };
    // Homebrew refuses to run as root and needs no rights.
    let prefix = match (*manager, machine.is_root(), machine.has("sudo")) {
        ("brew", ..) | (_, true, _) => "",
        (_, false, true) => "sudo ",
        (_, false, false) => {
            return Err(format!(
                "The tests need redis-server, and there is none on the PATH.\n\
                 Installing it takes rights that this user lacks, and there is no sudo. As root, run\n\
                 {}",
                commands.join("\n")
            ));
        }
    };
    Ok(commands
        .iter()
        .map(|command| Invocation::new(&format!("{prefix}{command}")))
        .collect())
}

/// By preference: Homebrew also runs on Linux, beside the system's own package manager.
///
/// `env` sets the variable behind `sudo`, which would otherwise drop it. A new virtual machine often
/// still runs its own updates and holds dpkg's lock for a minute.
const MANAGERS: [(&str, &[&str]); 4] = [
    (
        "apt-get",
        &[
            "apt-get update",
            "env DEBIAN_FRONTEND=noninteractive \
             apt-get --option DPkg::Lock::Timeout=120 install --yes redis-server",
        ],
    ),
    ("dnf", &["dnf install --assumeyes redis"]),
    ("apk", &["apk add --no-cache redis"]),
    ("brew", &["brew install redis"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(machine: &Machine) -> Vec<String> {
        let commands = provision(machine).unwrap();
        commands.iter().map(Invocation::to_string).collect()
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
    fn no_way_to_install_is_an_error_that_says_what_to_do() {
        let error = provision(&Machine::default()).unwrap_err();
        assert!(error.contains("apt-get, dnf, apk, brew"), "{error}");
        let error = provision(&Machine::with(&["dnf"])).unwrap_err();
        assert!(error.ends_with("dnf install --assumeyes redis"), "{error}");
    }
}
