//! A storage server, simulated: what it stores, and a mailbox per call.
//!
//! A call is *sent*, *executed*, *answered*, each when the schedule says so, or never. What its caller knows
//! and what the server has done are therefore two things, as they are on a network. All of the server's past
//! is kept: it is the truth that a run's observations are compared with.

mod call;
mod flaw;
mod link;
mod node_store;
mod past;
mod verbs;

use std::{sync::Arc, task::Waker, time::Duration};

use parking_lot::Mutex;
use tenure_core::{Clock, SessionId, StoreError, StoreErrorKind, Timestamp, VersionUse};
use tokio::time::Instant;

pub use self::flaw::Flaw;
pub(crate) use self::{
    call::{Answer, Ask, Call},
    link::{Item, Link, LinkKind},
    node_store::NodeStore,
    past::{Cause, Change, Past},
};

/// The server and the network to it, shared by all nodes.
#[derive(Debug)]
pub(crate) struct Server {
    /// Grows with each decision of the schedule: the order in which things happen.
    pub(crate) step: u32,
    /// Who is being polled, so that a call knows its caller.
    pub(crate) actor: Option<usize>,
    pub(crate) calls: Vec<Call>,
    pub(crate) links: Vec<Link>,
    pub(crate) past: Past,
    pub(crate) version_use: VersionUse,
    clock: SimulatedClock,
    flaw: Option<Flaw>,
    /// Told of each call that is sent, since whoever decides may be waiting for one.
    bell: Waker,
}

/// The server, as everybody holds it.
pub(crate) type Shared = Arc<Mutex<Server>>;

impl Server {
    pub(crate) fn new(
        links: Vec<Link>,
        flaw: Option<Flaw>,
        clock: SimulatedClock,
        bell: Waker,
    ) -> Self {
        Self {
            step: 0,
            actor: None,
            calls: Vec::new(),
            links,
            past: Past::default(),
            version_use: VersionUse::Witness,
            clock,
            flaw,
            bell,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Puts a call into the network, and returns its number.
    fn send(&mut self, node: usize, ask: Ask) -> usize {
        self.links[node].before_sending();
        self.calls.push(Call::new(
            node,
            self.links[node].epoch,
            self.actor,
            self.step,
            ask,
        ));
        self.bell.wake_by_ref();
        self.calls.len() - 1
    }

    /// The server carries a request out, once or once more, and answers.
    pub(crate) fn execute(&mut self, number: usize) {
        let call = &self.calls[number];
        let (node, epoch) = (call.node, call.epoch);
        let answer = self.carry_out(number);
        let id = self.calls[number].ask.id();
        let is_connected = self.links[node].epoch == epoch;
        let changed =
            id.filter(|_| answer.is_of_a_change() && self.flaw != Some(Flaw::ReportsNothing));
        let call = &mut self.calls[number];
        call.is_on_its_way = false;
        // Once more, for a caller who has gone or has its answer: only what is stored may change.
        if call.ended.is_none() {
            call.executed = Some(self.step);
            call.answer = Some(answer);
            if is_connected
                && self.calls[number].ask == Ask::Prove
                && self.flaw == Some(Flaw::ProvesTooEarly)
            {
                self.links[node].expect_first(number);
            } else if is_connected {
                self.links[node].expect(number);
            }
        }
        if let Some(id) = changed {
            let writer = is_connected.then_some(node);
            self.report(writer, id);
        }
        if let Some(id) = id.filter(|_| is_connected) {
            self.links[node].track(id);
        }
    }

    /// A request that was carried out reaches the server once more.
    pub(crate) fn repeat(&mut self, number: usize) {
        self.calls[number].is_on_its_way = true;
    }

    /// Whether a node has a cache.
    pub(crate) fn is_cached(&self, node: usize) -> bool {
        self.links[node].is_cached
    }

    pub(crate) fn describe(&self, number: usize) -> String {
        let call = &self.calls[number];
        let caller = match call.actor {
            Some(actor) => format!("request {actor}"),
            None => "the cache".to_owned(),
        };
        let answer = match &call.answer {
            Some(answer) => format!(" → {answer}"),
            None => String::new(),
        };
        format!("{} of {caller} at node {}{answer}", call.ask, call.node)
    }

    /// The answer reaches the caller.
    pub(crate) fn answer(&mut self, number: usize) {
        let call = &mut self.calls[number];
        if let Some(answer) = call.answer.take()
            && call.ended.is_none()
        {
            call.answered = Some(self.step);
            self.end(number, Ok(answer));
        }
    }

    /// The caller is told of a fault. What is on its way to the server stays there.
    pub(crate) fn fail(&mut self, number: usize, kind: StoreErrorKind) {
        let node = self.calls[number].node;
        self.links[node].faults += 1;
        self.calls[number].answer = None;
        self.end(number, Err(StoreError::new(kind)));
    }

    fn end(&mut self, number: usize, outcome: Result<Answer, StoreError>) {
        let step = self.step;
        let call = &mut self.calls[number];
        call.ended = Some(step);
        call.outcome = Some(outcome);
        if let Some(waker) = call.waker.take() {
            waker.wake();
        }
    }

    /// The next thing that a connection brings its node reaches it.
    pub(crate) fn receive(&mut self, node: usize) {
        match self.links[node].stream.pop_front() {
            Some(Item::Answer(number)) => self.answer(number),
            Some(Item::Change(id)) => self.links[node].tell(id),
            None => {}
        }
    }

    /// A node's connection ends, and with it all that it was about to bring. What was on its way to the
    /// server may still arrive there.
    pub(crate) fn disconnect(&mut self, node: usize) {
        let epoch = self.links[node].disconnect();
        for number in 0..self.calls.len() {
            let call = &self.calls[number];
            if call.node == node && call.epoch == epoch && call.ended.is_none() {
                self.fail(number, StoreErrorKind::Interrupted);
            }
        }
    }

    /// The server fails over to a replica that lacks a session's last write. All connections end, and what
    /// was on its way to the old one is lost.
    pub(crate) fn fail_over(&mut self, id: SessionId) {
        for number in 0..self.calls.len() {
            let call = &mut self.calls[number];
            call.is_on_its_way = false;
            if call.ended.is_none() {
                self.fail(number, StoreErrorKind::Interrupted);
            }
        }
        for node in 0..self.links.len() {
            self.links[node].disconnect();
        }
        let cause = Cause {
            step: self.step,
            at: self.now(),
            actor: None,
            call: None,
        };
        self.past.forget_last(id, cause);
    }

    /// Time has passed: notes for which nodes the server owed an answer meanwhile.
    pub(crate) fn elapsed(&mut self, span: Duration) {
        for call in &self.calls {
            if call.ended.is_none() && call.ask != Ask::Prove {
                self.links[call.node].owed += span;
            }
        }
    }

    fn report(&mut self, writer: Option<usize>, id: SessionId) {
        for (node, link) in self.links.iter_mut().enumerate() {
            link.report(id, writer == Some(node));
        }
    }
}

/// The time of day of a simulated world: tokio's paused clock, counted from a fixed day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SimulatedClock {
    start: Instant,
}

impl SimulatedClock {
    pub(crate) fn starting_now() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.start.elapsed()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).after(self.start.elapsed())
    }
}
