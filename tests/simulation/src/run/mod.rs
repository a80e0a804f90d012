//! One schedule: who gets on next, what arrives, what is lost, and how much time passes.

mod action;
mod decide;

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tenure_core::{StoreErrorKind, VersionUse};

use self::action::Action;
use crate::{
    bell::{Bell, Turn},
    choices::Choices,
    journal::{Fate, Kind, Violation, VisitLog},
    properties,
    scenario::{Request, Scenario},
    server::{Link, Server, SimulatedClock},
    visit::{visit, visit_of},
    world::{MAX_STALENESS, PanicOf, Trace, World},
};

/// What came of a schedule.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violations: Vec<Violation>,
    /// What was decided.
    pub(crate) taken: Vec<u8>,
    pub(crate) trace: Vec<String>,
}

/// Runs a scenario under a schedule. The same two give the same outcome.
///
/// The real manager, line and cache run, on this thread, with tokio's clock standing still unless the
/// schedule moves it.
pub(crate) fn run(scenario: &Scenario, choices: Choices, trace: Trace) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    // tokio's budget makes futures yield that do much at once; here one task polls them all.
    runtime.block_on(tokio::task::coop::unconstrained(async {
        let mut run = Run::new(scenario, choices, trace);
        run.begin().await;
        run.go_on().await;
        run.end().await;
        run.into_outcome()
    }))
}

struct Run {
    world: Rc<World>,
    clock: SimulatedClock,
    bell: Arc<Bell>,
    choices: Choices,
    tasks: Vec<Task>,
    /// How many more faults there may be.
    faults: u8,
    /// Whether nothing goes wrong, and all go on in order.
    is_straight: bool,
}

/// A request, as the schedule sees it.
struct Task {
    request: Request,
    turn: Arc<Turn>,
    state: TaskState,
}

enum TaskState {
    ToCome,
    Running(Pin<Box<dyn Future<Output = ()>>>),
    Kept(Pin<Box<dyn Future<Output = ()>>>),
    Over,
}

impl Run {
    fn new(scenario: &Scenario, choices: Choices, trace: Trace) -> Self {
        let clock = SimulatedClock::starting_now();
        let bell = Arc::<Bell>::default();
        let links = scenario
            .nodes
            .iter()
            .map(|node| Link::new(node.link, node.is_cached))
            .collect();
        let mut server = Server::new(links, scenario.flaw, clock, Waker::from(Arc::clone(&bell)));
        if scenario.hazards.is_unwitnessed {
            server.version_use = VersionUse::Unused;
        }
        let hazards = scenario.hazards;
        let extra = [hazards.leaves, hazards.keeps, hazards.losses];
        let extra = u8::from(extra.into_iter().any(|hazard| hazard));
        Self {
            world: Rc::new(World::new(scenario, server, clock, trace)),
            clock,
            bell,
            choices,
            tasks: Vec::new(),
            faults: scenario.faults + extra,
            is_straight: true,
        }
    }

    /// The first request, before all others.
    async fn begin(&mut self) {
        let steps = self.world.scenario.beginning.clone();
        if steps.is_empty() {
            // Numbers of requests begin at one all the same.
            self.add(Request {
                node: 0,
                browser: 0,
                is_replay: false,
                steps,
                status: 200,
            });
            self.tasks[0].state = TaskState::Over;
            return;
        }
        self.add(Request {
            node: 0,
            browser: 0,
            is_replay: false,
            steps,
            status: 200,
        });
        self.drive().await;
    }

    async fn go_on(&mut self) {
        for request in self.world.scenario.requests.clone() {
            self.add(request);
        }
        self.is_straight = false;
        self.drive().await;
        self.is_straight = true;
    }

    /// What is late arrives, or never does; then caches are asked once more.
    async fn end(&mut self) {
        for number in 0..self.tasks.len() {
            self.leave(number);
        }
        let calls = self.world.server.lock().calls.len();
        for call in 0..calls {
            let is_late = self.world.server.lock().calls[call].is_on_its_way;
            if is_late && self.choices.below(2) == 1 {
                self.perform(Action::Execute(call)).await;
            }
        }
        self.drive().await;
        let nodes = self.world.scenario.nodes.clone();
        let cached = nodes.iter().enumerate().filter(|(_, node)| node.is_cached);
        for (node, _) in cached {
            self.perform(Action::Pass(MAX_STALENESS)).await;
            self.add(Request {
                node,
                browser: 0,
                is_replay: false,
                steps: Vec::new(),
                status: 200,
            });
            self.drive().await;
        }
    }

    fn add(&mut self, request: Request) {
        let log = VisitLog {
            node: request.node,
            ..VisitLog::default()
        };
        self.world.journal.borrow_mut().visits.push(log);
        self.tasks.push(Task {
            request,
            turn: Arc::new(Turn::new(Arc::clone(&self.bell))),
            state: TaskState::ToCome,
        });
    }

    /// Until all requests are over and all responses have arrived.
    async fn drive(&mut self) {
        for _ in 0..MOST_STEPS {
            let Some(action) = self.decide() else { return };
            self.perform(action).await;
        }
        self.report(Kind::Overdue, "the requests have no end".to_owned());
    }

    async fn perform(&mut self, action: Action) {
        self.tell(action);
        if self.perform_there(action) {
            self.perform_here(action).await;
        }
        if self.world.scenario.nodes.iter().any(|node| node.is_cached) {
            // A cache's own task may have something to do.
            tokio::task::yield_now().await;
        }
    }

    /// What happens on the network and at the server; otherwise returns true.
    fn perform_there(&mut self, action: Action) -> bool {
        let mut server = self.world.server.lock();
        server.step += 1;
        match action {
            Action::Execute(number) => server.execute(number),
            Action::Answer(number) => server.answer(number),
            Action::Receive(node) => server.receive(node),
            Action::Repeat(number) => {
                self.faults -= 1;
                server.repeat(number);
            }
            Action::Lose(number) => {
                self.faults -= 1;
                server.fail(number, StoreErrorKind::Interrupted);
            }
            Action::Refuse(number) => {
                self.faults -= 1;
                server.calls[number].is_on_its_way = false;
                server.fail(number, StoreErrorKind::Unavailable);
            }
            Action::Disconnect(node) => {
                self.faults -= 1;
                server.disconnect(node);
            }
            Action::FailOver(id) => {
                self.faults -= 1;
                server.fail_over(id);
            }
            Action::Start(_)
            | Action::Poll(_)
            | Action::Deliver { .. }
            | Action::Wait
            | Action::Pass(_)
            | Action::Leave(_)
            | Action::Keep(_)
            | Action::Resume(_) => return true,
        }
        false
    }

    /// What happens without the server.
    async fn perform_here(&mut self, action: Action) {
        match action {
            Action::Start(number) => {
                let request = self.tasks[number].request.clone();
                let future = Box::pin(visit(Rc::clone(&self.world), number, request));
                self.tasks[number].state = TaskState::Running(future);
                self.poll(number);
            }
            Action::Poll(number) => self.poll(number),
            Action::Deliver { browser, response } => self.world.deliver(browser, response),
            Action::Wait => self.wait().await,
            Action::Pass(span) => {
                tokio::time::advance(span).await;
                self.world.server.lock().elapsed(span);
            }
            Action::Leave(number) => {
                self.faults -= 1;
                self.leave(number);
            }
            Action::Keep(number) => {
                self.faults -= 1;
                self.world.journal.borrow_mut().visits[number].was_kept = true;
                let task = &mut self.tasks[number];
                task.state = match std::mem::replace(&mut task.state, TaskState::Over) {
                    TaskState::Running(future) => TaskState::Kept(future),
                    other => other,
                };
            }
            Action::Resume(number) => {
                let task = &mut self.tasks[number];
                task.state = match std::mem::replace(&mut task.state, TaskState::Over) {
                    TaskState::Kept(future) => TaskState::Running(future),
                    other => other,
                };
            }
            _ => {}
        }
    }

    /// Until somebody can go on, be it because a timer of theirs is due: tokio moves its clock there, since
    /// nothing else is left to do.
    async fn wait(&mut self) {
        let before = self.clock.elapsed();
        let rung = tokio::time::timeout(PATIENCE, self.bell.rung()).await;
        let span = self.clock.elapsed().saturating_sub(before);
        self.world.server.lock().elapsed(span);
        if rung.is_err() {
            self.report(
                Kind::Overdue,
                format!("nothing has happened for {PATIENCE:?}"),
            );
            for number in 0..self.tasks.len() {
                self.leave(number);
            }
        }
    }

    fn poll(&mut self, number: usize) {
        let task = &mut self.tasks[number];
        let TaskState::Running(future) = &mut task.state else {
            return;
        };
        self.world.server.lock().actor = Some(number);
        let waker = task.turn.take();
        let polling =
            std::panic::AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker)));
        let polled = std::panic::catch_unwind(polling);
        self.world.server.lock().actor = None;
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => task.state = TaskState::Over,
            Err(panic) => {
                self.leave(number);
                let culprit = panic
                    .downcast_ref::<PanicOf>()
                    .map(|panic| visit_of(panic.change));
                if culprit != Some(number) {
                    let story =
                        format!("request {number} panics over what request {culprit:?} does");
                    self.report(Kind::Panic, story);
                }
            }
        }
    }

    /// The client leaves: its request's future is dropped.
    fn leave(&mut self, number: usize) {
        let state = std::mem::replace(&mut self.tasks[number].state, TaskState::Over);
        let is_in_the_middle = matches!(state, TaskState::Running(_) | TaskState::Kept(_));
        drop(state);
        if is_in_the_middle {
            let mut journal = self.world.journal.borrow_mut();
            let phase = journal.visits[number].phase.take();
            let may_be_written =
                phase.is_some_and(|phase| matches!(phase.name, "commit" | "finish"));
            let fate = if may_be_written {
                Fate::Unknown
            } else {
                Fate::Refused
            };
            journal
                .pending(number)
                .for_each(|change| change.fate = fate);
        }
    }

    fn check_overdue(&self) {
        let now = self.world.server.lock().now();
        let journal = self.world.journal.borrow();
        let mut overdue = None;
        for ((number, task), log) in self.tasks.iter().enumerate().zip(&journal.visits) {
            let Some(phase) = log.phase.filter(|_| !log.was_kept) else {
                continue;
            };
            if matches!(task.state, TaskState::Running(_)) && now.since(phase.at) > PATIENCE {
                overdue = Some(format!(
                    "the {} of request {number} does not end",
                    phase.name
                ));
            }
        }
        drop(journal);
        if let Some(story) = overdue {
            self.report(Kind::Overdue, story);
        }
    }

    fn report(&self, kind: Kind, story: String) {
        self.world
            .journal
            .borrow_mut()
            .violations
            .push(Violation { kind, story });
    }

    fn into_outcome(mut self) -> Outcome {
        self.tasks.clear();
        if Arc::strong_count(&self.world.canary) > 1 {
            self.report(
                Kind::Leak,
                "a request is over, but its changes are still held".to_owned(),
            );
        }
        let mut violations = std::mem::take(&mut self.world.journal.borrow_mut().violations);
        properties::check(&self.world, &mut violations);
        violations.dedup_by_key(|violation| violation.kind);
        Outcome {
            violations,
            taken: self.choices.into_taken(),
            trace: self.world.trace.take(),
        }
    }
}

/// Longer than any call of the manager may take: six deadlines, each passed over by another one.
const PATIENCE: Duration = Duration::from_secs(12);

/// A schedule has a hundred steps, or two.
const MOST_STEPS: u32 = 5000;
