use std::ops::Range;

use tenure_core::{
    Clock, Commit, Create, Delete, Freshness, Load, Principal, RECORD_HEADER_BYTES, Record,
    SecretHash, SessionId, SessionStore, StoreError, StoreErrorKind, Whose,
};

use super::{Fixture, Planted, steps};
use crate::records;

/// Loading bytes that are not a record, or not one that this version knows, is a `Corrupt` fault:
/// neither a session, nor "no session", nor a panic.
pub async fn bytes_that_are_no_record_are_a_fault(fixture: impl Fixture) {
    for damage in damages(&fixture) {
        if plant(&fixture, damage.id, &damage.bytes).await == Planted::Unrepresentable {
            return;
        }
        is_corrupt(damage.what, &load(&fixture, damage.id).await);
    }
    let bystander = steps::live(&fixture).await;
    steps::holds(&fixture, &bystander).await;
}

/// A record that names another id than the one under which it is stored is a `Corrupt` fault for
/// every verb but deletion, even if its version is the expected one: it must never be handed out.
pub async fn a_record_that_names_another_session_is_a_fault(fixture: impl Fixture) {
    let foreign = records::fresh(fixture.clock().now());
    let ours = records::fresh_under(records::random_id(), fixture.clock().now());
    if plant(&fixture, ours.id(), &foreign.encode()).await == Planted::Unrepresentable {
        return;
    }
    is_corrupt("load", &load(&fixture, ours.id()).await);
    let outcome = fixture
        .store()
        .commit(foreign.version(), records::successor(&ours))
        .await;
    is_corrupt("commit", &outcome);
    let outcome = fixture
        .store()
        .renew(ours.id(), steps::theirs(&ours), ours.absolute_end())
        .await;
    is_corrupt("renew", &outcome);
    is_corrupt("load", &load(&fixture, ours.id()).await);
    steps::absent(&fixture, foreign.id()).await;
    let outcome = steps::delete(&fixture, ours.id(), steps::theirs(&foreign)).await;
    assert_eq!(outcome, Delete::Deleted, "by the login that it has");
    steps::absent(&fixture, ours.id()).await;
}

/// No verb but deletion touches bytes that are no record: they may be the record of a later version
/// of tenure, in the middle of a rolling deployment.
///
/// A renewal may overlook damage that lies beyond the header.
pub async fn nothing_is_written_over_bytes_that_are_no_record(fixture: impl Fixture) {
    for damage in damages(&fixture) {
        let Damage { what, id, .. } = damage;
        if plant(&fixture, id, &damage.bytes).await == Planted::Unrepresentable {
            return;
        }
        let ours = records::fresh_under(id, fixture.clock().now());
        let outcome = fixture
            .store()
            .commit(ours.version(), records::successor(&ours))
            .await;
        is_corrupt(what, &outcome);
        is_corrupt(what, &load(&fixture, id).await);

        match fixture.store().create(ours.clone()).await {
            Ok(Create::Exists) => {}
            outcome => is_corrupt(what, &outcome),
        }
        is_corrupt(what, &load(&fixture, id).await);

        match fixture
            .store()
            .renew(id, steps::theirs(&ours), ours.lease_end())
            .await
        {
            Ok(_) if damage.shows == Shows::BeyondHeader => {}
            outcome => is_corrupt(what, &outcome),
        }
        is_corrupt(what, &load(&fixture, id).await);
    }
}

/// A session whose record is damaged, or newer than this version, can still be logged out by whoever holds
/// its secret. What is too short to have one is nobody's.
pub async fn bytes_that_are_no_record_can_be_deleted(fixture: impl Fixture) {
    for damage in damages(&fixture) {
        if plant(&fixture, damage.id, &damage.bytes).await == Planted::Unrepresentable {
            return;
        }
        let Damage { what, id, .. } = damage;
        let hash = damage
            .bytes
            .get(SECRET_HASH)
            .and_then(|hash| hash.try_into().ok());
        let secret = SecretHash::from_bytes(hash.unwrap_or_default());
        let outcome = steps::delete(&fixture, id, Whose::Secret(secret)).await;
        assert_eq!(outcome, Delete::Deleted, "{what}");
        steps::absent(&fixture, id).await;
    }
}

/// What is long enough for a record, and holds another secret, may be somebody's session, in whatever
/// format.
pub async fn bytes_that_may_be_someone_else_s_are_not_deleted(fixture: impl Fixture) {
    for damage in damages(&fixture) {
        if plant(&fixture, damage.id, &damage.bytes).await == Planted::Unrepresentable {
            return;
        }
        if damage.bytes.len() > RECORD_HEADER_BYTES {
            let other = Whose::Secret(SecretHash::from_bytes([1; 32]));
            let outcome = steps::delete(&fixture, damage.id, other).await;
            assert_eq!(outcome, Delete::Superseded, "{}", damage.what);
            is_corrupt(damage.what, &load(&fixture, damage.id).await);
        }
    }
}

/// Plants, and asserts what remains true of a store that keeps no bytes: there is nothing under an
/// id at which nothing could be planted.
async fn plant(fixture: &impl Fixture, id: SessionId, bytes: &[u8]) -> Planted {
    let planted = fixture.plant(id, bytes).await;
    if planted == Planted::Unrepresentable {
        steps::absent(fixture, id).await;
        let record = records::fresh_under(id, fixture.clock().now());
        let outcome = steps::commit(fixture, record.version(), &records::successor(&record)).await;
        assert_eq!(outcome, Commit::Gone, "a commit on nothing");
        let outcome = steps::delete(fixture, id, steps::theirs(&record)).await;
        assert_eq!(outcome, Delete::Absent, "a deletion of nothing");
        steps::absent(fixture, id).await;
    }
    planted
}

async fn load(fixture: &impl Fixture, id: SessionId) -> Result<Load, StoreError> {
    fixture.store().load(id, Freshness::Latest).await
}

fn is_corrupt<T: std::fmt::Debug>(what: &str, outcome: &Result<T, StoreError>) {
    match outcome {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{what}: {error:?}"),
        Ok(outcome) => panic!("{what}: expected a `Corrupt` fault, got {outcome:?}"),
    }
}

struct Damage {
    what: &'static str,
    id: SessionId,
    bytes: Vec<u8>,
    shows: Shows,
}

/// Where damage can be seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    /// In the length, the format or the flags, which every verb must check.
    InHeader,
    /// Only to someone who decodes the whole record.
    BeyondHeader,
}

type Edit = fn(&mut Vec<u8>);

fn damages(fixture: &impl Fixture) -> Vec<Damage> {
    let (header, beyond) = (Shows::InHeader, Shows::BeyondHeader);
    let edits: [(_, _, Edit); 15] = [
        ("no bytes", header, Vec::clear),
        ("text", header, |bytes| *bytes = b"{\"user\":1}".to_vec()),
        ("only zeros", header, |bytes| bytes.fill(0)),
        ("only ones", header, |bytes| bytes.fill(0xff)),
        ("half a header", header, |bytes| {
            bytes.truncate(RECORD_HEADER_BYTES / 2)
        }),
        ("a bare header", header, |bytes| {
            bytes.truncate(RECORD_HEADER_BYTES)
        }),
        ("an unknown format", header, |bytes| bytes[FORMAT] += 1),
        ("an unknown flag", header, |bytes| bytes[FLAGS] |= 0x80),
        ("no version", beyond, |bytes| {
            bytes[COUNTER..COUNTER + 8].fill(0)
        }),
        ("a lease beyond the absolute limit", beyond, |bytes| {
            bytes[LEASE_END] = 0xff
        }),
        ("a principal that is no text", beyond, |bytes| {
            bytes[PRINCIPAL + 1] = 0xff
        }),
        ("a principal longer than the record", beyond, |bytes| {
            bytes.truncate(PRINCIPAL + 2);
            bytes[PRINCIPAL] = 0xff;
        }),
        ("values cut off", beyond, |bytes| {
            bytes.truncate(bytes.len() - 1)
        }),
        ("a value that claims 4 GiB", beyond, |bytes| {
            bytes.extend(b"\0\x01z\xff\xff\xff\xff")
        }),
        ("values out of order", beyond, |bytes| {
            bytes.extend(b"\0\x01a\0\0\0\0")
        }),
    ];
    let damage = |(what, shows, edit): (_, _, Edit)| {
        let record: Record = records::fresh(fixture.clock().now());
        assert!(
            record.principal().map(Principal::as_str).is_some(),
            "one to damage"
        );
        let mut bytes = record.encode().to_vec();
        edit(&mut bytes);
        Damage {
            what,
            id: record.id(),
            bytes,
            shows,
        }
    };
    edits.into_iter().map(damage).collect()
}

// The stored form, as documented at `Record::encode`.
const FORMAT: usize = 0;
const FLAGS: usize = 1;
const COUNTER: usize = 18;
const LEASE_END: usize = 90;
const SECRET_HASH: Range<usize> = RECORD_HEADER_BYTES - 32..RECORD_HEADER_BYTES;
const PRINCIPAL: usize = RECORD_HEADER_BYTES;
