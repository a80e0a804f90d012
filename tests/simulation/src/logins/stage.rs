//! Whose turn it is.

use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Where all nodes' calls wait for their turns.
#[derive(Debug, Default)]
pub(super) struct Stage(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Before that, nobody waits: what there is at the beginning is being made.
    has_begun: bool,
    waiting: Vec<Waiting>,
    actors: Vec<Actor>,
    /// Counts everything that happens, to see when nothing does.
    activity: u64,
}

#[derive(Debug)]
struct Waiting {
    actor: usize,
    label: &'static str,
    go: oneshot::Sender<()>,
}

#[derive(Clone, Debug, Default, Hash)]
struct Actor {
    /// All that it has asked and was told: what it does next follows from that.
    history: u64,
    is_dead: bool,
    has_left: bool,
}

impl Stage {
    pub(super) fn begin(&self, actors: usize) {
        let mut inner = self.0.lock();
        inner.has_begun = true;
        inner.actors = vec![Actor::default(); actors];
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, actor: usize, label: &'static str) {
        let turn = {
            let mut inner = self.0.lock();
            inner.activity += 1;
            if !inner.has_begun {
                return;
            }
            let (go, turn) = oneshot::channel();
            inner.waiting.push(Waiting { actor, label, go });
            turn
        };
        // The sender lives until it is the turn, or until all of this is over.
        let _ = turn.await;
    }

    /// Takes in what an actor was told.
    pub(super) fn told(&self, actor: usize, label: &'static str, answer: &impl Hash) {
        let mut inner = self.0.lock();
        inner.activity += 1;
        if let Some(actor) = inner.actors.get_mut(actor) {
            let mut hasher = DefaultHasher::new();
            (actor.history, label).hash(&mut hasher);
            answer.hash(&mut hasher);
            actor.history = hasher.finish();
        }
    }

    /// Who waits for what, of those that live, in an order that follows from the state.
    pub(super) fn waiting(&self) -> Vec<(usize, &'static str)> {
        let mut inner = self.0.lock();
        inner.waiting.retain(|waiting| !waiting.go.is_closed());
        let live = |waiting: &&Waiting| !inner.actors[waiting.actor].is_dead;
        let waiting = inner.waiting.iter().filter(live);
        waiting
            .map(|waiting| (waiting.actor, waiting.label))
            .collect()
    }

    /// Gives the turn to one of those that wait.
    pub(super) fn go(&self, number: usize) {
        let mut inner = self.0.lock();
        let live = |waiting: &Waiting| !inner.actors[waiting.actor].is_dead;
        let place = (inner.waiting.iter().enumerate())
            .filter(|(_, waiting)| live(waiting))
            .map(|(place, _)| place)
            .nth(number)
            .expect("somebody who waits");
        let waiting = inner.waiting.remove(place);
        inner.activity += 1;
        let _ = waiting.go.send(());
    }

    /// A node that dies takes no turn any more.
    pub(super) fn kill(&self, actor: usize) {
        self.0.lock().actors[actor].is_dead = true;
    }

    /// A client that leaves is not heard of any more; what its node does behind it goes on.
    pub(super) fn leave(&self, actor: usize) {
        self.0.lock().actors[actor].has_left = true;
    }

    pub(super) fn activity(&self) -> u64 {
        self.0.lock().activity
    }

    pub(super) fn hash_into(&self, hasher: &mut impl Hasher) {
        let inner = self.0.lock();
        inner.actors.hash(hasher);
        for waiting in &inner.waiting {
            (waiting.actor, waiting.label).hash(hasher);
        }
    }
}
