//! What was acknowledged is there, and what was refused is not: of requests that put back what they had read, that
//! outlast a grace, that go on after an outcome nobody knows, or that share a commit with a login.
//!
//! Each of these was once answered with 200 although something of it was missing, or was somewhere else.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::time::Duration;

use tenure_core::{
    KeyRing, MemoryStore, Session, SessionError, SessionHandle, SessionManager, SessionStore,
    StoreErrorKind,
};
use tenure_near_cache::NearCache;
use tenure_testing::{FaultyStore, FedStore, ManualClock, Moment, SlowStore, Verb};
use tenure_tests::{Visitor, random_key, settle};

fn manager(store: impl SessionStore) -> SessionManager {
    SessionManager::builder(store, KeyRing::generate().unwrap())
        .build()
        .unwrap()
}

fn increment(session: &Session) -> u64 {
    let next = |n: Option<u64>| n.unwrap_or(0) + 1;
    session.update("n", next).unwrap()
}

async fn value(visitor: &Visitor, key: &str) -> Option<u64> {
    visitor.load().await.1.get(key).unwrap()
}

/// A visitor whose session holds a value.
async fn begun(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("x", 1).unwrap())
        .await;
    visitor
}

/// A visitor whose session exists and holds no values.
async fn emptied(manager: &SessionManager) -> Visitor {
    let mut visitor = begun(manager).await;
    visitor
        .request(async |session| session.clear().unwrap())
        .await;
    visitor
}

#[tokio::test]
async fn a_login_that_clears_first_takes_over_nothing_of_who_was_there_before() {
    let manager = manager(MemoryStore::new());
    let mut visitor = emptied(&manager).await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    // Somebody else's request is faster.
    other
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    session.clear().unwrap();
    session.login("ada").unwrap();
    let finish = visitor.finish(&handle).await;
    assert!(finish.refusal.is_none(), "{finish:?}");
    assert_eq!(value(&visitor, "basket").await, None, "in ada's session");
}

#[tokio::test]
async fn a_value_seen_absent_and_removed_is_not_there_after_the_same_request_s_login() {
    let manager = manager(MemoryStore::new());
    let mut visitor = emptied(&manager).await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    other
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    assert!(!session.contains("basket").unwrap());
    session.remove("basket").unwrap();
    session.login("ada").unwrap();
    let finish = visitor.finish(&handle).await;
    let basket = value(&visitor, "basket").await;
    assert!(
        finish.refusal.is_some() || basket.is_none(),
        "neither a conflict nor removed: {basket:?} in ada's session"
    );
}

#[tokio::test]
async fn a_login_that_came_too_late_begins_a_session_with_all_that_its_request_has_put_there() {
    let manager = manager(MemoryStore::new());
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("lang", 1).unwrap())
        .await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    other
        .request(async |session| session.login("ada").unwrap())
        .await;
    assert_eq!(session.get("lang").unwrap(), Some(1));
    session.insert("lang", 1).unwrap();
    session.insert("theme", 2).unwrap();
    session.login("ada").unwrap();
    let finish = visitor.finish(&handle).await;
    assert!(finish.refusal.is_none(), "{finish:?}");
    assert_eq!(value(&visitor, "theme").await, Some(2));
    assert_eq!(value(&visitor, "lang").await, Some(1), "acknowledged");
}

#[tokio::test]
async fn a_value_read_and_put_back_with_other_changes_conflicts_if_it_was_changed_in_between() {
    let manager = manager(MemoryStore::new());
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("owner", 1).unwrap())
        .await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    other
        .request(async |session| session.insert("owner", 2).unwrap())
        .await;
    assert_eq!(session.get("owner").unwrap(), Some(1));
    session.insert("owner", 1).unwrap();
    session.insert("granted_to", 1).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stored = (
        value(&visitor, "owner").await,
        value(&visitor, "granted_to").await,
    );
    assert!(
        refusal.is_some() || stored == (Some(1), Some(1)),
        "acknowledged, and written in part: {stored:?}"
    );
}

/// Two nodes with near caches over one store whose feed is held up for a moment.
fn two_nodes() -> (FedStore<MemoryStore>, SessionManager, SessionManager) {
    let fed = FedStore::new(MemoryStore::new());
    let keys = random_key();
    let node = || {
        SessionManager::builder(NearCache::new(fed.clone()), keys.parse().unwrap())
            .build()
            .unwrap()
    };
    let (here, there) = (node(), node());
    (fed, here, there)
}

#[tokio::test]
async fn a_clear_that_was_acknowledged_after_another_commit_is_not_lost() {
    let (fed, here, there) = two_nodes();
    let mut visitor = emptied(&here).await;
    visitor.load().await;
    let web_socket = visitor.at(&there).load().await.1.detach().unwrap();

    fed.silence();
    web_socket.insert("draft", 2).unwrap();
    web_socket.commit().await.unwrap();
    visitor
        .request(async |session| session.clear().unwrap())
        .await;
    fed.deliver();
    assert_eq!(value(&visitor, "draft").await, None, "cleared last");
}

/// A detached session's commit and a login go into one commit; then the grace passes.
#[tokio::test]
async fn what_is_detached_ends_with_its_secret_even_after_the_grace() {
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let slow = SlowStore::new(memory.clone());
    let manager = SessionManager::builder(slow.clone(), KeyRing::generate().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut visitor = begun(&manager).await;
    let detached = visitor.load().await.1.detach().unwrap();

    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    let head = visitor.clone();
    let head = tokio::spawn(async move {
        let (handle, session) = head.load().await;
        session.insert("head", 1).unwrap();
        handle.finish(200).await.refusal
    });
    gate.arrivals(1).await;
    increment(&detached);
    let first = tokio::spawn({
        let detached = detached.clone();
        async move { detached.commit().await }
    });
    settle().await;
    let login = tokio::spawn(async move {
        visitor
            .request(async |session| session.login("ada").unwrap())
            .await;
        visitor
    });
    settle().await;
    gate.open();
    assert!(head.await.unwrap().is_none());
    first.await.unwrap().unwrap();
    let visitor = login.await.unwrap();
    assert_eq!(value(&visitor, "n").await, Some(1));
    increment(&detached);
    let too_late = detached.commit().await;
    assert!(
        matches!(too_late, Err(SessionError::Superseded)),
        "{too_late:?}"
    );
    assert_eq!(memory.len(), 1);

    clock.advance(Duration::from_secs(31));
    increment(&detached);
    let later = detached.commit().await;
    assert_eq!(memory.len(), 1, "a session that nobody can open");
    assert!(
        matches!(later, Err(SessionError::Superseded)),
        "{later:?}, and n is {:?}",
        value(&visitor, "n").await
    );
}

/// A request from before ada's login, which reached its handler just after it, and has been there for longer than the
/// grace.
async fn slower_than_the_grace() -> (MemoryStore, SessionHandle, Session) {
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let manager = SessionManager::builder(memory.clone(), KeyRing::generate().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut visitor = begun(&manager).await;
    let before = visitor.clone();
    visitor
        .request(async |session| session.login("ada").unwrap())
        .await;
    let (handle, session) = before.load().await;
    clock.advance(Duration::from_secs(31));
    (memory, handle, session)
}

#[tokio::test]
async fn a_slow_response_from_before_a_login_does_not_overwrite_its_cookie() {
    let (_, handle, session) = slower_than_the_grace().await;
    session.insert("x", 2).unwrap();
    let finish = handle.finish(200).await;
    assert!(
        finish.set_cookie.is_none(),
        "it replaces ada's cookie: {finish:?}"
    );
}

#[tokio::test]
async fn a_value_read_and_then_replaced_conflicts_also_if_the_request_had_put_it_there() {
    let manager = manager(MemoryStore::new());
    let mut visitor = emptied(&manager).await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    session.insert("stock", 10).unwrap();
    let seen: u64 = session.get("stock").unwrap().unwrap();
    session.commit().await.unwrap();
    other
        .request(async |session| session.insert("stock", 3).unwrap())
        .await;
    session.insert("stock", seen - 1).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stock = value(&visitor, "stock").await;
    assert!(
        matches!(refusal, Some(SessionError::Conflict { .. })),
        "read 10, changed to 3 by another, replaced: {stock:?}"
    );
}

#[tokio::test]
async fn a_commit_that_fails_with_anything_but_an_unknown_outcome_has_written_nothing() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = manager(slow.clone());
    let mut visitor = emptied(&manager).await;
    let mut other = visitor.clone();

    let (handle, session) = visitor.load().await;
    other
        .request(async |session| session.insert("n", "text").unwrap())
        .await;
    let gate = slow.hold(Verb::Commit, Moment::BeforeCall);
    session.insert("paid", 1).unwrap();
    let committing = tokio::spawn({
        let session = session.clone();
        async move { session.commit().await }
    });
    gate.arrivals(1).await;
    // Another task of the same request.
    increment(&session);
    gate.open();
    let outcome = committing.await.unwrap();
    let _ = visitor.finish(&handle).await;
    let paid = value(&visitor, "paid").await;
    if let Err(error) = outcome {
        assert_eq!(paid, None, "written, although {error}");
    }
}

/// A handler whose commit has an unknown outcome takes the change back, and is told that it has.
#[tokio::test]
async fn a_change_taken_back_after_an_unknown_outcome_is_taken_back_or_refused() {
    let faulty = FaultyStore::new(MemoryStore::new());
    let manager = manager(faulty.clone());
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("locked", 0).unwrap())
        .await;
    let (handle, session) = visitor.load().await;
    assert_eq!(session.get("locked").unwrap(), Some(0));
    session.insert("locked", 1).unwrap();
    let lost = StoreErrorKind::Interrupted;
    faulty.fail_next(2, Verb::Commit, Moment::AfterCall, lost);
    let outcome = session.commit().await;
    assert!(matches!(outcome, Err(SessionError::Store(error)) if error.outcome_unknown()));
    assert_eq!(session.get("locked").unwrap(), Some(0));
    session.insert("locked", 0).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stored = value(&visitor, "locked").await;
    assert!(
        refusal.is_some() || stored == Some(0),
        "acknowledged as 0, stored: {stored:?}"
    );
}

#[tokio::test]
async fn a_clear_after_an_unknown_outcome_clears_or_is_refused() {
    let faulty = FaultyStore::new(MemoryStore::new());
    let manager = manager(faulty.clone());
    let mut visitor = emptied(&manager).await;
    let (handle, session) = visitor.load().await;
    session.insert("code", 1234).unwrap();
    let lost = StoreErrorKind::Interrupted;
    faulty.fail_next(2, Verb::Commit, Moment::AfterCall, lost);
    assert!(session.commit().await.is_err());
    session.clear().unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stored = value(&visitor, "code").await;
    assert!(
        refusal.is_some() || stored.is_none(),
        "acknowledged as cleared, stored: {stored:?}"
    );
}

#[tokio::test]
async fn a_change_taken_back_after_a_dropped_commit_is_taken_back_or_refused() {
    let slow = SlowStore::new(MemoryStore::new());
    let manager = manager(slow.clone());
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("locked", 0).unwrap())
        .await;
    let (handle, session) = visitor.load().await;
    assert_eq!(session.get("locked").unwrap(), Some(0));
    session.insert("locked", 1).unwrap();
    let gate = slow.hold(Verb::Commit, Moment::AfterCall);
    // As with a `select!` or a timeout of the handler's own.
    tokio::select! {
        biased;
        _ = session.commit() => unreachable!("it is held"),
        () = gate.arrivals(1) => {}
    }
    gate.open();
    session.insert("locked", 0).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stored = value(&visitor, "locked").await;
    assert!(
        refusal.is_some() || stored == Some(0),
        "acknowledged as 0, stored: {stored:?}"
    );
}

/// The request has even been told that the value is another one by now.
#[tokio::test]
async fn a_value_put_back_after_a_conflict_is_put_back_or_refused() {
    let manager = manager(MemoryStore::new());
    let mut visitor = begun(&manager).await;
    let mut other = visitor.clone();
    let (handle, session) = visitor.load().await;
    assert_eq!(session.get("x").unwrap(), Some(1));
    other
        .request(async |session| session.insert("x", 5).unwrap())
        .await;
    session.insert("x", 2).unwrap();
    let outcome = session.commit().await;
    assert!(matches!(outcome, Err(SessionError::Conflict { .. })));
    session.insert("x", 1).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    let stored = value(&visitor, "x").await;
    assert!(
        refusal.is_some() || stored == Some(1),
        "acknowledged as 1, stored: {stored:?}"
    );
}

/// The same, with a logout.
#[tokio::test]
async fn a_logout_that_was_too_late_is_refused_also_after_the_grace() {
    let (memory, handle, session) = slower_than_the_grace().await;
    session.destroy().unwrap();
    let finish = handle.finish(200).await;
    assert_eq!(memory.len(), 1);
    assert!(
        finish.refusal.is_some() && finish.set_cookie.is_none(),
        "ada's session lives, and her cookie is removed: {finish:?}"
    );
}

/// A request that sees both a commit of its own and a rotation by another one in it, and goes on.
#[tokio::test]
async fn a_long_request_whose_commit_shared_a_login_does_not_replace_that_login_s_cookie() {
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let faulty = FaultyStore::new(memory.clone());
    let slow = SlowStore::new(faulty.clone());
    let keys = random_key();
    let node =
        |manager: tenure_core::SessionManagerBuilder| manager.clock(clock.clone()).build().unwrap();
    let here = node(SessionManager::builder(slow.clone(), keys.parse().unwrap()));
    let there = node(SessionManager::builder(
        memory.clone(),
        keys.parse().unwrap(),
    ));
    let mut visitor = begun(&there).await;
    let (handle, session) = visitor.at(&here).load().await;
    session.insert("step", 1).unwrap();
    let lost = StoreErrorKind::Interrupted;
    faulty.fail_next(1, Verb::Commit, Moment::AfterCall, lost);
    let gate = slow.hold(Verb::Commit, Moment::AfterCall);
    let committing = tokio::spawn({
        let session = session.clone();
        async move { session.commit().await }
    });
    gate.arrivals(1).await;
    visitor
        .request(async |session| session.login("ada").unwrap())
        .await;
    gate.open();
    committing.await.unwrap().unwrap();
    clock.advance(Duration::from_secs(31));
    session.insert("step", 2).unwrap();
    let finish = handle.finish(200).await;
    assert!(
        finish.set_cookie.is_none() && memory.len() == 1,
        "a second session, whose cookie replaces ada's: {finish:?}"
    );
}

/// A commit of which its sender has long given up, and which arrives after renewals, takes them back; and
/// the node that remembers the last of them does not renew again.
#[tokio::test]
async fn an_active_session_does_not_expire_because_of_a_commit_that_arrives_late() {
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let minute = Duration::from_secs(60);
    let manager = SessionManager::builder(memory.clone(), KeyRing::generate().unwrap())
        .clock(clock.clone())
        .lifetimes(tenure_core::Lifetimes::new(minute, 100 * minute).unwrap())
        .build()
        .unwrap();
    let mut visitor = begun(&manager).await;
    let id = visitor.load().await.1.id().unwrap();
    let found = memory.load(id, tenure_core::Freshness::Latest).await;
    let Ok(tenure_core::Load::Found(record)) = found else {
        panic!("{found:?}");
    };
    // What a node sent at the beginning, whose connection delivers it only now and then.
    let late = record.clone().next(9);
    let read = async |session: &Session| session.get::<u64>("x").unwrap();
    for _ in 0..2 {
        clock.advance(Duration::from_secs(20));
        assert_eq!(visitor.request(read).await, Some(1));
    }
    clock.advance(Duration::from_secs(1));
    let _ = memory.commit(record.version(), late).await.unwrap();
    for pause in [4, 16] {
        clock.advance(Duration::from_secs(pause));
        let seen = visitor.request(read).await;
        assert_eq!(seen, Some(1), "after {pause} s, of 60, without a request");
    }
}

/// What a near cache answers may be older than what others have stored, so an equal value is written all the
/// same; here it meets a newer one, and is refused.
#[tokio::test]
async fn a_value_put_back_over_an_old_reading_is_no_silent_success() {
    let (fed, here, there) = two_nodes();
    let mut visitor = Visitor::new(here.clone());
    visitor
        .request(async |session| session.insert("theme", 1).unwrap())
        .await;
    assert_eq!(value(&visitor, "theme").await, Some(1));
    let web_socket = visitor.at(&there).load().await.1.detach().unwrap();
    fed.silence();
    web_socket.insert("theme", 2).unwrap();
    web_socket.commit().await.unwrap();
    let (handle, session) = visitor.load().await;
    assert_eq!(
        session.get::<u64>("theme").unwrap(),
        Some(1),
        "within the bound"
    );
    session.insert("theme", 1).unwrap();
    let refusal = visitor.finish(&handle).await.refusal;
    assert!(
        matches!(refusal, Some(SessionError::Conflict { .. })),
        "{refusal:?}"
    );
    fed.deliver();
    assert_eq!(value(&visitor, "theme").await, Some(2));
}
