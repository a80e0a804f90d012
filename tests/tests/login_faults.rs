//! What an outside reading broke of the login index, the observers and the audit trail: faults, half states, hostile
//! input, and what is told to whom.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::time::Duration;

use tenure_core::{
    AuditAction, AuditEntry, AuditError, AuditOutcome, AuditSink, AuditTrace, EndReason, KeyRing,
    LoginRefusal, MemoryStore, OnLimit, Operator, SessionError, SessionEventKind, SessionIndex,
    SessionManager, SessionManagerBuilder, StoreErrorKind,
};
use tenure_testing::{FaultyStore, Moment, SlowStore, Verb};
use tenure_tests::{Notes, Trail, Visitor};
use tokio::time::{Instant, advance, sleep};

fn on<S>(store: &S) -> SessionManagerBuilder
where
    S: tenure_core::SessionStore + SessionIndex + Clone,
{
    SessionManager::builder(store.clone(), KeyRing::generate().unwrap()).login_index(store.clone())
}

async fn value(visitor: &Visitor, key: &'static str) -> Option<i32> {
    visitor.load().await.1.get(key).unwrap()
}

/// 4: a login that is refused before its commit leaves the visitor's session and values.
#[tokio::test]
async fn a_refused_login_after_regenerate_leaves_the_session_before() {
    let sessions = on(&MemoryStore::new())
        .max_sessions(1, OnLimit::Refuse)
        .build()
        .unwrap();
    Visitor::logged_in(&sessions, "ada").await;
    let mut visitor = Visitor::new(sessions.clone());
    visitor
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    let (handle, session) = visitor.load().await;
    session.regenerate().unwrap();
    session.login("ada").unwrap();
    let finish = visitor.finish(&handle).await;
    assert!(matches!(
        finish.refusal,
        Some(SessionError::LoginRefused(LoginRefusal::TooMany))
    ));
    assert_eq!(finish.set_cookie, None, "a refused login sets no cookie");
    assert_eq!(value(&visitor, "basket").await, Some(7));
}

/// 4: the same where somebody else is logged in: they are logged out by a login that was refused.
#[tokio::test]
async fn a_refused_login_after_regenerate_logs_nobody_out() {
    let sessions = on(&MemoryStore::new()).build().unwrap();
    sessions.index().block("ada").await.unwrap();
    let mut grace = Visitor::logged_in(&sessions, "grace").await;
    let (handle, session) = grace.load().await;
    session.regenerate().unwrap();
    session.login("ada").unwrap();
    assert!(grace.finish(&handle).await.refusal.is_some());
    assert_eq!(grace.user().await.as_deref(), Some("grace"));
}

/// README: a response that has asked the store after a login cannot overwrite or remove the new cookie.
/// 6: a logout with a message that finds its session ended by another tab sets no cookie over a later login's.
#[tokio::test]
async fn a_late_regenerate_does_not_overwrite_a_later_logins_cookie() {
    let store = SlowStore::new(MemoryStore::new());
    let sessions = on(&store).build().unwrap();
    let mut browser = Visitor::logged_in(&sessions, "ada").await;
    // The first tab's logout with a message is slow.
    let (slow, session) = browser.load().await;
    session.regenerate().unwrap();
    session.insert("flash", "you are logged out").unwrap();
    // In the second tab the user logs out, and in again.
    browser
        .request(async |session| session.destroy().unwrap())
        .await;
    browser
        .request(async |session| session.login("ada").unwrap())
        .await;
    // The first tab's answer comes last, and its cookie is stored by name.
    let _ = browser.finish(&slow).await;
    assert_eq!(browser.user().await.as_deref(), Some("ada"));
}

/// The same without a message, and with `destroy`: the control.
#[tokio::test]
async fn control_a_late_destroy_does_not_overwrite_a_later_logins_cookie() {
    let sessions = on(&MemoryStore::new()).build().unwrap();
    let mut browser = Visitor::logged_in(&sessions, "ada").await;
    let (slow, session) = browser.load().await;
    session.destroy().unwrap();
    browser
        .request(async |session| session.destroy().unwrap())
        .await;
    browser
        .request(async |session| session.login("ada").unwrap())
        .await;
    let _ = browser.finish(&slow).await;
    assert_eq!(browser.user().await.as_deref(), Some("ada"));
}

/// 6: no cookie for what is not stored. A confirmation that is refused by a store that is down, after an explicit commit
/// has begun the session.
#[tokio::test]
async fn no_cookie_with_a_secret_that_is_not_stored_any_more() {
    let mut wrong = Vec::new();
    for kind in [
        StoreErrorKind::Unavailable,
        StoreErrorKind::Full,
        StoreErrorKind::TimedOut,
    ] {
        let store = FaultyStore::new(MemoryStore::new());
        let sessions = on(&store).build().unwrap();
        let mut visitor = Visitor::new(sessions.clone());
        let (handle, session) = visitor.load().await;
        session.insert("basket", 1).unwrap();
        session.commit().await.unwrap();
        session.login("ada").unwrap();
        store.fail_next(2, Verb::Confirm, Moment::BeforeCall, kind);
        let finish = visitor.finish(&handle).await;
        assert!(finish.refusal.is_some(), "{kind:?}");
        if finish.set_cookie.is_some() && value(&visitor, "basket").await.is_none() {
            wrong.push(kind);
        }
    }
    assert_eq!(wrong, [], "a cookie whose secret is not stored");
}

/// 6: what a login that could not be confirmed leaves behind is nobody's: control for the one above.
#[tokio::test]
async fn control_who_could_not_be_confirmed_is_not_logged_in() {
    let store = FaultyStore::new(MemoryStore::new());
    let sessions = on(&store).build().unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    visitor
        .request(async |session| session.insert("basket", 1).unwrap())
        .await;
    let before = visitor.clone();
    let (handle, session) = visitor.load().await;
    session.login("ada").unwrap();
    store.fail_next(
        1,
        Verb::Confirm,
        Moment::BeforeCall,
        StoreErrorKind::Unavailable,
    );
    let finish = visitor.finish(&handle).await;
    assert!(finish.refusal.is_some() && finish.set_cookie.is_none());
    assert_eq!(before.user().await, None);
    // The visitor is not locked out.
    visitor
        .request(async |session| session.login("ada").unwrap())
        .await;
    assert_eq!(visitor.user().await.as_deref(), Some("ada"));
}

/// Observers: "what is told has happened". A login that the index refuses after its commit did not happen.
#[tokio::test]
async fn observers_are_not_told_of_logins_that_were_refused() {
    let store = SlowStore::new(MemoryStore::new());
    let notes = Notes::default();
    let sessions = on(&store).observer(notes.clone()).build().unwrap();
    for verb in [Verb::Create, Verb::Commit] {
        let mut visitor = Visitor::new(sessions.clone());
        if verb == Verb::Commit {
            visitor
                .request(async |session| session.insert("basket", 1).unwrap())
                .await;
        }
        notes.clear();
        let gate = store.hold(verb, Moment::AfterCall);
        let logging_in = tokio::spawn(async move {
            let (handle, session) = visitor.load().await;
            session.login("ada").unwrap();
            visitor.finish(&handle).await.refusal
        });
        gate.arrivals(1).await;
        sessions.index().end_all("ada").await.unwrap();
        gate.open();
        let refusal = logging_in.await.unwrap();
        assert!(matches!(refusal, Some(SessionError::LoginRefused(_))));
        let told = notes.take();
        let logins = told
            .iter()
            .filter(|(kind, _)| *kind == SessionEventKind::Authenticated);
        assert_eq!(logins.count(), 0, "{verb:?}: {told:?}");
    }
}

/// Observers are told of logins and endings: also of this way to log out.
#[tokio::test]
async fn observers_are_told_of_a_logout_that_keeps_values() {
    let notes = Notes::default();
    let sessions = on(&MemoryStore::new())
        .observer(notes.clone())
        .build()
        .unwrap();
    let mut ada = Visitor::logged_in(&sessions, "ada").await;
    notes.clear();
    ada.request(async |session| session.logout_keeping_values().unwrap())
        .await;
    let told = notes.take();
    assert!(
        told.iter().any(|(_, user)| user.as_deref() == Some("ada")),
        "nothing says that ada has logged out: {told:?}"
    );
}

/// 8: the trail says who did what. Nobody but an operator blocks.
#[tokio::test]
async fn a_block_without_an_operator_is_not_written_down_as_the_users_own() {
    let trail = Trail::default();
    let sessions = on(&MemoryStore::new())
        .audit(trail.clone())
        .build()
        .unwrap();
    let blocked = sessions.index().block("ada").await;
    let unblocked = sessions.index().unblock("ada").await;
    let entries = trail.entries();
    let by: Vec<_> = entries
        .iter()
        .map(|entry| {
            (
                entry.action,
                entry.by.name.as_str(),
                entry.by.reason.as_str(),
            )
        })
        .collect();
    assert!(blocked.is_err() && unblocked.is_err(), "{by:?}");
}

/// 8: "who, why (an operator has to say)": a name that is none, and the reason for acting.
#[tokio::test]
async fn an_operator_has_a_name() {
    let trail = Trail::default();
    let sessions = on(&MemoryStore::new())
        .audit(trail.clone())
        .build()
        .unwrap();
    let nobody = sessions.index().by(Operator::new(" ", "because"));
    assert!(nobody.end_all("ada").await.is_err());
}

/// 8: the trail says what was done: one who acts already does not begin to act by ending the user's other logins.
#[tokio::test]
async fn ending_others_while_acting_is_not_written_down_as_acting_again() {
    let trail = Trail::default();
    let sessions = on(&MemoryStore::new())
        .audit(trail.clone())
        .build()
        .unwrap();
    let mut operator = Visitor::logged_in(&sessions, "op").await;
    operator
        .request(async |session| session.login_as("ada", Operator::new("op", "why")).unwrap())
        .await;
    operator
        .request(async |session| session.end_others().await.unwrap())
        .await;
    let actions: Vec<_> = trail.entries().iter().map(|it| it.action).collect();
    let acts = actions
        .iter()
        .filter(|it| **it == AuditAction::ActAs)
        .count();
    assert_eq!(acts, 2, "an intent and an outcome: {actions:?}");
}

/// 8: what could not be written down is not done. The log drops what its filter drops.
#[tokio::test]
async fn a_log_that_keeps_no_entry_does_not_count_as_a_trail() {
    // No subscriber at all in this process, as with a filter of `warn`.
    let sessions = on(&MemoryStore::new())
        .audit(AuditTrace::new())
        .build()
        .unwrap();
    let ended = sessions
        .index()
        .by(Operator::new("op", "ticket 7"))
        .end_all("ada")
        .await;
    assert!(ended.is_err(), "done, and nowhere written down");
}

/// 8: an outcome follows each action that was done, also while more act than the sink can keep up with. Actions that
/// cannot be written down in time are refused, as promised.
#[tokio::test(start_paused = true)]
async fn what_is_done_under_load_has_its_outcome_written_down() {
    #[derive(Clone, Debug, Default)]
    struct Slow(Trail);
    impl AuditSink for Slow {
        async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
            sleep(Duration::from_millis(100)).await;
            self.0.record(entry).await
        }
    }
    let slow = Slow::default();
    let sessions = on(&MemoryStore::new()).audit(slow.clone()).build().unwrap();
    let ending = (0..60u64).map(|number| {
        let index = sessions.index().by(Operator::new("op", "ticket"));
        tokio::spawn(async move {
            sleep(Duration::from_millis(60 * number)).await;
            index.end_all(format!("user {number}")).await.is_ok()
        })
    });
    let ending: Vec<_> = ending.collect();
    let mut done = 0;
    for ending in ending {
        done += usize::from(ending.await.unwrap());
    }
    let entries = slow.0.entries();
    assert_eq!(tenure_core::verify_audit(&entries), None);
    let outcomes = entries
        .iter()
        .filter(|it| it.outcome != AuditOutcome::Intended)
        .count();
    assert_eq!(outcomes, done, "{done} of 60 were done");
}

/// 7: a full store refuses new sessions, but never the ending of logins (as the Redis scripts say).
#[tokio::test]
async fn a_full_store_in_memory_ends_logins() {
    let mut wrong = Vec::new();
    for more in (0..640).step_by(16) {
        let store = MemoryStore::builder().max_bytes((16 << 10) + more).build();
        let sessions = on(&store).build().unwrap();
        let ada = Visitor::logged_in(&sessions, "ada").await;
        // Anybody can begin sessions.
        for size in [1000, 100, 1] {
            loop {
                let mut visitor = Visitor::new(sessions.clone());
                let (handle, session) = visitor.load().await;
                session.insert("page", "x".repeat(size)).unwrap();
                if visitor.finish(&handle).await.refusal.is_some() {
                    break;
                }
            }
        }
        let ended = sessions.index().end_all("ada").await;
        if ended.is_err() || ada.user().await.is_some() {
            wrong.push((
                more,
                ended.map_err(|error| format!("{error:?}")),
                ada.user().await,
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of 40, as {:?}",
        wrong.len(),
        wrong.first()
    );
}

/// 5: "the index does not answer: logins and endings: 503. Everything else goes on."
#[tokio::test(start_paused = true)]
async fn an_index_that_does_not_answer_does_not_slow_reads_down() {
    let index = SlowStore::new(MemoryStore::new());
    let sessions = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .login_index(index.clone())
        .build()
        .unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    visitor
        .request(async |session| session.insert("basket", 1).unwrap())
        .await;
    let _hung = index.hold(Verb::Gate, Moment::BeforeCall);
    let mut took = Vec::new();
    for _ in 0..5 {
        advance(Duration::from_secs(3)).await;
        let begun = Instant::now();
        assert_eq!(value(&visitor, "basket").await, Some(1));
        took.push(begun.elapsed());
    }
    let slow = took
        .iter()
        .filter(|it| **it > Duration::from_millis(10))
        .count();
    assert!(
        slow <= 1,
        "each of them waited for an index it does not need: {took:?}"
    );
}

/// 7: no user name in `Debug`.
#[tokio::test]
async fn debug_shows_no_user_name() {
    let store = MemoryStore::new();
    let trail = Trail::default();
    let sessions = on(&store).audit(trail.clone()).build().unwrap();
    let mut ada = Visitor::logged_in(&sessions, "lovelace").await;
    for number in 0..3000 {
        let _ = store
            .end(
                &tenure_core::Principal::new(format!("lovelace{number}")).unwrap(),
                tenure_core::Ending {
                    tag: 1,
                    spares: None,
                    blocks: true,
                    kept_until: tenure_core::Timestamp::from_millis(u64::MAX / 4),
                },
            )
            .await
            .unwrap();
    }
    let by_user = sessions.index();
    let index = by_user.clone().by(Operator::new("lovelace", "ticket"));
    ada.request(async |session| session.end_others().await.unwrap())
        .await;
    let users = sessions.index().users(None).await.unwrap();
    let bytes = format!("{:?}", "lovelace".as_bytes());
    let bytes = bytes.trim_matches(['[', ']']).to_owned();
    let (handle, session) = ada.load().await;
    let mut shown = vec![
        ("LoginIndex", format!("{index:?}")),
        ("SessionManager", format!("{sessions:?}")),
        ("Session", format!("{session:?}")),
        ("SessionHandle", format!("{handle:?}")),
        ("MemoryStore", format!("{store:?}")),
        ("UserPage", format!("{users:?}")),
        ("AuditEntry", format!("{:?}", trail.entries()[0])),
        ("Operator", format!("{:?}", Operator::new("lovelace", "r"))),
    ];
    let logins = sessions.index().logins_of("lovelace", None).await.unwrap();
    shown.push(("UserLogins", format!("{logins:?}")));
    let leaks: Vec<_> = shown
        .iter()
        .filter(|(_, text)| text.contains("lovelace") || text.contains(&bytes))
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(leaks, [""; 0]);
}

/// 3: a place that a login has given up is not held by anybody (unknown outcome of `create`).
#[tokio::test]
async fn a_creation_whose_reply_was_lost_takes_one_place() {
    let store = FaultyStore::new(MemoryStore::new());
    let sessions = on(&store).max_sessions(2, OnLimit::Refuse).build().unwrap();
    store.fail_next(
        1,
        Verb::Create,
        Moment::BeforeCall,
        StoreErrorKind::TimedOut,
    );
    Visitor::logged_in(&sessions, "ada").await;
    let mut second = Visitor::new(sessions.clone());
    let (handle, session) = second.load().await;
    session.login("ada").unwrap();
    let finish = second.finish(&handle).await;
    assert!(
        finish.refusal.is_none(),
        "one of two is in use: {:?}",
        finish.refusal
    );
}

/// 6: nothing is begun, and no cookie set, by a logout of somebody who has no session.
#[tokio::test]
async fn a_logout_of_nobody_stores_nothing() {
    let store = MemoryStore::new();
    let sessions = on(&store).build().unwrap();
    type Act = fn(&tenure_core::Session) -> Result<(), SessionError>;
    let acts: [Act; 4] = [
        tenure_core::Session::logout_keeping_values,
        tenure_core::Session::regenerate,
        tenure_core::Session::rotate,
        |session| {
            session.regenerate()?;
            session.logout_keeping_values()
        },
    ];
    for (number, act) in acts.into_iter().enumerate() {
        let mut visitor = Visitor::new(sessions.clone());
        let (handle, session) = visitor.load().await;
        act(&session).unwrap();
        let finish = visitor.finish(&handle).await;
        assert!(
            finish.refusal.is_none() && finish.set_cookie.is_none(),
            "{number}: {finish:?}"
        );
        assert_eq!(store.len(), 0, "{number}");
    }
}

/// 6: handlers that go on after a login that was refused.
#[tokio::test]
async fn after_a_refused_commit_the_handler_goes_on_in_the_same_session() {
    let sessions = on(&MemoryStore::new()).build().unwrap();
    sessions.index().block("ada").await.unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    visitor
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    visitor
        .request(async |session| {
            session.login("ada").unwrap();
            assert!(matches!(
                session.commit().await,
                Err(SessionError::LoginRefused(_))
            ));
            assert_eq!(session.principal(), None);
            session.insert("flash", 1).unwrap();
        })
        .await;
    assert_eq!(value(&visitor, "basket").await, Some(7));
    assert_eq!(value(&visitor, "flash").await, Some(1));
    // The same for one who has no session.
    let mut stranger = Visitor::new(sessions.clone());
    stranger
        .request(async |session| {
            session.login("ada").unwrap();
            assert!(session.commit().await.is_err());
            session.insert("flash", 1).unwrap();
        })
        .await;
    assert_eq!(value(&stranger, "flash").await, Some(1));
    assert_eq!(stranger.user().await, None);
}

/// 7: index entries of users who have logged out vanish, however they log out.
#[tokio::test]
async fn nothing_is_kept_of_users_who_have_logged_out() {
    let store = MemoryStore::new();
    let sessions = on(&store).build().unwrap();
    type Act = fn(&tenure_core::Session) -> Result<(), SessionError>;
    let acts: [Act; 5] = [
        tenure_core::Session::destroy,
        tenure_core::Session::regenerate,
        tenure_core::Session::logout_keeping_values,
        |session| session.login("grace"),
        |session| {
            session.logout_keeping_values()?;
            session.insert("x", 1)
        },
    ];
    for (number, act) in acts.into_iter().enumerate() {
        let name = format!("user {number}");
        let mut ada = Visitor::logged_in(&sessions, &name).await;
        ada.request(async |session| act(session).unwrap()).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut users = Vec::new();
        let mut after = None;
        loop {
            let page = sessions.index().users(after).await.unwrap();
            users.extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(!users.iter().any(|user| *user == *name), "{number}");
    }
}

/// 6: a logout that keeps values and fails afterwards. The control says what `destroy` does.
#[tokio::test]
async fn control_a_regenerate_is_carried_out_although_the_handler_fails() {
    let sessions = on(&MemoryStore::new()).build().unwrap();
    let mut ada = Visitor::logged_in(&sessions, "ada").await;
    let old = ada.clone();
    let (handle, session) = ada.load().await;
    session.regenerate().unwrap();
    session.insert("flash", 1).unwrap();
    let finish = ada.finish_with(&handle, 500).await;
    assert!(finish.refusal.is_none());
    assert_eq!((old.user().await, value(&ada, "flash").await), (None, None));
    let _ = EndReason::Logout;
}

/// `Session::commit`: "unless the error is a store's with an unknown outcome, nothing was written".
#[tokio::test]
async fn a_commit_that_says_that_nothing_was_written_has_written_nothing() {
    let store = FaultyStore::new(MemoryStore::new());
    let sessions = on(&store).build().unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    visitor
        .request(async |session| session.insert("basket", 7).unwrap())
        .await;
    let before = visitor.clone();
    let (handle, session) = visitor.load().await;
    session.login("ada").unwrap();
    store.fail_next(
        1,
        Verb::Confirm,
        Moment::BeforeCall,
        StoreErrorKind::Unavailable,
    );
    let SessionError::Store(error) = session.commit().await.unwrap_err() else {
        panic!("another error")
    };
    let _ = visitor.finish(&handle).await;
    assert!(
        error.outcome_unknown() || value(&before, "basket").await == Some(7),
        "{error:?} says that nothing was written, and the basket is gone"
    );
}

/// Observers are told of what has happened: nobody logs in by ending the other logins.
#[tokio::test]
async fn ending_others_is_not_told_as_a_login() {
    let notes = Notes::default();
    let sessions = on(&MemoryStore::new())
        .observer(notes.clone())
        .build()
        .unwrap();
    let mut ada = Visitor::logged_in(&sessions, "ada").await;
    notes.clear();
    ada.request(async |session| session.end_others().await.unwrap())
        .await;
    let told = notes.take();
    let logins = told
        .iter()
        .filter(|(kind, _)| *kind == SessionEventKind::Authenticated);
    assert_eq!(logins.count(), 0, "{told:?}");
}

/// 3: a login that failed does not refuse the one that is sent again.
#[tokio::test]
async fn who_tries_again_after_a_fault_is_not_too_many() {
    let mut wrong = Vec::new();
    for verb in [Verb::Create, Verb::Commit, Verb::Confirm] {
        let store = FaultyStore::new(MemoryStore::new());
        let sessions = on(&store).max_sessions(1, OnLimit::Refuse).build().unwrap();
        let mut visitor = Visitor::new(sessions.clone());
        if verb != Verb::Create {
            visitor
                .request(async |session| session.insert("basket", 7).unwrap())
                .await;
        }
        store.fail_next(1, verb, Moment::BeforeCall, StoreErrorKind::Unavailable);
        let (handle, session) = visitor.load().await;
        session.login("ada").unwrap();
        assert!(visitor.finish(&handle).await.refusal.is_some());
        assert_eq!(store.pending_faults(), 0);
        let (handle, session) = visitor.load().await;
        session.login("ada").unwrap();
        if let Some(refusal) = visitor.finish(&handle).await.refusal {
            wrong.push((verb, refusal.to_string()));
        }
    }
    assert!(wrong.is_empty(), "nobody is logged in: {wrong:?}");
}

/// 3: acting in one's own name does not get around the limit.
#[tokio::test]
async fn nobody_gets_around_the_limit_by_acting_as_themselves() {
    let sessions = on(&MemoryStore::new())
        .max_sessions(1, OnLimit::Refuse)
        .build()
        .unwrap();
    Visitor::logged_in(&sessions, "op").await;
    let mut refused = 0;
    for _ in 0..5 {
        let mut visitor = Visitor::new(sessions.clone());
        let (handle, session) = visitor.load().await;
        match session.login_as("op", Operator::new("op", "why")) {
            Ok(()) => refused += usize::from(visitor.finish(&handle).await.refusal.is_some()),
            Err(_) => refused += 1,
        }
    }
    assert_eq!(refused, 5, "sessions of op's own beyond the limit of 1");
}

/// A sink that waits three times before it keeps an entry.
#[derive(Clone, Debug, Default)]
struct Slack(Trail);

impl AuditSink for Slack {
    async fn record(&self, entry: &AuditEntry) -> Result<(), AuditError> {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.0.record(entry).await?;
        tokio::task::yield_now().await;
        Ok(())
    }
}

/// 8: dropped futures leave whole chains, and an intent for all that was done.
#[tokio::test]
async fn dropped_futures_leave_whole_chains() {
    let sink = Slack::default();
    let sessions = on(&MemoryStore::new()).audit(sink.clone()).build().unwrap();
    for polls in 0..14 {
        let name = format!("user {polls}");
        let device = Visitor::logged_in(&sessions, &name).await;
        let index = sessions.index().by(Operator::new("op", "ticket"));
        {
            let mut ending = Box::pin(index.end_all(&name));
            for _ in 0..polls {
                if polled(&mut ending).await.is_ready() {
                    break;
                }
            }
        }
        let entries = sink.0.entries();
        assert_eq!(tenure_core::verify_audit(&entries), None, "{polls}");
        let intends = entries.iter().any(|it| it.user.as_deref() == Some(&*name));
        assert!(
            intends || device.user().await.is_some(),
            "{polls}: done and not written down"
        );
        index.end_all(&name).await.unwrap();
    }
    let entries = sink.0.entries();
    assert_eq!(tenure_core::verify_audit(&entries), None);
}

/// 8: what is taken out of the middle of the trail shows, also for an operator who can abort their own requests.
#[tokio::test]
async fn an_operator_who_aborts_requests_cannot_take_entries_out_of_the_middle() {
    let sink = Slack::default();
    let sessions = on(&MemoryStore::new()).audit(sink.clone()).build().unwrap();
    let good = sessions.index().by(Operator::new("good", "ticket"));
    let bad = sessions.index().by(Operator::new("bad", "ticket"));
    let abort = async |user: &str| {
        let mut ending = Box::pin(bad.end_all(user));
        for _ in 0..3 {
            assert!(polled(&mut ending).await.is_pending());
        }
    };
    good.end_all("ada").await.unwrap();
    // Their client leaves; the action after it is a whole one; and again.
    abort("ada").await;
    bad.end_all("grace").await.unwrap();
    abort("ada").await;
    good.end_all("ada").await.unwrap();
    let entries = sink.0.entries();
    let kept: Vec<_> = entries
        .iter()
        .filter(|it| it.by.name != "bad")
        .cloned()
        .collect();
    assert!(kept.len() + 2 <= entries.len());
    assert!(
        tenure_core::verify_audit(&kept).is_some(),
        "{} of {} entries are gone, and nothing shows",
        entries.len() - kept.len(),
        entries.len()
    );
}

/// 7: nothing leaks. A disk that hangs must not take one thread of the process' pool with each action.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_audit_file_that_hangs_takes_a_bounded_number_of_threads() {
    use std::io::Write as _;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit");
    let made = std::process::Command::new("mkfifo")
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    let reader = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    (&reader).write_all(&vec![b' '; 65_536]).unwrap();
    let sessions = on(&MemoryStore::new())
        .deadline(Duration::from_millis(20))
        .audit(tenure_core::AuditFile::open(&path).unwrap())
        .build()
        .unwrap();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for _ in 0..40 {
        let ended = sessions
            .index()
            .by(Operator::new("op", "ticket"))
            .end_all("ada")
            .await;
        assert!(ended.is_err());
    }
    let more = threads() - before;
    // Let them go, or the runtime never ends.
    let mut drain = reader.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while std::io::Read::read(&mut drain, &mut buffer).is_ok_and(|many| many > 0) {}
    });
    assert!(more <= 2, "40 actions keep {more} threads");
}

/// 7: a login that fails leaves no entry behind for a month.
#[tokio::test]
async fn a_login_that_failed_is_forgotten() {
    let clock = tenure_testing::ManualClock::new();
    let store = FaultyStore::new(MemoryStore::builder().clock(clock.clone()).build());
    let sessions = on(&store).clock(clock.clone()).build().unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    store.fail_next(
        1,
        Verb::Create,
        Moment::BeforeCall,
        StoreErrorKind::Unavailable,
    );
    let (handle, session) = visitor.load().await;
    session.login("ada").unwrap();
    assert!(visitor.finish(&handle).await.refusal.is_some());
    clock.advance(Duration::from_secs(60 * 60));
    // Whatever housekeeping there is has been done.
    for number in 0..200 {
        Visitor::logged_in(&sessions, &format!("user {number}")).await;
    }
    assert!(
        sessions
            .index()
            .logins_of("ada", None)
            .await
            .unwrap()
            .sessions
            .is_empty()
    );
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let page = sessions.index().users(after).await.unwrap();
        users.extend(page.users);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(
        !users.iter().any(|user| *user == "ada"),
        "an hour later, and never logged in"
    );
}

/// 7: names of every kind.
#[tokio::test]
async fn hostile_names_and_cursors_harm_nobody() {
    let sessions = on(&MemoryStore::new()).build().unwrap();
    let index = sessions.index();
    for name in [
        "\0",
        "\r\n",
        "\u{202e}",
        "a\u{0}b",
        "{x}",
        "*",
        "\u{10ffff}",
        &"x".repeat(255),
    ] {
        let device = Visitor::logged_in(&sessions, name).await;
        assert_eq!(index.logins_of(name, None).await.unwrap().sessions.len(), 1);
        assert_eq!(index.end_all(name).await.unwrap().count, 1);
        assert_eq!(device.user().await, None);
    }
    for name in ["", &"x".repeat(256)] {
        assert!(index.end_all(name).await.is_err());
        assert!(index.fence(name).await.is_err());
    }
    for cursor in [
        &b""[..],
        b"\xff",
        b"\x10",
        b"\x00\xff",
        b"\x0fada",
        b"99999999999999999999",
    ] {
        let cursor = tenure_core::UserCursor::new(cursor.to_vec());
        let _ = index.users(Some(cursor)).await;
    }
    for text in ["A".repeat(32), "_".repeat(32)] {
        let login = text.parse().unwrap();
        assert!(!index.end("ada", login).await.unwrap());
    }
}

/// Polls once.
async fn polled<T>(future: &mut (impl Future<Output = T> + Unpin)) -> std::task::Poll<T> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(context))
    })
    .await
}

/// 7: nothing hangs, whatever verb does.
#[tokio::test(start_paused = true)]
async fn nothing_hangs_whatever_verb_does() {
    use Verb::{
        Commit, Condemn, Confirm, Create, Delete, End, Gate, Load, Logins, RaiseGate, Renew,
        Reserve, Settle, Standing, Touch, Unblock, Users,
    };
    let mut longest = (Duration::ZERO, String::new());
    for verb in [
        Load, Create, Commit, Renew, Delete, Reserve, Confirm, End, Condemn, Settle, Touch,
        Standing, Unblock, Logins, Users, Gate, RaiseGate,
    ] {
        let store = SlowStore::new(MemoryStore::new());
        let sessions = on(&store)
            .max_sessions(2, OnLimit::EndOldest)
            .build()
            .unwrap();
        let mut here = Visitor::logged_in(&sessions, "ada").await;
        let there = Visitor::logged_in(&sessions, "ada").await;
        let index = sessions.index();
        let login = index.logins_of("ada", None).await.unwrap().sessions[0].login;
        advance(Duration::from_secs(3)).await;
        let _hung = store.hold(verb, Moment::BeforeCall);
        for operation in 0..12 {
            let begun = Instant::now();
            let mut new = Visitor::new(sessions.clone());
            let work = async {
                match operation {
                    0 => drop(index.logins_of("ada", None).await),
                    1 => drop(index.end("ada", login).await),
                    2 => drop(index.end_all("ada").await),
                    3 => drop(index.block("grace").await),
                    4 => drop(index.unblock("grace").await),
                    5 => drop(index.end_everyone().await),
                    6 => drop(index.users(None).await),
                    7 => drop(index.fence("ada").await),
                    8 => {
                        let handle = new.open();
                        if let Ok(session) = handle.load().await {
                            session.login("ada").unwrap();
                        }
                        let _ = new.finish(&handle).await;
                    }
                    9 => {
                        let handle = here.open();
                        if let Ok(session) = handle.load().await {
                            let _ = session.end_others().await;
                        }
                        let _ = here.finish(&handle).await;
                    }
                    10 => {
                        let handle = there.open();
                        if let Ok(session) = handle.load().await {
                            let _ = session.regenerate();
                            let _ = session.insert("x", 1);
                        }
                        let _ = here.finish(&handle).await;
                    }
                    _ => {
                        let handle = here.open();
                        let _ = handle.load().await;
                        let _ = here.finish(&handle).await;
                    }
                }
            };
            let done = tokio::time::timeout(Duration::from_secs(60), work).await;
            assert!(done.is_ok(), "{verb:?} {operation}");
            if begun.elapsed() > longest.0 {
                longest = (begun.elapsed(), format!("{verb:?} {operation}"));
            }
        }
    }
    assert!(longest.0 <= Duration::from_secs(3), "{longest:?}");
}

/// 7: no user name, id or secret in the log.
#[tokio::test]
async fn the_log_names_nobody() {
    let log = tenure_tests::capture();
    let store = FaultyStore::new(MemoryStore::new());
    let sessions = on(&store)
        .max_sessions(2, OnLimit::Refuse)
        .client_info(tenure_core::ClientInfo::UserAgentAndIp)
        .audit(Trail::default())
        .build()
        .unwrap();
    let mut visitor = Visitor::new(sessions.clone());
    let handle = visitor.open();
    handle.note_client(
        Some(b"Browser-of-Byron"),
        Some("192.0.2.99".parse().unwrap()),
    );
    handle
        .load()
        .await
        .unwrap()
        .login("byron-lovelace")
        .unwrap();
    assert!(visitor.finish(&handle).await.refusal.is_none());
    let index = sessions
        .index()
        .by(Operator::new("byron-op", "byron-ticket"));
    for verb in [
        Verb::End,
        Verb::Logins,
        Verb::Standing,
        Verb::Users,
        Verb::Reserve,
        Verb::Touch,
        Verb::Delete,
    ] {
        store.fail_next(1, verb, Moment::BeforeCall, StoreErrorKind::Unavailable);
    }
    let login: tenure_core::LoginName = "A".repeat(32).parse().unwrap();
    let _ = index.end_all("byron-lovelace").await;
    let _ = index.logins_of("byron-lovelace", None).await;
    let _ = index.fence("byron-lovelace").await;
    let _ = index.end("byron-lovelace", login).await;
    let _ = index.block("byron-lovelace").await;
    let _ = index.block("byron-lovelace").await;
    let (handle, session) = visitor.load().await;
    session.login("byron-lovelace").unwrap();
    let _ = visitor.finish(&handle).await;
    store.heal();
    let (handle, session) = visitor.load().await;
    session.login("byron-lovelace").unwrap();
    assert!(visitor.finish(&handle).await.refusal.is_some());
    let text = log.text();
    assert!(text.contains("login_refused"), "nothing captured");
    for leak in ["byron", "Byron", "192.0.2.99"] {
        let line = text.lines().find(|line| line.contains(leak));
        assert_eq!(line, None);
    }
}
