//! What visitors and their handlers want: a few requests to a few nodes.

use std::fmt;

use crate::{
    choices::Random,
    server::{Flaw, LinkKind},
};

/// The requests of one schedule, and the nodes that they reach.
///
/// When each of them gets on, and what the network does, is not said here: that decides the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub(crate) nodes: Vec<Node>,
    /// What the first request of browser 0 does before the others begin.
    pub(crate) beginning: Vec<Step>,
    pub(crate) requests: Vec<Request>,
    /// How many faults there may be.
    pub(crate) faults: u8,
    pub(crate) hazards: Hazards,
    /// What is wrong with the server, for trying out whether it shows.
    pub(crate) flaw: Option<Flaw>,
}

/// An application server: a session manager, with or without a near cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) link: LinkKind,
    pub(crate) is_cached: bool,
}

/// One request of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) node: usize,
    pub(crate) browser: usize,
    /// Whether it presents the first cookie that the browser ever had, as somebody would who has
    /// copied it, rather than the newest.
    pub(crate) is_replay: bool,
    pub(crate) steps: Vec<Step>,
    /// What the handler answers.
    pub(crate) status: u16,
}

/// What a handler does with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Reads the basket.
    Look,
    /// Puts into the basket what was in it when it was looked at, and one article more.
    Note,
    /// Adds an entry to the log by an update, which loses nothing and never conflicts.
    Append,
    /// The same, with a closure that reads the session.
    AppendReading,
    /// Adds to the log and commits, more often than a session remembers its commits.
    Burst,
    /// Puts a value of its own in place, unread.
    Mark,
    /// Reads and replaces a value whose conflicts a merge settles that panics.
    Merge,
    /// Updates a value with a closure that writes that value.
    Spin,
    Commit,
    Refresh,
    Login,
    LoginRemembered,
    Rotate,
    Destroy,
    /// Goes on behind the response: adds to the log, and commits.
    Detach,
}

/// What may go wrong besides the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hazards {
    /// Clients leave.
    pub(crate) leaves: bool,
    /// Futures are kept and not polled.
    pub(crate) keeps: bool,
    /// The server loses what it has acknowledged.
    pub(crate) losses: bool,
    /// Visitors pause for longer than sessions live.
    pub(crate) pauses: bool,
    /// One node seldom gets on while another one can.
    pub(crate) slow_node: Option<usize>,
    /// Reports to caches seldom arrive before anything else does.
    pub(crate) late_reports: bool,
    /// Requests come one by one, as a rule, and time passes often.
    pub(crate) is_leisurely: bool,
    /// The server says that it has no use for the version in the cookie.
    pub(crate) is_unwitnessed: bool,
}

impl Scenario {
    pub(crate) fn drawn(random: &mut Random) -> Self {
        let nodes = match random.below(10) {
            0..5 => vec![DIRECT, DIRECT],
            5..8 => vec![FED, FED],
            8 => vec![FED, DIRECT],
            _ => vec![UNFED, DIRECT],
        };
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|node| echoing(node, random))
            .collect();
        let beginning = match random.below(6) {
            0 => vec![],
            1 | 2 => vec![Step::Login],
            _ => vec![Step::Append],
        };
        let hazards = Hazards {
            leaves: random.below(3) == 0,
            keeps: random.below(12) == 0,
            losses: random.below(12) == 0,
            pauses: random.below(5) == 0,
            slow_node: [None, None, Some(0), Some(1)][random.below(4)],
            late_reports: random.below(2) == 0,
            is_leisurely: random.below(3) == 0,
            is_unwitnessed: false,
        };
        let may_be_unwitnessed = !hazards.losses && nodes.iter().all(|node| !node.is_cached);
        let hazards = Hazards {
            is_unwitnessed: may_be_unwitnessed && random.below(3) == 0,
            ..hazards
        };
        let kind = random.weighted(KINDS).unwrap_or(KindOfRequest::Any);
        let requests = (0..2 + random.below(3))
            .map(|_| Request::drawn(random, &nodes, kind))
            .collect();
        let faults = [0, 1, 1, 2, 3][random.below(5)];
        Self {
            nodes,
            beginning,
            requests,
            faults,
            hazards,
            flaw: None,
        }
    }
}

impl Scenario {
    /// The same with a server that has that flaw, and where that can show: what caches are told wrongly
    /// shows only in caches, and late.
    pub(crate) fn with_flaw(mut self, flaw: Option<Flaw>) -> Self {
        self.flaw = flaw;
        if matches!(flaw, Some(Flaw::ReportsNothing | Flaw::ProvesTooEarly)) {
            self.nodes = vec![FED, FED];
            self.hazards.late_reports = true;
            self.hazards.is_leisurely = true;
            self.hazards.slow_node = None;
            self.hazards.is_unwitnessed = false;
        }
        self
    }

    /// Scenarios that are a step simpler, the boldest first.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut smaller = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut scenario = self.clone();
            change(&mut scenario);
            if scenario != *self {
                smaller.push(scenario);
            }
        };
        for number in (0..self.requests.len()).rev() {
            with(&|scenario| {
                scenario.requests.remove(number);
            });
        }
        for number in 0..self.nodes.len() {
            with(&|scenario| scenario.nodes[number] = DIRECT);
        }
        with(&|scenario| scenario.hazards = Hazards::default());
        with(&|scenario| scenario.faults = 0);
        with(&|scenario| scenario.beginning = vec![Step::Append]);
        for (number, request) in self.requests.iter().enumerate() {
            for step in (0..request.steps.len()).rev() {
                with(&|scenario| {
                    scenario.requests[number].steps.remove(step);
                });
            }
            with(&|scenario| scenario.requests[number].node = 0);
            with(&|scenario| scenario.requests[number].browser = 0);
            with(&|scenario| scenario.requests[number].is_replay = false);
            with(&|scenario| scenario.requests[number].status = 200);
        }
        smaller
    }
}

impl Request {
    fn drawn(random: &mut Random, nodes: &[Node], kind: KindOfRequest) -> Self {
        let steps: &[(usize, Step)] = match kind {
            KindOfRequest::Any => ANY_STEPS,
            KindOfRequest::Writing => WRITING_STEPS,
            KindOfRequest::Closures => CLOSURE_STEPS,
            KindOfRequest::Identity => IDENTITY_STEPS,
        };
        let mut steps: Vec<_> = (0..random.below(5))
            .filter_map(|_| random.weighted(steps))
            .collect();
        // Nothing can follow these.
        if let Some(last) = steps
            .iter()
            .position(|step| matches!(step, Step::Destroy | Step::Detach))
        {
            steps.truncate(last + 1);
        }
        Self {
            node: random.below(nodes.len()),
            browser: usize::from(random.below(6) == 0),
            is_replay: random.below(5) == 0,
            steps,
            status: if random.below(12) == 0 { 500 } else { 200 },
        }
    }
}

fn echoing(node: Node, random: &mut Random) -> Node {
    match node.link {
        LinkKind::Feed { .. } => {
            let link = LinkKind::Feed {
                echoes: random.below(2) == 0,
            };
            Node { link, ..node }
        }
        LinkKind::Pool => node,
    }
}

/// What the requests of a scenario are about. A few that do alike meet more often than many that do
/// everything.
#[derive(Clone, Copy, Debug)]
enum KindOfRequest {
    Any,
    Writing,
    Closures,
    Identity,
}

const KINDS: &[(usize, KindOfRequest)] = &[
    (6, KindOfRequest::Any),
    (5, KindOfRequest::Writing),
    (1, KindOfRequest::Closures),
    (4, KindOfRequest::Identity),
];

const ANY_STEPS: &[(usize, Step)] = &[
    (4, Step::Look),
    (4, Step::Note),
    (4, Step::Append),
    (4, Step::Mark),
    (4, Step::Commit),
    (2, Step::Refresh),
    (2, Step::Login),
    (1, Step::LoginRemembered),
    (1, Step::Rotate),
    (2, Step::Destroy),
    (1, Step::Detach),
];

const WRITING_STEPS: &[(usize, Step)] = &[
    (2, Step::Look),
    (3, Step::Note),
    (4, Step::Append),
    (3, Step::Mark),
    (4, Step::Commit),
    (1, Step::Refresh),
    (1, Step::Detach),
    (3, Step::Burst),
];

const CLOSURE_STEPS: &[(usize, Step)] = &[
    (4, Step::Append),
    (3, Step::AppendReading),
    (3, Step::Merge),
    (1, Step::Spin),
    (2, Step::Commit),
    (2, Step::Refresh),
];

const IDENTITY_STEPS: &[(usize, Step)] = &[
    (3, Step::Append),
    (2, Step::Mark),
    (1, Step::Commit),
    (1, Step::Refresh),
    (3, Step::Login),
    (1, Step::Rotate),
    (3, Step::Destroy),
];

pub(crate) const DIRECT: Node = Node {
    link: LinkKind::Pool,
    is_cached: false,
};
pub(crate) const UNFED: Node = Node {
    link: LinkKind::Pool,
    is_cached: true,
};
pub(crate) const FED: Node = Node {
    link: LinkKind::Feed { echoes: false },
    is_cached: true,
};

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, node) in self.nodes.iter().enumerate() {
            writeln!(f, "  node {number}: {node}")?;
        }
        writeln!(f, "  at first, browser 0 at node 0: {:?}", self.beginning)?;
        for (number, request) in self.requests.iter().enumerate() {
            writeln!(f, "  request {}: {request}", number + 1)?;
        }
        Ok(())
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_cached, self.link) {
            (false, _) => "no cache",
            (true, LinkKind::Pool) => "near cache without a feed",
            (true, LinkKind::Feed { echoes: false }) => "near cache with a feed",
            (true, LinkKind::Feed { echoes: true }) => "near cache with a feed of own writes too",
        })
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            browser,
            is_replay,
            steps,
            status,
        } = self;
        let cookie = if *is_replay {
            " with its first cookie"
        } else {
            ""
        };
        write!(
            f,
            "browser {browser}{cookie} at node {node}: {steps:?}, {status}"
        )
    }
}
