//! What must hold after every schedule.

mod endings;
mod reads;
mod updates;

use crate::{journal::Violation, world::World};

/// Compares what was seen with what the server has stored.
pub(crate) fn check(world: &World, violations: &mut Vec<Violation>) {
    let journal = world.journal.borrow();
    let server = world.server.lock();
    updates::check(&journal, &server.past, violations);
    endings::check(&journal, &server, violations);
    reads::check(&journal, &server, violations);
}
