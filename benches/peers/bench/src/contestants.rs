//! Who is compared, and with whom.

/// An app of `peers-apps` with its settings.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) store: Store,
    /// The same framework without sessions.
    pub(crate) floor: &'static str,
    /// What tenure has in its place, if it is not tenure itself.
    pub(crate) ours: Option<&'static str>,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Nothing,
    Memory,
    Redis,
}

impl Contestant {
    const fn floor(name: &'static str, program: &'static str) -> Self {
        Self {
            name,
            program,
            arguments: &[],
            store: Store::Nothing,
            floor: name,
            ours: None,
        }
    }

    const fn ours(
        name: &'static str,
        floor: &'static str,
        store: Store,
        arguments: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            program: "tenure",
            arguments,
            store,
            floor,
            ours: None,
        }
    }

    pub(crate) fn is_floor(&self) -> bool {
        self.store == Store::Nothing
    }

    pub(crate) fn is_ours(&self) -> bool {
        self.program == "tenure"
    }

    /// How many processes can share its sessions, for the probes of correctness.
    pub(crate) fn nodes(&self) -> usize {
        match self.store {
            Store::Nothing | Store::Memory => 1,
            Store::Redis => 2,
        }
    }
}

/// Those with `part` in their name, and whom they are compared with.
pub(crate) fn select(part: Option<&str>) -> Vec<&'static Contestant> {
    let meant = |contestant: &Contestant| part.is_none_or(|part| contestant.name.contains(part));
    let wanted = |contestant: &&Contestant| {
        let compared = |other: &Contestant| {
            other.floor == contestant.name || other.ours == Some(contestant.name)
        };
        meant(contestant) || ALL.iter().any(|other| meant(other) && compared(other))
    };
    ALL.iter().filter(wanted).collect()
}

pub(crate) const ALL: &[Contestant] = &[
    Contestant::floor("axum", "plain-axum"),
    Contestant::ours(
        "tenure-axum, memory",
        "axum",
        Store::Memory,
        &["--adapter", "axum", "--store", "memory"],
    ),
    Contestant {
        name: "tower-sessions, memory",
        program: "tower-sessions",
        arguments: &["--store", "memory"],
        store: Store::Memory,
        floor: "axum",
        ours: Some("tenure-axum, memory"),
    },
    Contestant::ours(
        "tenure-axum, Redis",
        "axum",
        Store::Redis,
        &["--adapter", "axum", "--store", "redis"],
    ),
    Contestant {
        name: "tower-sessions, Redis",
        program: "tower-sessions",
        arguments: &["--store", "redis"],
        store: Store::Redis,
        floor: "axum",
        ours: Some("tenure-axum, Redis"),
    },
    Contestant {
        name: "axum_session, Redis",
        program: "axum-session",
        arguments: &["--store", "redis"],
        store: Store::Redis,
        floor: "axum",
        ours: Some("tenure-axum, Redis"),
    },
    Contestant::ours(
        "tenure-axum, Redis + near cache",
        "axum",
        Store::Redis,
        &["--adapter", "axum", "--store", "redis", "--near-cache"],
    ),
    Contestant {
        name: "tower-sessions, Redis + moka",
        program: "tower-sessions",
        arguments: &["--store", "cached-redis"],
        store: Store::Redis,
        floor: "axum",
        ours: Some("tenure-axum, Redis + near cache"),
    },
    Contestant {
        name: "axum_session, Redis + memory",
        program: "axum-session",
        arguments: &["--store", "cached-redis"],
        store: Store::Redis,
        floor: "axum",
        ours: Some("tenure-axum, Redis + near cache"),
    },
    Contestant::floor("actix", "plain-actix"),
    Contestant::ours(
        "tenure-actix, memory",
        "actix",
        Store::Memory,
        &["--adapter", "actix", "--store", "memory"],
    ),
    Contestant::ours(
        "tenure-actix, Redis",
        "actix",
        Store::Redis,
        &["--adapter", "actix", "--store", "redis"],
    ),
    Contestant {
        name: "actix-session, Redis",
        program: "actix-session",
        arguments: &[],
        store: Store::Redis,
        floor: "actix",
        ours: Some("tenure-actix, Redis"),
    },
    Contestant::ours(
        "tenure-actix, Redis + near cache",
        "actix",
        Store::Redis,
        &["--adapter", "actix", "--store", "redis", "--near-cache"],
    ),
];

/// The packages whose versions a result depends on.
pub(crate) const PACKAGES: &[&str] = &[
    "tenure-core",
    "tower-sessions",
    "tower-sessions-redis-store",
    "tower-sessions-moka-store",
    "axum_session",
    "axum_session_redispool",
    "actix-session",
    "axum",
    "actix-web",
    "tokio",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_compared_with_is_there() {
        let named = |name| ALL.iter().find(|contestant| contestant.name == name);
        for contestant in ALL {
            assert!(named(contestant.floor).is_some_and(Contestant::is_floor));
            if let Some(ours) = contestant.ours {
                let ours = named(ours).unwrap();
                assert!(ours.is_ours());
                assert_eq!(ours.floor, contestant.floor);
                assert_eq!(ours.store, contestant.store);
            }
        }
    }

    #[test]
    fn a_selection_brings_its_floor_and_its_counterpart() {
        let names: Vec<_> = select(Some("actix-session"))
            .iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(
            names,
            ["actix", "tenure-actix, Redis", "actix-session, Redis"]
        );
        assert_eq!(select(None).len(), ALL.len());
        assert!(select(Some("nobody")).is_empty());
    }
}
