//! What requests see is new enough, and belongs to them.

use tenure_core::{Relation, SessionId, Timestamp, Version};

use crate::{
    history::{Operation, What, check_chain},
    journal::{Journal, Kind, Read, Violation},
    server::{Change, Server},
    world::MAX_STALENESS,
};

pub(super) fn check(journal: &Journal, server: &Server, violations: &mut Vec<Violation>) {
    for read in &journal.reads {
        if let Some((kind, story)) = fault(journal, server, read) {
            violations.push(Violation { kind, story });
        }
    }
    if !server.past.has_losses() {
        for id in server.past.ids() {
            if let Err(fault) = check_chain(&history(journal, server, id)) {
                let story = format!("reads and commits of a session: {fault}");
                violations.push(Violation {
                    kind: Kind::NotLinearizable,
                    story,
                });
            }
        }
    }
}

fn fault(journal: &Journal, server: &Server, read: &Read) -> Option<(Kind, String)> {
    let (id, seen) = read.seen?;
    let visit = read.visit;
    let mut of_version = server.past.of(id).filter(|change| {
        change
            .record
            .as_ref()
            .is_some_and(|record| record.version() == seen)
    });
    let first = of_version.next()?;
    let record = of_version.next_back().unwrap_or(first).record.as_ref()?;
    let presented = journal.visits[visit]
        .presented
        .filter(|cookie| cookie.id == id && !read.is_refresh);
    if let Some(cookie) = presented {
        if record.secret_hash() != cookie.secret {
            return Some((
                Kind::LetIn,
                format!("request {visit} was let in with a replaced secret"),
            ));
        }
        let relation = record.lineage().relation(cookie.version);
        if matches!(relation, Relation::Behind | Relation::Fork) {
            let story = format!(
                "request {visit} was shown version {} although its cookie has seen {}",
                seen.counter(),
                cookie.version.counter()
            );
            return Some((Kind::BelowFloor, story));
        }
        if record.lease_end() <= read.began_at {
            return Some((
                Kind::Expired,
                format!("request {visit} was let into an expired session"),
            ));
        }
    }
    let ended_at = end_of(server, id, seen)?;
    let is_bounded = ended_at.as_millis() + u64::try_from(MAX_STALENESS.as_millis()).ok()?
        > read.began_at.as_millis();
    (!is_bounded).then(|| {
        let story = format!(
            "request {visit} was shown version {} although it was replaced {:?} before",
            seen.counter(),
            read.began_at.since(ended_at)
        );
        (Kind::OldRead, story)
    })
}

/// When a version was replaced or deleted, for the last time if it was lost and written again.
fn end_of(server: &Server, id: SessionId, version: Version) -> Option<Timestamp> {
    let holds = |change: &&Change| {
        change
            .record
            .as_ref()
            .is_some_and(|record| record.version() == version)
    };
    let later = server.past.of(id).rev().take_while(|change| !holds(change));
    later.last().map(|change| change.cause.at)
}

/// The operations that promise to be linearizable: all commits, the reads that asked the store, and those of
/// sessions that were deleted.
fn history(journal: &Journal, server: &Server, id: SessionId) -> Vec<Operation<Version>> {
    let mut history = Vec::new();
    let mut parent = None;
    for change in server.past.of(id) {
        let call = change.cause.call.and_then(|call| server.calls.get(call));
        let sent = call.map_or(change.cause.step, |call| call.sent);
        let Some(record) = &change.record else {
            let ended = journal
                .endings
                .iter()
                .find(|ending| ending.id == id)
                .map(|it| it.step);
            history.push(operation(sent, ended, What::Delete));
            continue;
        };
        let version = record.version();
        // A renewal keeps the version.
        if parent == Some(version) {
            continue;
        }
        let acknowledged = journal
            .commits
            .iter()
            .filter(|commit| commit.version == version);
        let ended = acknowledged.map(|commit| commit.ended).min();
        history.push(operation(sent, ended, What::Write { parent, version }));
        parent = Some(version);
    }
    for read in &journal.reads {
        let asks_the_store = read.is_refresh || !server.is_cached(journal.visits[read.visit].node);
        if let Some((_, version)) = read.seen.filter(|(seen, _)| *seen == id && asks_the_store) {
            history.push(operation(read.began, Some(read.ended), What::Read(version)));
        }
    }
    history
}

fn operation(began: u32, ended: Option<u32>, what: What<Version>) -> Operation<Version> {
    Operation {
        began: began.into(),
        ended: ended.map(Into::into),
        what,
    }
}
