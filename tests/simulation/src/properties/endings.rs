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

/// Who ends a session ends it as they have seen it: a login that has followed is somebody else's.
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
    let mut known = journal.known_to(actor).filter(|(id, _)| *id == deletion.id);
    let is_known = known.any(|(id, version)| {
        past.of(id).any(|change| {
            change.record.as_ref().is_some_and(|record| {
                record.version() == version && record.login() == ended.login()
            })
        })
    });
    if !is_known {
        let story =
            format!("request {actor} has ended a session as of a login that it has not seen");
        violations.push(Violation {
            kind: Kind::ForeignDeletion,
            story,
        });
    }
}
