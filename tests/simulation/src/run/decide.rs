//! What can happen next, and which of it does.

use std::time::Duration;

use super::{Action, Run, Task, TaskState};
use crate::{
    journal::VisitLog,
    server::Item,
    world::{IDLE, MAX_STALENESS},
};

impl Run {
    /// The next action; none when all is over.
    pub(super) fn decide(&mut self) -> Option<Action> {
        let mut straight = Vec::new();
        self.polls(&mut straight);
        let can_pass = straight.is_empty();
        if can_pass {
            self.check_overdue();
        }
        self.arrivals(&mut straight);
        self.beginnings(&mut straight);
        let is_over = straight.is_empty()
            && !self
                .tasks
                .iter()
                .any(|task| matches!(task.state, TaskState::Running(_)));
        if self.is_straight {
            return match straight.first() {
                None if is_over => None,
                first => Some(first.copied().unwrap_or(Action::Wait)),
            };
        }
        if is_over {
            return None;
        }
        if self.faults > 0 && self.choices.happens(20) {
            let mut faults = Vec::new();
            self.faults(&mut faults);
            if !faults.is_empty() {
                let chosen = self.choices.below(faults.len());
                return faults.get(chosen).copied();
            }
        }
        if let Some(resume) = self.resumption()
            && self.choices.happens(16)
        {
            return Some(resume);
        }
        let passing = if self.world.scenario.hazards.is_leisurely {
            70
        } else {
            10
        };
        if can_pass && self.choices.happens(passing) {
            return Some(self.passing());
        }
        self.hold_up(&mut straight);
        let chosen = self.choices.below(straight.len());
        Some(straight.get(chosen).copied().unwrap_or(Action::Wait))
    }

    /// Leaves out what is slow, as long as anything else happens.
    fn hold_up(&mut self, actions: &mut Vec<Action>) {
        let hazards = self.world.scenario.hazards;
        if hazards.slow_node.is_none() && !hazards.late_reports && !hazards.is_leisurely {
            return;
        }
        let is_fast = |action: &Action| {
            let server = self.world.server.lock();
            let node = match *action {
                Action::Start(_) if hazards.is_leisurely => return false,
                Action::Start(number) | Action::Poll(number) => self.tasks[number].request.node,
                Action::Execute(number) | Action::Answer(number) => server.calls[number].node,
                Action::Receive(node) => {
                    let next = server.links[node].stream.front();
                    if hazards.late_reports && matches!(next, Some(Item::Change(_))) {
                        return false;
                    }
                    node
                }
                _ => return true,
            };
            Some(node) != hazards.slow_node
        };
        // A slow node has to stand still while others commit nine times, or nobody forgets its commits.
        let gets_on = if hazards.slow_node.is_some() { 6 } else { 24 };
        if actions.iter().any(is_fast) && !self.choices.happens(gets_on) {
            actions.retain(is_fast);
        }
    }

    fn polls(&self, actions: &mut Vec<Action>) {
        for (number, task) in self.tasks.iter().enumerate() {
            if matches!(task.state, TaskState::Running(_)) && task.turn.is_due() {
                actions.push(Action::Poll(number));
            }
        }
    }

    fn arrivals(&self, actions: &mut Vec<Action>) {
        let server = self.world.server.lock();
        for (node, link) in server.links.iter().enumerate() {
            if !link.stream.is_empty() {
                actions.push(Action::Receive(node));
            }
        }
        let mut is_held = [false; MOST_NODES];
        for (number, call) in server.calls.iter().enumerate() {
            let link = &server.links[call.node];
            let is_current = call.epoch == link.epoch;
            if call.answer.is_some() && call.ended.is_none() && !link.is_ordered() {
                actions.push(Action::Answer(number));
            }
            // Calls on one connection reach the server in their order.
            let is_next = !link.is_ordered() || !is_current || !is_held[call.node];
            // What nobody waits for comes late, or not at all; on a connection, nothing gets past it.
            let is_wanted = call.ended.is_none() || (link.is_ordered() && is_current);
            if call.is_on_its_way {
                if is_next && (is_wanted || !self.is_straight) {
                    actions.push(Action::Execute(number));
                }
                is_held[call.node] |= is_current;
            }
        }
        for (browser, state) in self.world.browsers.borrow().iter().enumerate() {
            for response in 0..state.responses.len() {
                actions.push(Action::Deliver { browser, response });
            }
        }
    }

    fn beginnings(&self, actions: &mut Vec<Action>) {
        for (number, task) in self.tasks.iter().enumerate() {
            if matches!(task.state, TaskState::ToCome) {
                actions.push(Action::Start(number));
            }
        }
    }

    fn faults(&self, actions: &mut Vec<Action>) {
        let hazards = self.world.scenario.hazards;
        let server = self.world.server.lock();
        if self.world.scenario.faults > 0 {
            for (number, call) in server.calls.iter().enumerate() {
                let link = &server.links[call.node];
                if call.may_be_repeated() {
                    actions.push(Action::Repeat(number));
                }
                if call.ended.is_some() {
                    continue;
                }
                if !link.is_ordered() {
                    actions.push(Action::Lose(number));
                }
                if call.is_on_its_way {
                    actions.push(Action::Refuse(number));
                }
            }
            let ordered = server
                .links
                .iter()
                .enumerate()
                .filter(|(_, link)| link.is_ordered());
            actions.extend(ordered.map(|(node, _)| Action::Disconnect(node)));
        }
        for (number, task) in self.tasks.iter().enumerate() {
            if matches!(task.state, TaskState::Running(_) | TaskState::Kept(_)) && hazards.leaves {
                actions.push(Action::Leave(number));
            }
            if matches!(task.state, TaskState::Running(_)) && hazards.keeps {
                actions.push(Action::Keep(number));
            }
        }
        if hazards.losses {
            let live = server.past.ids().into_iter();
            let live = live.filter(|id| server.past.record(*id).is_some());
            actions.extend(live.map(Action::FailOver));
        }
    }

    fn resumption(&self) -> Option<Action> {
        let is_kept = |task: &Task| matches!(task.state, TaskState::Kept(_));
        self.tasks.iter().position(is_kept).map(Action::Resume)
    }

    /// While a request waits for the store, no more than its deadline: so what is overdue shows.
    fn passing(&mut self) -> Action {
        let journal = self.world.journal.borrow();
        let waits = |(task, log): (&Task, &VisitLog)| {
            matches!(task.state, TaskState::Running(_)) && log.phase.is_some()
        };
        let is_anybody_waiting = self.tasks.iter().zip(&journal.visits).any(waits);
        let may_be_long = self.world.scenario.hazards.pauses && !is_anybody_waiting;
        let spans = if may_be_long { PASSING } else { &PASSING[..4] };
        Action::Pass(spans[self.choices.below(spans.len())])
    }
}

/// The spans of time that may pass; the last only if nobody waits.
const PASSING: &[Duration] = &[
    Duration::from_millis(30),
    Duration::from_millis(150),
    MAX_STALENESS,
    Duration::from_secs(1),
    Duration::from_millis(4100),
];

const _: () = assert!(IDLE.as_millis() < 4100);

const MOST_NODES: usize = 2;
