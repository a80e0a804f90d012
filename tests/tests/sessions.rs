//! What handlers rely on, each read back by a second request.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tenure_core::{
    KeyRing, MemoryStore, OnConflict, OnHistoryLoss, Session, SessionError, SessionManager,
    SessionManagerBuilder,
};
use tenure_testing::{ManualClock, SpyStore, Verb};
use tenure_tests::{AnyStore, Visitor};

fn manager() -> SessionManager {
    built(|builder| builder)
}

fn built(configure: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder) -> SessionManager {
    let builder = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap());
    configure(builder).build().unwrap()
}

async fn visitor(manager: &SessionManager) -> Visitor {
    let mut visitor = Visitor::new(manager.clone());
    visitor
        .request(async |session| session.insert("n", 1_u32).unwrap())
        .await;
    visitor
}

async fn number(visitor: &Visitor, key: &str) -> Option<u32> {
    visitor.load().await.1.get(key).unwrap()
}

/// Two requests that load before either commits; returns how the second one ended.
async fn in_parallel(
    visitor: &mut Visitor,
    first: impl FnOnce(&Session),
    second: impl FnOnce(&Session),
) -> Option<SessionError> {
    let ((first_handle, first_session), (second_handle, second_session)) =
        (visitor.load().await, visitor.load().await);
    first(&first_session);
    second(&second_session);
    let winner = visitor.finish(&first_handle).await;
    assert!(winner.refusal.is_none(), "{winner:?}");
    visitor.finish(&second_handle).await.refusal
}

#[tokio::test]
async fn what_is_written_is_read_by_the_next_request() {
    let mut visitor = visitor(&manager()).await;
    visitor
        .request(async |session| {
            session.insert("text", "ünïcode").unwrap();
            session.insert("list", vec![1, 2, 3]).unwrap();
            session.insert("nothing", ()).unwrap();
            session.remove("n").unwrap();
        })
        .await;
    visitor
        .request(async |session| {
            assert_eq!(session.get::<String>("text").unwrap().unwrap(), "ünïcode");
            assert_eq!(session.get::<Vec<u8>>("list").unwrap().unwrap(), [1, 2, 3]);
            assert!(session.contains("nothing").unwrap());
            assert!(!session.contains("n").unwrap());
            assert_eq!(session.keys(), ["list", "nothing", "text"]);
            session.clear().unwrap();
            assert!(session.keys().is_empty());
        })
        .await;
    assert!(visitor.load().await.1.keys().is_empty());
}

/// Where serde holds a value in between, for `flatten` and `tag`, it knows only the form of texts.
#[tokio::test]
async fn addresses_are_read_again_wherever_they_stand_in_a_value() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Device {
        name: String,
        #[serde(flatten)]
        seen: Seen,
    }
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "by")]
    enum Seen {
        Nobody,
        Server { at: IpAddr },
    }
    let mut visitor = visitor(&manager()).await;
    let device = |at| Device {
        name: "phone".to_owned(),
        seen: at,
    };
    let seen = || {
        device(Seen::Server {
            at: [127, 0, 0, 1].into(),
        })
    };
    visitor
        .request(async |session| {
            session.insert("device", seen()).unwrap();
            session.insert("other", device(Seen::Nobody)).unwrap();
        })
        .await;
    let (_, session) = visitor.load().await;
    assert_eq!(session.get("device").unwrap(), Some(seen()));
    assert_eq!(session.get("other").unwrap(), Some(device(Seen::Nobody)));
    let json = json!({ "name": "phone", "by": "Server", "at": "127.0.0.1" });
    assert_eq!(session.get("device").unwrap(), Some(json));
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_and_stays() {
    let mut visitor = visitor(&manager()).await;
    visitor
        .request(async |session| {
            assert!(matches!(
                session.get::<String>("n"),
                Err(SessionError::Decode { .. })
            ));
            assert!(matches!(
                session.take::<String>("n"),
                Err(SessionError::Decode { .. })
            ));
            let update = session.update("n", |text: Option<String>| text.unwrap_or_default());
            assert!(matches!(update, Err(SessionError::Decode { .. })));
        })
        .await;
    assert_eq!(number(&visitor, "n").await, Some(1));
}

#[tokio::test]
async fn nothing_is_stored_and_no_cookie_set_before_something_is_written() {
    let spy = SpyStore::new(MemoryStore::new());
    let manager = SessionManager::builder(spy.clone(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let mut visitor = Visitor::new(manager);
    for write in [
        |_: &Session| {},
        |session: &Session| session.clear().unwrap(),
        |session: &Session| session.remove("n").unwrap(),
        |session: &Session| session.rotate().unwrap(),
        |session: &Session| session.destroy().unwrap(),
        |session: &Session| assert_eq!(session.take::<u8>("n").unwrap(), None),
    ] {
        let (handle, session) = visitor.load().await;
        write(&session);
        let finish = visitor.finish(&handle).await;
        assert!(
            finish.set_cookie.is_none() && finish.refusal.is_none(),
            "{finish:?}"
        );
        assert_eq!((session.id(), session.version()), (None, None));
    }
    assert!(spy.log().is_empty());
}

#[tokio::test]
async fn a_token_for_one_use_is_used_once() {
    let mut visitor = visitor(&manager()).await;
    let take = |session: &Session| assert_eq!(session.take::<u32>("n").unwrap(), Some(1));
    let refusal = in_parallel(&mut visitor, take, take).await;
    assert!(matches!(refusal, Some(SessionError::Conflict { key, .. }) if key == "n"));
}

#[tokio::test]
async fn a_value_read_and_then_replaced_conflicts_and_one_put_blindly_wins() {
    let increment = |session: &Session| {
        let n: u32 = session.get("n").unwrap().unwrap();
        session.insert("n", n + 1).unwrap();
    };
    let put = |session: &Session| session.insert("n", 9).unwrap();
    let mut visitor = visitor(&manager()).await;
    let refusal = in_parallel(&mut visitor, increment, increment).await;
    assert!(matches!(refusal, Some(SessionError::Conflict { .. })));
    assert_eq!(number(&visitor, "n").await, Some(2));
    assert!(in_parallel(&mut visitor, increment, put).await.is_none());
    assert_eq!(number(&visitor, "n").await, Some(9));
}

#[tokio::test]
async fn a_policy_or_a_merge_settles_true_conflicts() {
    let increment = |session: &Session| {
        let n: u32 = session.get("n").unwrap().unwrap();
        session.insert("n", n + 1).unwrap();
    };
    let mut lenient = visitor(&built(|builder| {
        builder.on_conflict(OnConflict::LastCommitWins)
    }))
    .await;
    assert!(
        in_parallel(&mut lenient, increment, increment)
            .await
            .is_none()
    );
    assert_eq!(number(&lenient, "n").await, Some(2));
    let merge =
        |base: Option<u32>, ours: Option<u32>, theirs: Option<u32>| Some(ours? + theirs? - base?);
    let mut merging = visitor(&built(|builder| builder.merge("n", merge))).await;
    assert!(
        in_parallel(&mut merging, increment, increment)
            .await
            .is_none()
    );
    assert_eq!(number(&merging, "n").await, Some(3));
}

#[tokio::test]
async fn a_handler_that_failed_is_rolled_back_but_its_logout_stands() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    session.insert("n", 2).unwrap();
    let finish = visitor.finish_with(&handle, 500).await;
    assert!(finish.refusal.is_none() && finish.set_cookie.is_none());
    assert_eq!(number(&visitor, "n").await, Some(1));
    let old = visitor.clone();
    let (handle, session) = visitor.load().await;
    session.destroy().unwrap();
    let finish = visitor.finish_with(&handle, 500).await;
    assert!(finish.set_cookie.unwrap().contains("Max-Age=0"));
    assert_eq!(number(&old, "n").await, None);
}

fn increment(session: &Session) -> u32 {
    let next = session.update("n", |n: Option<u32>| n.unwrap_or(0) + 1);
    next.unwrap()
}

#[tokio::test]
async fn of_two_layers_of_one_manager_the_outer_one_finishes_the_request() {
    let manager = manager();
    let mut visitor = visitor(&manager).await;
    let outer = visitor.open();
    let inner = visitor.open_inside(&outer);
    assert_eq!(increment(&inner.load().await.unwrap()), 2);
    assert!(!visitor.finish(&inner).await.is_personal);
    assert_eq!(number(&visitor, "n").await, Some(1));
    assert_eq!(increment(&outer.load().await.unwrap()), 3);
    assert!(visitor.finish(&outer).await.is_personal);
    assert_eq!(number(&visitor, "n").await, Some(3));
}

/// Frameworks may send a request in again, with what its first passage has left in it.
#[tokio::test]
async fn a_request_that_comes_again_after_its_response_is_a_request_of_its_own() {
    let mut visitor = visitor(&manager()).await;
    for (is_untouched, first, second) in [(false, 2, 3), (true, 3, 4)] {
        let handle = visitor.open();
        if !is_untouched {
            assert_eq!(increment(&handle.load().await.unwrap()), first);
        }
        assert_ne!(visitor.finish(&handle).await.is_personal, is_untouched);
        // Who asks for the session only now can read it, and is told that it is too late for more.
        let late = handle.load().await.unwrap();
        assert_eq!(late.get("n").unwrap(), Some(first));
        assert!(matches!(late.insert("n", 0), Err(SessionError::Sealed)));

        let again = visitor.open_inside(&handle);
        assert_eq!(increment(&again.load().await.unwrap()), second);
        assert!(visitor.finish(&again).await.is_personal);
        assert_eq!(number(&visitor, "n").await, Some(second));
    }
}

#[tokio::test]
async fn a_request_that_was_made_to_fail_is_refused_and_rolled_back_whatever_its_response_says() {
    let mut visitor = visitor(&manager()).await;
    for (status, is_refused) in [(200, true), (404, true), (500, false), (503, false)] {
        let (handle, session) = visitor.load().await;
        session.insert("n", 2).unwrap();
        handle.fail(SessionError::IdCollision);
        handle.fail(SessionError::Gone);
        let finish = visitor.finish_with(&handle, status).await;
        let refusal = finish.refusal.map(|error| error.status());
        assert_eq!(refusal, is_refused.then_some(503), "{status}");
        assert_eq!(number(&visitor, "n").await, Some(1));
    }
    let untouched = visitor.open();
    untouched.fail(SessionError::IdCollision);
    assert!(untouched.finish(200).await.refusal.is_some());
    // A logout stands.
    let (handle, session) = visitor.load().await;
    session.destroy().unwrap();
    handle.fail(SessionError::IdCollision);
    let finish = visitor.clone().finish_with(&handle, 200).await;
    assert!(finish.refusal.is_some() && finish.set_cookie.is_some());
    assert_eq!(number(&visitor, "n").await, None);
}

#[tokio::test]
async fn what_was_committed_at_once_stays_and_its_cookie_is_sent_even_if_the_handler_fails_later() {
    let mut visitor = visitor(&manager()).await;
    let old = visitor.clone();
    let (handle, session) = visitor.load().await;
    session.login("ada").unwrap();
    session.commit().await.unwrap();
    session.insert("n", 2).unwrap();
    assert!(visitor.finish_with(&handle, 500).await.set_cookie.is_some());
    let (_, session) = visitor.load().await;
    assert_eq!(session.principal().unwrap().as_str(), "ada");
    assert_eq!(session.get("n").unwrap(), Some(1));
    assert_eq!(old.load().await.1.principal(), None);
}

#[tokio::test]
async fn a_commit_in_the_handler_shows_the_committed_values() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    session
        .update("n", |n: Option<u32>| n.unwrap_or(0) + 1)
        .unwrap();
    visitor
        .clone()
        .request(async |other| {
            other
                .update("n", |n: Option<u32>| n.unwrap_or(0) + 10)
                .unwrap();
            other.insert("other", 1).unwrap();
        })
        .await;
    assert_eq!(session.get("n").unwrap(), Some(2), "a preview");
    session.commit().await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(12));
    assert!(session.contains("other").unwrap());
    // Reading and replacing one's own committed value is no conflict with oneself.
    session.insert("n", 13).unwrap();
    session.commit().await.unwrap();
    session.insert("n", 14).unwrap();
    assert!(visitor.finish(&handle).await.refusal.is_none());
    assert_eq!(number(&visitor, "n").await, Some(14));
}

#[tokio::test]
async fn a_conflict_inside_the_handler_can_be_answered_by_reading_again() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    let add = |session: &Session, amount: u32| {
        let n: u32 = session.get("n").unwrap().unwrap();
        session.insert("n", n + amount).unwrap();
    };
    add(&session, 1);
    visitor.clone().request(async |other| add(other, 10)).await;
    assert!(matches!(
        session.commit().await,
        Err(SessionError::Conflict { .. })
    ));
    session.refresh().await.unwrap();
    add(&session, 1);
    session.commit().await.unwrap();
    assert!(visitor.finish(&handle).await.refusal.is_none());
    assert_eq!(number(&visitor, "n").await, Some(12));
}

#[tokio::test]
async fn a_refresh_keeps_the_changes_so_far_and_shows_what_others_did() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    session
        .update("n", |n: Option<u32>| n.unwrap_or(0) + 1)
        .unwrap();
    visitor
        .clone()
        .request(async |other| other.insert("n", 40).unwrap())
        .await;
    session.refresh().await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(41));
    assert!(visitor.finish(&handle).await.refusal.is_none());
    assert_eq!(number(&visitor, "n").await, Some(41));
}

#[tokio::test]
async fn a_request_whose_session_ended_writes_nothing_whatever_it_tries() {
    let manager = manager();
    let mut visitor = visitor(&manager).await;
    let (handle, session) = visitor.load().await;
    visitor
        .clone()
        .request(async |other| other.destroy().unwrap())
        .await;
    for _ in 0..2 {
        session.insert("n", 2).unwrap();
        assert!(matches!(session.commit().await, Err(SessionError::Gone)));
    }
    assert!(matches!(session.refresh().await, Err(SessionError::Gone)));
    session.login("ada").unwrap();
    let finish = visitor.finish(&handle).await;
    assert!(matches!(finish.refusal, Some(SessionError::Gone)));
    assert_eq!(finish.set_cookie, None);
}

#[tokio::test]
async fn changes_after_the_end_of_the_session_or_of_the_response_are_errors_that_say_so() {
    let mut visitor = visitor(&manager()).await;
    let (handle, session) = visitor.load().await;
    let _ = visitor.finish(&handle).await;
    assert!(matches!(session.insert("n", 2), Err(SessionError::Sealed)));
    assert!(matches!(session.destroy(), Err(SessionError::Sealed)));
    assert_eq!(session.get("n").unwrap(), Some(1), "reading goes on");
    let (_handle, session) = visitor.load().await;
    session.destroy().unwrap();
    session.destroy().expect("a second time changes nothing");
    assert!(session.principal().is_none() && session.id().is_none() && session.version().is_none());
    assert!(!session.is_remembered());
    assert!(matches!(
        session.insert("n", 2),
        Err(SessionError::Destroyed)
    ));
    assert!(matches!(session.login("ada"), Err(SessionError::Destroyed)));
    assert!(
        !session.contains("n").unwrap(),
        "a destroyed session is empty"
    );
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_and_the_rest_is_written() {
    let mut visitor = visitor(&built(|builder| builder.max_record_bytes(2048))).await;
    visitor
        .request(async |session| {
            let refused = session.insert("large", "x".repeat(4096));
            assert!(matches!(
                refused,
                Err(SessionError::TooLarge { limit: 2048, .. })
            ));
            session.insert("n", 2).unwrap();
        })
        .await;
    assert_eq!(number(&visitor, "n").await, Some(2));
    let (handle, session) = visitor.load().await;
    for part in ["a", "b"] {
        session.insert(part, "x".repeat(1024)).unwrap();
    }
    let finish = visitor.finish(&handle).await;
    assert!(matches!(
        finish.refusal,
        Some(SessionError::TooLarge { .. })
    ));
    assert_eq!(visitor.load().await.1.keys(), ["n"]);
}

#[tokio::test]
async fn a_lease_is_renewed_once_per_tenth_of_the_idle_timeout() {
    let clock = ManualClock::new();
    let spy = SpyStore::new(MemoryStore::builder().clock(clock.clone()).build());
    let manager = SessionManager::builder(spy.clone(), KeyRing::generate().unwrap())
        .clock(clock.clone())
        .build()
        .unwrap();
    let mut visitor = visitor(&manager).await;
    // 30 minutes idle by default: one renewal every three minutes, for ten hours of activity.
    for _ in 0..600 {
        clock.advance(Duration::from_secs(60));
        visitor
            .request(async |session| assert_eq!(session.get("n").unwrap(), Some(1)))
            .await;
    }
    assert_eq!(spy.log().count(Verb::Renew), 200);
    assert_eq!(spy.log().count(Verb::Commit), 0);
}

#[tokio::test]
async fn a_store_that_lost_history_ends_the_session_or_goes_on_as_configured() {
    for (policy, survives) in [
        (OnHistoryLoss::EndSession, false),
        (OnHistoryLoss::Continue, true),
    ] {
        let (lost, backup) = (MemoryStore::new(), MemoryStore::new());
        let key = tenure_tests::random_key();
        let node = |store: &MemoryStore| {
            let keys: KeyRing = key.parse().unwrap();
            SessionManager::builder(AnyStore::Memory(store.clone()), keys)
                .on_history_loss(policy)
                .build()
                .unwrap()
        };
        let mut visitor = visitor(&node(&lost)).await;
        copy(&visitor, &lost, &backup).await;
        visitor
            .request(async |session| session.insert("n", 2).unwrap())
            .await;
        let mut visitor = visitor.at(&node(&backup));
        let (handle, session) = visitor.load().await;
        assert_eq!(session.get("n").unwrap(), survives.then_some(1_u32));
        if survives {
            session
                .update("n", |n: Option<u32>| n.unwrap_or(0) + 1)
                .unwrap();
        }
        assert!(visitor.finish(&handle).await.refusal.is_none());
        assert_eq!(number(&visitor, "n").await, survives.then_some(2));
        assert_eq!(backup.is_empty(), !survives);
    }
}

/// Copies the visitor's record from one store to another, as a backup does.
async fn copy(visitor: &Visitor, from: &MemoryStore, to: &MemoryStore) {
    use tenure_core::{Create, Freshness, Load, SessionStore};

    let id = visitor.load().await.1.id().unwrap();
    let Load::Found(record) = from.load(id, Freshness::Latest).await.unwrap() else {
        panic!("no session")
    };
    assert_eq!(to.create(record).await.unwrap(), Create::Created);
}
