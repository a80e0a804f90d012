//! Every order there is: depth first, each run from the beginning, since futures cannot be cloned.

use std::{collections::HashSet, fmt};

use super::{process::Plan, world::World};

/// What came of an exploration.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Explored {
    /// The plan's name.
    pub name: &'static str,
    /// How many states there are.
    pub states: usize,
    /// How many runs it took to see them.
    pub runs: usize,
    /// How many of the states have no further turn.
    pub ends: usize,
    /// What did not hold, and the turns that led there.
    pub broken: Option<(String, Vec<String>)>,
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, states, runs) = (self.name, self.states, self.runs);
        write!(f, "{name:<58} {states:>7} states, {runs:>7} runs: ")?;
        match &self.broken {
            None => f.write_str("holds"),
            Some((broken, told)) => write!(f, "{broken}, by {}", told.join(" ")),
        }
    }
}

/// Looks at all states that a plan can lead to, until something does not hold.
///
/// # Panics
///
/// If a node fails where no fault was made, or no runtime is to be had.
#[must_use]
pub fn explore(plan: &Plan) -> Explored {
    let mut explored = Explored {
        name: plan.name,
        ..Explored::default()
    };
    let mut seen = HashSet::new();
    let mut todo = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let mut run = Run {
            plan,
            seen: &mut seen,
            todo: &mut todo,
            explored: &mut explored,
            path: Vec::new(),
            told: Vec::new(),
            last: None,
            failures: plan.failures,
        };
        runtime.expect("a runtime").block_on(run.go(path));
        explored.runs += 1;
        if explored.broken.is_some() {
            break;
        }
    }
    explored
}

#[derive(Clone, Copy, Debug)]
enum Choice {
    Turn(usize),
    Kill(usize),
    Leave(usize),
}

struct Run<'a> {
    plan: &'a Plan,
    /// States, with the failures that may still come.
    seen: &'a mut HashSet<(u64, u8)>,
    /// What else there is to choose.
    todo: &'a mut Vec<Vec<Choice>>,
    explored: &'a mut Explored,
    path: Vec<Choice>,
    told: Vec<String>,
    /// Who took the last turn.
    last: Option<usize>,
    failures: u8,
}

impl Run<'_> {
    async fn go(&mut self, path: Vec<Choice>) {
        let world = World::new(self.plan, KEY).await;
        for choice in path {
            self.choose(&world, choice).await;
        }
        loop {
            if !self.seen.insert((world.fingerprint().await, self.failures)) {
                return;
            }
            self.explored.states += 1;
            if let Some(violation) = world.violation().await {
                self.explored.broken = Some((violation, self.told.clone()));
                return;
            }
            let choices = self.choices(&world);
            let Some((first, others)) = choices.split_first() else {
                self.explored.ends += 1;
                return;
            };
            for other in others {
                self.todo.push([&self.path[..], &[*other]].concat());
            }
            self.choose(&world, *first).await;
        }
    }

    fn choices(&self, world: &World) -> Vec<Choice> {
        let turns = world.turns();
        let mut choices: Vec<_> = turns
            .iter()
            .map(|(number, ..)| Choice::Turn(*number))
            .collect();
        // Whoever fails does so right after a turn of theirs: later would come to the same, since in between they do
        // nothing, and earlier they have done nothing yet.
        if let Some(actor) = self.last.filter(|_| self.failures > 0)
            && world.is_under_way(actor)
        {
            choices.push(Choice::Kill(actor));
            if !world.is_done(actor) {
                choices.push(Choice::Leave(actor));
            }
        }
        choices
    }

    async fn choose(&mut self, world: &World, choice: Choice) {
        let mut last = None;
        let told = match choice {
            Choice::Turn(number) => {
                let turns = world.turns();
                let turn = turns.iter().find(|(turn, ..)| *turn == number);
                let (_, actor, label) = turn.expect("the same turns as before");
                let told = format!("{actor}:{label}");
                last = Some(*actor);
                world.take_turn(number).await;
                told
            }
            Choice::Kill(actor) => {
                self.failures -= 1;
                world.kill(actor);
                format!("{actor}:DIES")
            }
            Choice::Leave(actor) => {
                self.failures -= 1;
                world.leave(actor).await;
                format!("{actor}:LEAVES")
            }
        };
        self.last = last;
        self.told.push(told);
        self.path.push(choice);
    }
}

/// Nobody is to be kept out here, and cookies are to be the same in each run.
const KEY: &str = "6a6d2cb662cc5091f79926858e30f473c844127dd23c0cc55c15dd8578b049ef";
