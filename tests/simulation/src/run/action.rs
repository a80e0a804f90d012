//! What a schedule consists of.

use std::time::Duration;

use tenure_core::SessionId;

use super::Run;
use crate::server::Item;

/// What the schedule may decide on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    Start(usize),
    Poll(usize),
    Execute(usize),
    Answer(usize),
    Receive(usize),
    Deliver {
        browser: usize,
        response: usize,
    },
    /// Until a timer is due.
    Wait,
    Pass(Duration),
    /// The connection breaks; the request may be on its way still.
    Lose(usize),
    /// The server does not get the request, and its caller is told so.
    Refuse(usize),
    Repeat(usize),
    Disconnect(usize),
    FailOver(SessionId),
    Leave(usize),
    Keep(usize),
    Resume(usize),
}

impl Run {
    /// Tells what is about to happen.
    pub(super) fn tell(&self, action: Action) {
        let describe = || {
            let millis = self.clock.elapsed().as_millis();
            let server = self.world.server.lock();
            let call = |number: usize| server.describe(number);
            let what = match action {
                Action::Start(number) => format!("request {number} begins"),
                Action::Poll(number) => format!("request {number} goes on"),
                Action::Execute(number) => format!("the server carries out {}", call(number)),
                Action::Answer(number) => format!("answered: {}", call(number)),
                Action::Receive(node) => match server.links[node].stream.front() {
                    Some(Item::Answer(number)) => format!("answered: {}", call(*number)),
                    _ => format!("node {node} is told of a change"),
                },
                Action::Deliver { browser, response } => {
                    let response = &self.world.browsers.borrow()[browser].responses[response];
                    format!(
                        "browser {browser} gets the cookie of request {}",
                        response.visit
                    )
                }
                Action::Wait => "until a timer is due".to_owned(),
                Action::Pass(span) => format!("{span:?} pass"),
                Action::Lose(number) => format!("connection lost: {}", call(number)),
                Action::Refuse(number) => format!("cannot be sent: {}", call(number)),
                Action::Repeat(number) => format!("on its way once more: {}", call(number)),
                Action::Disconnect(node) => format!("node {node} loses its connection"),
                Action::FailOver(_) => "the server loses a session's last write".to_owned(),
                Action::Leave(number) => format!("the client of request {number} leaves"),
                Action::Keep(number) => format!("request {number} is not polled any more"),
                Action::Resume(number) => format!("request {number} is polled again"),
            };
            format!("{millis:>6} ms  {what}")
        };
        self.world.trace.tell(describe);
    }
}
