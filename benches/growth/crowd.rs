//! Visitors with cookies.

use std::{hint::black_box, mem};

use http::{HeaderValue, Request, Response, header};
use tenure_core::{Key, SessionError, SessionHandle, SessionManager};
use tenure_tower::SessionLayer;
use tokio::task::{JoinSet, yield_now};
use tower::{Layer, Service, service_fn};

/// Visitors, each with the newest cookie that was set.
///
/// They come in lanes, like requests on keep-alive connections: one after the other in a lane, the
/// lanes at the same time. A visitor has one lane, so no two requests change a session at once.
#[derive(Debug)]
pub(crate) struct Crowd {
    lanes: Vec<Lane>,
}

impl Default for Crowd {
    fn default() -> Self {
        let lane = |number| Lane {
            cookies: Vec::new(),
            dice: Dice(number),
        };
        Self {
            lanes: (1..=LANES as u64).map(lane).collect(),
        }
    }
}

impl Crowd {
    /// Brings it to that many visitors, as many in each lane.
    pub(crate) async fn grow(&mut self, visitors: usize, node: &SessionManager, shape: Shape) {
        assert!(visitors.is_multiple_of(LANES));
        let visitors = visitors / LANES;
        let nodes = [node.clone()];
        self.run(&nodes, Errand::Begin { visitors, shape }).await;
    }

    /// Reads each session on each node, of very many sessions the first ones only.
    pub(crate) async fn visit_all(&mut self, nodes: &[SessionManager]) {
        self.run(nodes, Errand::ReadAll).await;
    }

    /// So many requests of visitors in a fixed random order, to the nodes in turn.
    pub(crate) async fn visit_often(
        &mut self,
        nodes: &[SessionManager],
        work: Work,
        requests: usize,
    ) {
        let requests = requests / LANES;
        self.run(nodes, Errand::Often { work, requests }).await;
    }

    async fn run(&mut self, nodes: &[SessionManager], errand: Errand) {
        let mut lanes = JoinSet::new();
        for lane in mem::take(&mut self.lanes) {
            lanes.spawn(lane.run(nodes.to_vec(), errand));
        }
        self.lanes = lanes.join_all().await;
    }
}

/// What the requests of a measurement do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Work {
    Read,
    Modify,
    /// One of ten modifies, the others read.
    Mixed,
}

/// What a session holds besides the number that requests read and modify.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) keys: usize,
    /// Of each of their values.
    pub(crate) bytes: usize,
}

impl Shape {
    pub(crate) const SMALL: Self = Self { keys: 0, bytes: 0 };
}

#[derive(Debug)]
struct Lane {
    cookies: Vec<HeaderValue>,
    dice: Dice,
}

impl Lane {
    async fn run(mut self, nodes: Vec<SessionManager>, errand: Errand) -> Self {
        let service = |node| SessionLayer::new(node).layer(service_fn(answer));
        let mut nodes: Vec<_> = nodes.into_iter().map(service).collect();
        match errand {
            Errand::Begin { visitors, shape } => {
                while self.cookies.len() < visitors {
                    let cookie = visit(&mut nodes[0], None, Deed::Begin(shape)).await;
                    self.cookies.push(cookie.expect("a session was begun"));
                }
            }
            Errand::ReadAll => {
                for cookie in self.cookies.iter_mut().take(MANY / LANES) {
                    for node in &mut nodes {
                        visit_again(node, cookie, Deed::Read).await;
                    }
                }
            }
            Errand::Often { work, requests } => {
                for turn in 0..requests {
                    let visitor = self.dice.below(self.cookies.len());
                    let deed = match work {
                        Work::Read => Deed::Read,
                        Work::Modify => Deed::Modify,
                        Work::Mixed if self.dice.below(10) == 0 => Deed::Modify,
                        Work::Mixed => Deed::Read,
                    };
                    let node = turn % nodes.len();
                    visit_again(&mut nodes[node], &mut self.cookies[visitor], deed).await;
                }
            }
        }
        self
    }
}

#[derive(Clone, Copy)]
enum Errand {
    Begin { visitors: usize, shape: Shape },
    ReadAll,
    Often { work: Work, requests: usize },
}

/// What a request asks of the application.
#[derive(Clone, Copy)]
enum Deed {
    Begin(Shape),
    Read,
    Modify,
}

async fn visit_again<S>(node: &mut S, cookie: &mut HeaderValue, deed: Deed)
where
    S: Service<Request<()>, Response = Response<()>>,
{
    if let Some(newer) = visit(node, Some(cookie.clone()), deed).await {
        *cookie = newer;
    }
}

/// Returns the cookie that was set.
async fn visit<S>(node: &mut S, cookie: Option<HeaderValue>, deed: Deed) -> Option<HeaderValue>
where
    S: Service<Request<()>, Response = Response<()>>,
{
    // What is found in memory never waits; the other lanes and the heartbeats want their turns too.
    yield_now().await;
    let mut request = Request::new(());
    request.extensions_mut().insert(deed);
    if let Some(cookie) = cookie {
        request.headers_mut().insert(header::COOKIE, cookie);
    }
    let Ok(response) = node.call(request).await else {
        panic!("the request failed")
    };
    assert_eq!(response.status(), 200);
    let field = response.headers().get(header::SET_COOKIE)?;
    let (pair, _) = field.to_str().expect("text").split_once(';')?;
    Some(HeaderValue::try_from(pair).expect("text"))
}

/// The application.
async fn answer(request: Request<()>) -> Result<Response<()>, SessionError> {
    let extensions = request.extensions();
    let deed = *extensions.get::<Deed>().expect("each request has one");
    let handle: &SessionHandle = extensions.get().expect("the layer");
    let session = handle.load().await?;
    match deed {
        Deed::Begin(shape) => {
            for key in 0..shape.keys {
                session.insert(format!("key-{key}"), "x".repeat(shape.bytes))?;
            }
            session.insert(VISITS, 0)?;
        }
        Deed::Read => {
            black_box(session.get(VISITS)?);
        }
        Deed::Modify => {
            black_box(session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?);
        }
    }
    Ok(Response::new(()))
}

/// Random enough for an order of visits (xorshift64), and the same in each run.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The middle bits: the seeds are small, and the low ones follow them for long.
        usize::try_from(self.0 >> 20).expect("64 bits") % bound
    }
}

const VISITS: Key<u64> = Key::new("visits");

/// Requests at a time; a divisor of all numbers of visitors and requests.
pub(crate) const LANES: usize = 20;

/// More small sessions than fit into a near cache with its default bound.
const MANY: usize = 250_000;
