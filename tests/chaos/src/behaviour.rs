//! What tabs and thieves do next: drawn from chance alone, whatever was answered before.

use std::time::Duration;

use crate::{
    chance::Chance,
    history::{BOOM, KEYS, Remembered, Route},
};

/// What kind of visitor sits before a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Temper {
    /// One session that many tabs write to at once.
    Busy,
    /// In and out: logins, logouts and rotations.
    Restless,
    /// A little of everything.
    Ordinary,
    /// Seldom does anything, so that what is cached of it grows old.
    Quiet,
}

/// One request, and when it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// For how long the tab does nothing before.
    pub(crate) rest: Duration,
    pub(crate) node: usize,
    pub(crate) route: Route,
    pub(crate) pause: Duration,
    /// After how long the client leaves, if it does.
    pub(crate) leaves: Option<Duration>,
    /// For how long the answer is on its way from the network to the jar.
    pub(crate) transit: Duration,
}

/// One tab's way through a round.
#[derive(Debug)]
pub(crate) struct Behaviour {
    chance: Chance,
    jar: usize,
    tab: usize,
    temper: Temper,
    nodes: usize,
    steps: u64,
    /// Who logged in last from this tab. Each login is another user's.
    user: Option<String>,
}

impl Temper {
    /// The visitors of a round, in turn.
    pub(crate) const fn of(jar: usize) -> Self {
        match jar % 9 {
            0 => Self::Busy,
            1..=4 => Self::Restless,
            5 | 6 => Self::Ordinary,
            _ => Self::Quiet,
        }
    }

    pub(crate) const fn tabs(self) -> usize {
        match self {
            Self::Busy => 5,
            Self::Restless | Self::Ordinary => 2,
            Self::Quiet => 1,
        }
    }
}

impl Behaviour {
    pub(crate) fn new(seed: u64, jar: usize, tab: usize, nodes: usize) -> Self {
        Self {
            chance: Chance::new(seed, &[STREAM, jar as u64, tab as u64]),
            jar,
            tab,
            temper: Temper::of(jar),
            nodes,
            steps: 0,
            user: None,
        }
    }

    pub(crate) fn next(&mut self) -> Step {
        self.steps += 1;
        let route = self.route();
        let chance = &mut self.chance;
        let rest = match self.temper {
            Temper::Busy => chance.millis(0, 16),
            Temper::Restless => chance.millis(0, 40),
            Temper::Ordinary => chance.millis(0, 60),
            Temper::Quiet => chance.millis(100, 1500),
        };
        let pause = if chance.happens(300) {
            chance.millis(1, 60)
        } else {
            Duration::ZERO
        };
        let leaves = chance.happens(40).then(|| chance.millis(0, 40));
        let transit = if chance.happens(60) {
            chance.millis(1, 80)
        } else {
            Duration::ZERO
        };
        Step {
            rest,
            node: chance.index(self.nodes),
            route,
            pause,
            leaves,
            transit,
        }
    }

    fn route(&mut self) -> Route {
        let choice = self.chance.choose(self.temper.choices());
        let name = format!("j{}.t{}.{}", self.jar, self.tab, self.steps);
        match choice.unwrap_or(Choice::Read) {
            Choice::Read => Route::Read,
            Choice::Refresh => Route::Refresh,
            Choice::Version => Route::Version,
            Choice::WhoAmI => Route::WhoAmI,
            Choice::Get => Route::Get(KEYS[self.chance.index(KEYS.len())]),
            Choice::GetBoom => Route::Get(BOOM),
            Choice::Incr => Route::Incr,
            Choice::IncrNow => Route::IncrNow,
            Choice::IncrNaive => Route::IncrNaive,
            Choice::IncrTwice => Route::IncrTwice,
            Choice::Set => Route::Set {
                key: KEYS[self.chance.index(KEYS.len())],
                value: name,
            },
            Choice::Login => {
                self.user = Some(name.clone());
                Route::Login {
                    user: name,
                    remembered: if self.chance.happens(250) {
                        Remembered::Yes
                    } else {
                        Remembered::No
                    },
                }
            }
            Choice::EndAll => match self.user.clone() {
                Some(user) => Route::EndAll { user },
                None => Route::Read,
            },
            Choice::Logout => Route::Logout,
            Choice::Rotate => Route::Rotate,
            Choice::Boom => Route::Boom,
            Choice::Block => Route::Block,
        }
    }
}

/// What a thief looks at, with one of the cookies that there have been.
#[derive(Debug)]
pub(crate) struct Thief {
    chance: Chance,
    nodes: usize,
}

impl Thief {
    pub(crate) fn new(seed: u64, jar: usize, nodes: usize) -> Self {
        Self {
            chance: Chance::new(seed, &[STREAM, jar as u64, u64::MAX]),
            nodes,
        }
    }

    pub(crate) fn next(&mut self) -> Step {
        let chance = &mut self.chance;
        let routes = [
            (Choice::Version, 4),
            (Choice::Read, 4),
            (Choice::WhoAmI, 2),
            (Choice::Get, 2),
        ];
        let route = match chance.choose(&routes) {
            Some(Choice::Read) => Route::Read,
            Some(Choice::WhoAmI) => Route::WhoAmI,
            Some(Choice::Get) => Route::Get(KEYS[chance.index(KEYS.len())]),
            _ => Route::Version,
        };
        Step {
            rest: chance.millis(5, 60),
            node: chance.index(self.nodes),
            route,
            pause: Duration::ZERO,
            leaves: None,
            transit: Duration::ZERO,
        }
    }

    /// Which of that many cookies, the last being the newest. The newer ones more often.
    pub(crate) fn cookie(&mut self, length: usize) -> usize {
        let reach = if self.chance.happens(700) {
            length.min(RECENT)
        } else {
            length
        };
        length - 1 - self.chance.index(reach).min(length - 1)
    }
}

/// A route before its values are drawn.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Read,
    Refresh,
    Version,
    WhoAmI,
    Get,
    GetBoom,
    Incr,
    IncrNow,
    IncrNaive,
    IncrTwice,
    Set,
    Login,
    Logout,
    EndAll,
    Rotate,
    Boom,
    Block,
}

impl Temper {
    const fn choices(self) -> &'static [(Choice, u64)] {
        match self {
            Self::Busy => &[
                (Choice::Read, 60),
                (Choice::Refresh, 30),
                (Choice::Version, 30),
                (Choice::Get, 40),
                (Choice::Incr, 200),
                (Choice::IncrNow, 200),
                (Choice::IncrNaive, 60),
                (Choice::IncrTwice, 150),
                (Choice::Set, 80),
                (Choice::Rotate, 2),
                (Choice::Boom, 10),
                (Choice::GetBoom, 10),
                (Choice::Block, 1),
            ],
            Self::Restless => &[
                (Choice::Read, 120),
                (Choice::Refresh, 30),
                (Choice::Version, 120),
                (Choice::WhoAmI, 80),
                (Choice::Incr, 120),
                (Choice::IncrNow, 50),
                (Choice::Set, 60),
                (Choice::Login, 150),
                (Choice::Logout, 90),
                (Choice::EndAll, 40),
                (Choice::Rotate, 40),
                (Choice::Boom, 10),
            ],
            Self::Ordinary => &[
                (Choice::Read, 200),
                (Choice::Refresh, 60),
                (Choice::Version, 100),
                (Choice::WhoAmI, 80),
                (Choice::Get, 120),
                (Choice::GetBoom, 20),
                (Choice::Incr, 120),
                (Choice::IncrNow, 60),
                (Choice::IncrNaive, 40),
                (Choice::IncrTwice, 40),
                (Choice::Set, 120),
                (Choice::Login, 20),
                (Choice::Logout, 8),
                (Choice::EndAll, 6),
                (Choice::Rotate, 10),
                (Choice::Boom, 10),
                (Choice::Block, 2),
            ],
            Self::Quiet => &[
                (Choice::Incr, 300),
                (Choice::IncrNow, 100),
                (Choice::Set, 300),
                (Choice::Login, 100),
                (Choice::Logout, 150),
            ],
        }
    }
}

/// Tells the visitors' streams of chance from those of the faults.
const STREAM: u64 = 1;

/// How many of the newest cookies most thefts are about.
const RECENT: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tab_does_the_same_under_the_same_seed() {
        let mut paths = Vec::new();
        for seed in [4, 4, 5] {
            let mut tab = Behaviour::new(seed, 1, 0, 3);
            let steps = (0..200).map(|_| format!("{:?}", tab.next()));
            paths.push(steps.collect::<Vec<_>>());
        }
        assert_eq!(paths[0], paths[1]);
        assert_ne!(paths[0], paths[2]);
    }

    #[test]
    fn every_route_that_changes_something_is_taken() {
        let mut seen = std::collections::BTreeSet::new();
        for jar in 0..9 {
            let mut tab = Behaviour::new(1, jar, 0, 3);
            for _ in 0..2000 {
                let step = tab.next();
                assert!(step.node < 3);
                let path = step.route.path(step.pause);
                let name = path.split(['/', '?']).nth(1).map(str::to_owned);
                seen.extend(name);
            }
        }
        let expected = [
            "block",
            "boom",
            "end-all",
            "get",
            "incr",
            "incr-naive",
            "incr-now",
            "incr-twice",
            "login",
            "login-remembered",
            "logout",
            "read",
            "refresh",
            "rotate",
            "set",
            "version",
            "whoami",
        ];
        assert_eq!(
            seen.iter().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn a_thief_takes_any_cookie_and_the_newest_most_often() {
        let mut thief = Thief::new(1, 0, 3);
        assert_eq!(thief.cookie(1), 0);
        let taken: Vec<_> = (0..2000).map(|_| thief.cookie(100)).collect();
        assert!(taken.iter().any(|cookie| *cookie < 10));
        let recent = taken.iter().filter(|cookie| **cookie >= 76).count();
        assert!(recent > 1000, "{recent}");
    }
}
