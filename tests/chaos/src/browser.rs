//! Browsers: jars with tabs, and those who have copied a cookie out of them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

use crate::{
    behaviour::{Behaviour, Step, Temper, Thief},
    client::{Client, Kept, Response, SetCookie},
    history::{Cookie, History, Operation, Outcome, Part, Swept},
    token::Token,
};

/// What all browsers of a round share.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) seed: u64,
    pub(crate) begun: Instant,
    pub(crate) nodes: Vec<SocketAddr>,
    pub(crate) history: Mutex<History>,
}

/// A browser's cookie, for all of its tabs.
#[derive(Debug)]
pub(crate) struct Jar {
    name: usize,
    scene: Arc<Scene>,
    client: Client,
    cookies: Mutex<Cookies>,
}

#[derive(Debug, Default)]
struct Cookies {
    current: Option<Kept>,
    /// All that there have been, the newest last.
    past: Vec<Kept>,
}

impl Scene {
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}

impl Jar {
    pub(crate) fn new(name: usize, scene: &Arc<Scene>) -> Arc<Self> {
        Arc::new(Self {
            name,
            scene: Arc::clone(scene),
            client: Client::new(),
            cookies: Mutex::default(),
        })
    }

    pub(crate) const fn temper(&self) -> Temper {
        Temper::of(self.name)
    }

    /// One tab, until the round's time is over.
    pub(crate) async fn browse(self: Arc<Self>, tab: usize, until: Duration) {
        let nodes = self.scene.nodes.len();
        let mut behaviour = Behaviour::new(self.scene.seed, self.name, tab, nodes);
        while self.scene.elapsed() < until {
            let step = behaviour.next();
            sleep(step.rest).await;
            let cookie = self.cookies.lock().current.clone();
            let outcome = self.perform(&step, Part::Tab(tab), cookie).await;
            // A node that is down answers at once; nobody reloads a thousand times a second.
            if outcome == Outcome::Broken {
                sleep(PATIENCE).await;
            }
        }
    }

    /// One who tries old cookies, until the round's time is over.
    pub(crate) async fn steal(self: Arc<Self>, until: Duration) {
        let mut thief = Thief::new(self.scene.seed, self.name, self.scene.nodes.len());
        while self.scene.elapsed() < until {
            let step = thief.next();
            sleep(step.rest).await;
            let cookie = {
                let past = &self.cookies.lock().past;
                (!past.is_empty()).then(|| past[thief.cookie(past.len())].clone())
            };
            if cookie.is_some() {
                self.perform(&step, Part::Thief, cookie).await;
            }
        }
    }

    /// Asks with that cookie, and returns the outcome.
    pub(crate) async fn perform(&self, step: &Step, part: Part, cookie: Option<Kept>) -> Outcome {
        let node = self.scene.nodes[step.node];
        let path = step.route.path(step.pause);
        let invoked = self.scene.elapsed();
        let response = self
            .client
            .get(node, &path, cookie.as_ref(), step.leaves)
            .await;
        let returned = self.scene.elapsed();
        sleep(step.transit).await;
        let sent = cookie.map(|kept| kept.token);
        let mut swept = None;
        let outcome = match response {
            Response::Left => Outcome::Left,
            Response::Broken => Outcome::Broken,
            Response::Complete {
                status,
                body,
                cookie,
            } => {
                let (cookie, lost) = match part {
                    Part::Tab(_) => self.keep(cookie, sent),
                    Part::Thief | Part::Inventory => (told(&cookie), None),
                };
                swept = lost;
                Outcome::Reply {
                    status,
                    body,
                    cookie,
                }
            }
        };
        self.scene.history.lock().operations.push(Operation {
            jar: self.name,
            part,
            node: step.node,
            route: step.route.clone(),
            pause: step.pause,
            sent,
            invoked,
            returned,
            outcome: outcome.clone(),
            swept,
        });
        outcome
    }

    /// Does to the jar what the answer says, as a browser does it: by the cookie's name. Returns what
    /// that was, and which cookie a removal took out that its request had not carried.
    fn keep(&self, cookie: SetCookie, sent: Option<Token>) -> (Cookie, Option<Swept>) {
        let told = told(&cookie);
        let mut cookies = self.cookies.lock();
        let mut swept = None;
        match cookie {
            SetCookie::Value(kept) => {
                cookies.past.push(kept.clone());
                cookies.current = Some(kept);
            }
            SetCookie::Removal => {
                let removed = cookies.current.take().map(|kept| kept.token);
                let removed = removed.filter(|removed| Some(*removed) != sent);
                swept = removed.map(|token| Swept {
                    token,
                    at: self.scene.elapsed(),
                });
            }
            SetCookie::Nothing | SetCookie::Garbled => {}
        }
        (told, swept)
    }

    /// The newest cookie of each session that the jar has had, in their order.
    pub(crate) fn newest(&self) -> Vec<Kept> {
        let mut newest: Vec<Kept> = Vec::new();
        for kept in &self.cookies.lock().past {
            let same = |known: &&mut Kept| known.token.session == kept.token.session;
            match newest.iter_mut().find(same) {
                Some(known) if known.token.counter <= kept.token.counter => *known = kept.clone(),
                Some(_) => {}
                None => newest.push(kept.clone()),
            }
        }
        newest
    }
}

fn told(cookie: &SetCookie) -> Cookie {
    match cookie {
        SetCookie::Nothing => Cookie::Untouched,
        SetCookie::Value(kept) => Cookie::Set(kept.token),
        SetCookie::Removal => Cookie::Removed,
        SetCookie::Garbled => Cookie::Garbled,
    }
}

/// Until a page is loaded again that could not be reached.
const PATIENCE: Duration = Duration::from_millis(30);
