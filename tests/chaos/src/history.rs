//! What was asked, what was answered, and what went wrong meanwhile.

use std::{fmt, time::Duration};

use crate::token::{SessionName, Token};

/// Everything that a round has seen, in the order of the answers.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) incidents: Vec<Incident>,
}

/// One request of one tab. Times count from the round's beginning.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) jar: usize,
    pub(crate) part: Part,
    pub(crate) node: usize,
    pub(crate) route: Route,
    /// For how long the handler sleeps between loading the session and changing it.
    pub(crate) pause: Duration,
    pub(crate) sent: Option<Token>,
    pub(crate) invoked: Duration,
    pub(crate) returned: Duration,
    pub(crate) outcome: Outcome,
    /// The cookie that the jar lost to this answer, if it was not the one that the request had carried.
    pub(crate) swept: Option<Swept>,
}

/// A cookie that was taken out of its jar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) token: Token,
    pub(crate) at: Duration,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A tab of the browser: sends its jar's cookie and keeps what comes back.
    Tab(usize),
    /// Somebody who has copied a cookie some time ago.
    Thief,
    /// The inventory at the end, when all faults are mended.
    Inventory,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Read,
    Refresh,
    Version,
    WhoAmI,
    Get(&'static str),
    Incr,
    IncrNow,
    IncrNaive,
    IncrTwice,
    Set {
        key: &'static str,
        value: String,
    },
    Login {
        user: String,
        remembered: Remembered,
    },
    Logout,
    /// Ends all logins of a user, from no session in particular.
    EndAll {
        user: String,
    },
    Rotate,
    Boom,
    Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remembered {
    No,
    Yes,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Reply {
        status: u16,
        body: String,
        cookie: Cookie,
    },
    /// The client left before the answer came.
    Left,
    /// The connection broke, or no answer came in time.
    Broken,
}

/// What an answer does to the jar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Untouched,
    Set(Token),
    Removed,
    /// A value that has not the form of a session cookie.
    Garbled,
}

/// What is known of the effect of a request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It was acknowledged.
    Happened,
    /// It was said that nothing was written.
    Refused,
    Unknown,
}

/// A fault, or whatever else delays answers.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) what: String,
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

/// Whom an incident concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Node(usize),
    Everywhere,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Something was lost or refused.
    Loss,
    /// Something stood still: answers may arrive long after they were true.
    Delay,
    /// As a delay, but by nobody's intent: the machine had other things to do.
    Busy,
}

impl Incident {
    /// Whether it may have held up an answer of that node.
    pub(crate) fn delays(&self, node: usize) -> bool {
        let concerns = self.place == Place::Everywhere || self.place == Place::Node(node);
        concerns && matches!(self.kind, Kind::Delay | Kind::Busy)
    }
}

impl Operation {
    /// The status, body and cookie, if there was an answer.
    pub(crate) fn reply(&self) -> Option<(u16, &str, Cookie)> {
        match &self.outcome {
            Outcome::Reply {
                status,
                body,
                cookie,
            } => Some((*status, body, *cookie)),
            Outcome::Left | Outcome::Broken => None,
        }
    }

    /// The body of a success.
    pub(crate) fn body(&self) -> Option<&str> {
        self.reply()
            .and_then(|(status, body, _)| (status == 200).then_some(body))
    }

    /// The number that a success printed.
    pub(crate) fn number(&self) -> Option<u64> {
        self.body()?.parse().ok()
    }

    /// The token that the answer sets.
    pub(crate) fn received(&self) -> Option<Token> {
        match self.reply()?.2 {
            Cookie::Set(token) => Some(token),
            Cookie::Untouched | Cookie::Removed | Cookie::Garbled => None,
        }
    }

    /// The session that the request acted on: the one that it began, else the one that it named.
    pub(crate) fn session(&self) -> Option<SessionName> {
        let token = self.received().or(self.sent)?;
        Some(token.session)
    }

    pub(crate) fn effect(&self) -> Effect {
        match self.reply() {
            Some((200, ..)) => Effect::Happened,
            Some((409, ..)) => Effect::Refused,
            _ => Effect::Unknown,
        }
    }
}

impl Route {
    /// The path on the testbed.
    pub(crate) fn path(&self, pause: Duration) -> String {
        let ms = pause.as_millis();
        match self {
            Self::Read => "/read".to_owned(),
            Self::Refresh => "/refresh".to_owned(),
            Self::Version => "/version".to_owned(),
            Self::WhoAmI => "/whoami".to_owned(),
            Self::Get(key) => format!("/get/{key}"),
            Self::Incr => format!("/incr?ms={ms}"),
            Self::IncrNow => format!("/incr-now?ms={ms}"),
            Self::IncrNaive => format!("/incr-naive?ms={ms}"),
            Self::IncrTwice => format!("/incr-twice?ms={ms}"),
            Self::Set { key, value } => format!("/set/{key}/{value}?ms={ms}"),
            Self::Login { user, remembered } => match remembered {
                Remembered::No => format!("/login/{user}?ms={ms}"),
                Remembered::Yes => format!("/login-remembered/{user}?ms={ms}"),
            },
            Self::Logout => format!("/logout?ms={ms}"),
            Self::EndAll { user } => format!("/end-all/{user}"),
            Self::Rotate => format!("/rotate?ms={ms}"),
            Self::Boom => "/boom".to_owned(),
            Self::Block => format!("/block?ms={ms}"),
        }
    }

    /// How many increments a success stands for.
    pub(crate) const fn increments(&self) -> u64 {
        match self {
            Self::Incr | Self::IncrNow | Self::IncrNaive => 1,
            Self::IncrTwice => 2,
            _ => 0,
        }
    }

    /// Whether it replaces the secret.
    pub(crate) const fn rotates(&self) -> bool {
        matches!(self, Self::Login { .. } | Self::Rotate)
    }

    /// Whether a success has written to the session.
    pub(crate) const fn writes(&self) -> bool {
        self.increments() > 0 || self.rotates() || matches!(self, Self::Set { .. })
    }

    /// Whether a near cache may answer it.
    pub(crate) const fn is_cached(&self) -> bool {
        matches!(
            self,
            Self::Read | Self::Version | Self::WhoAmI | Self::Get(_)
        )
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.invoked.as_secs_f64(), self.returned.as_secs_f64());
        write!(f, "{from:8.3}–{until:<8.3} jar {:<2} ", self.jar)?;
        match self.part {
            Part::Tab(tab) => write!(f, "tab {tab}")?,
            Part::Thief => f.write_str("thief")?,
            Part::Inventory => f.write_str("inventory")?,
        }
        write!(f, " → node {} {}", self.node, self.route.path(self.pause))?;
        match self.sent {
            Some(token) => write!(f, " [{token}]")?,
            None => f.write_str(" [-]")?,
        }
        match &self.outcome {
            Outcome::Reply {
                status,
                body,
                cookie,
            } => {
                write!(f, " = {status} {body:?}")?;
                match cookie {
                    Cookie::Untouched => Ok(()),
                    Cookie::Set(token) => write!(f, " [{token}]"),
                    Cookie::Removed => f.write_str(" [removed]"),
                    Cookie::Garbled => f.write_str(" [garbled]"),
                }
            }
            Outcome::Left => f.write_str(" left"),
            Outcome::Broken => f.write_str(" broken"),
        }
    }
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from.as_secs_f64(), self.until.as_secs_f64());
        write!(f, "{from:8.3}–{until:<8.3} {}", self.what)?;
        match self.place {
            Place::Node(node) => write!(f, " (node {node})"),
            Place::Everywhere => Ok(()),
        }
    }
}

/// The values that tabs set and read.
pub(crate) const KEYS: [&str; 3] = ["k0", "k1", "k2"];

/// What `/boom` inserts and its failure takes back.
pub(crate) const BOOM: &str = "boom";
