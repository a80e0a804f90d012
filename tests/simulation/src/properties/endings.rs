//! A session that was ended stays ended, and nobody ends one who may not.

use crate::{
    journal::{Journal, Kind, Violation},
    server::{Change, Server},
};

pub(super) fn check(journal: &Journal, server: &Server, violations: &mut Vec<Violation>) {
    let past = &server.past;
    for ending in &journal.endings {
        let mut later = past
            .of(ending.id)
            .filter(|change| change.cause.step > ending.step);
        let is_there = past.before(ending.id, ending.step + 1).is_some();
        if is_there || later.any(|change| change.record.is_some()) {
            let story = format!(
                "a session is stored after its logout of step {}",
                ending.step
            );
            violations.push(Violation {
                kind: Kind::CameBack,
                story,
            });
        }
    }
    if past.has_losses() {
        return;
    }
    for change in past.changes.iter().filter(|change| change.record.is_none()) {
        check_deletion(journal, server, change, violations);
    }
}

/// Only who knows a session's secret may end it: the one that its cookie has brought along, or one that it
/// has drawn itself.
fn check_deletion(
    journal: &Journal,
    server: &Server,
    deletion: &Change,
    violations: &mut Vec<Violation>,
) {
    let past = &server.past;
    let Some(actor) = deletion.cause.actor else {
        return;
    };
    let Some(ended) = past.before(deletion.id, deletion.cause.step) else {
        return;
    };
    let brought = journal.visits[actor].presented;
    let is_brought = brought.is_some_and(|cookie| cookie.secret == ended.secret_hash());
    let held = &journal.visits[actor].held;
    let is_drawn = past.of(deletion.id).any(|change| {
        change.record.as_ref().is_some_and(|record| {
            held.contains(&(deletion.id, record.version()))
                && record.secret_hash() == ended.secret_hash()
        })
    });
    if !is_brought && !is_drawn {
        let story = format!("request {actor} has ended a session whose secret it does not know");
        violations.push(Violation {
            kind: Kind::ForeignDeletion,
            story,
        });
    }
}
