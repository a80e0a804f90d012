//! What the pages promise in half a sentence. Each test stands here since the code could be changed so that it
//! broke the promise, and no other test noticed.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tenure_core::{
    Commit, Create, Delete, Finish, Freshness, KeyRing, Load, MemoryStore, Record, Renewal,
    Session, SessionError, SessionHandle, SessionId, SessionManager, SessionStore, StoreError,
    StoreErrorKind, Timestamp, Version, Whose,
};
use tenure_testing::{FaultyStore, ManualClock, Moment, SpyStore, Verb};
use tenure_tests::Visitor;

const SECOND: Duration = Duration::from_secs(1);

type Store = SpyStore<FaultyStore<MemoryStore>>;

/// A node whose store can fail and whose calls are counted.
struct World {
    clock: ManualClock,
    faulty: FaultyStore<MemoryStore>,
    spy: Store,
    manager: SessionManager,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::new();
        let faulty = FaultyStore::new(MemoryStore::builder().clock(clock.clone()).build());
        let spy = SpyStore::new(faulty.clone());
        let manager = SessionManager::builder(spy.clone(), KeyRing::generate().unwrap())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            clock,
            faulty,
            spy,
            manager,
        }
    }

    /// Somebody who is logged in.
    async fn ada(&self) -> Visitor {
        let mut visitor = Visitor::new(self.manager.clone());
        visitor
            .request(async |session| session.login("ada").unwrap())
            .await;
        self.spy.log().clear();
        visitor
    }

    fn calls(&self, verb: Verb) -> usize {
        self.spy.log().count(verb)
    }
}

fn user(session: &Session) -> Option<String> {
    let principal = session.principal();
    principal.map(|user| user.as_str().to_owned())
}

async fn end(handle: &SessionHandle) -> Finish {
    handle.finish(200).await
}

#[tokio::test]
async fn a_dead_cookie_costs_one_look_up_a_minute() {
    let world = World::new();
    let visitor = world.ada().await;
    let dead = visitor.clone();
    visitor
        .clone()
        .request(async |session| session.destroy().unwrap())
        .await;
    world.spy.log().clear();
    let look_ups = async || {
        let (handle, session) = dead.load().await;
        assert_eq!(user(&session), None);
        assert_eq!(end(&handle).await.set_cookie, None);
        world.calls(Verb::Load)
    };
    // The logout itself has told this node.
    assert_eq!(look_ups().await, 0);
    world.clock.advance(60 * SECOND - Duration::from_millis(1));
    assert_eq!(look_ups().await, 0);
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(look_ups().await, 1);
    assert_eq!(look_ups().await, 1);
    world.clock.advance(60 * SECOND);
    assert_eq!(look_ups().await, 2);
}

#[tokio::test]
async fn a_renewal_sets_no_cookie_where_the_browser_has_the_right_one() {
    let world = World::new();
    let mut visitor = world.ada().await;
    world.clock.advance(300 * SECOND);
    let (handle, _session) = visitor.load().await;
    assert_eq!(visitor.finish(&handle).await.set_cookie, None);
    assert_eq!(world.calls(Verb::Renew), 1);
}

#[tokio::test]
async fn of_the_requests_for_which_a_renewal_is_due_one_renews() {
    let world = World::new();
    let visitor = world.ada().await;
    world.clock.advance(300 * SECOND);
    let (first, _session) = visitor.load().await;
    let (second, _session) = visitor.load().await;
    let _ = end(&first).await;
    world.clock.advance(SECOND);
    let _ = end(&second).await;
    assert_eq!(world.calls(Verb::Renew), 1);
    // Who comes long after that had better not rely on it.
    let (late, _session) = visitor.load().await;
    world.clock.advance(300 * SECOND);
    let _ = end(&late).await;
    assert_eq!(world.calls(Verb::Renew), 2);
}

#[tokio::test]
async fn a_record_may_be_as_large_as_the_limit_says() {
    let fits = async |limit: usize| {
        let manager = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
            .max_record_bytes(limit)
            .build()
            .unwrap();
        let mut visitor = Visitor::new(manager);
        visitor
            .request(async |session| session.insert("n", 1).unwrap())
            .await;
        let (handle, session) = visitor.load().await;
        for key in ["a", "b", "c"] {
            session.insert(key, vec![7_u8; 1000]).unwrap();
        }
        match end(&handle).await.refusal {
            None => Ok(()),
            Some(SessionError::TooLarge {
                bytes, limit: told, ..
            }) => {
                assert_eq!(told, limit);
                Err(bytes)
            }
            Some(other) => panic!("{other}"),
        }
    };
    let bytes = fits(2000).await.unwrap_err();
    assert_eq!(fits(bytes).await, Ok(()));
    assert_eq!(fits(bytes - 1).await, Err(bytes));
}

#[tokio::test]
async fn a_handle_is_untouched_until_somebody_asks_or_an_extractor_fails() {
    let world = World::new();
    let handle = world.ada().await.open();
    assert!(handle.is_untouched());
    handle.load().await.unwrap();
    assert!(!handle.is_untouched());
    let failed = world.manager.open::<&str>([]);
    assert!(failed.is_untouched());
    failed.fail(SessionError::Gone);
    assert!(!failed.is_untouched());
}

#[tokio::test]
async fn who_logs_in_is_logged_in_for_the_rest_of_the_request() {
    let world = World::new();
    let (_handle, session) = world.ada().await.load().await;
    assert_eq!(user(&session).as_deref(), Some("ada"));
    session.login("bob").unwrap();
    assert_eq!(user(&session).as_deref(), Some("bob"));
    session.destroy().unwrap();
    assert_eq!(user(&session), None);
}

#[tokio::test]
async fn a_login_over_an_unreadable_session_can_use_its_values_at_once() {
    let world = World::new();
    let mut visitor = world.ada().await;
    world
        .faulty
        .fail_next(1, Verb::Load, Moment::BeforeCall, StoreErrorKind::Corrupt);
    visitor
        .request(async |session| {
            assert!(session.get::<u8>("n").is_err());
            session.login("bob").unwrap();
            assert_eq!(session.get::<u8>("n").unwrap(), None);
            session.insert("n", 5).unwrap();
        })
        .await;
    let (_handle, session) = visitor.load().await;
    assert_eq!(user(&session).as_deref(), Some("bob"));
    assert_eq!(session.get("n").unwrap(), Some(5));
}

#[tokio::test]
async fn a_login_does_not_wait_for_the_cookie_that_has_replaced_its_own() {
    let world = World::new();
    let mut visitor = world.ada().await;
    let mut behind = visitor.clone();
    visitor
        .request(async |session| session.rotate().unwrap())
        .await;
    // Within the grace, its changes are refused; its login begins a session of its own.
    let (handle, session) = behind.load().await;
    session.insert("n", 1).unwrap();
    let refused = behind.finish(&handle).await.refusal;
    assert!(
        matches!(refused, Some(SessionError::Superseded)),
        "{refused:?}"
    );
    behind
        .request(async |session| session.login("bob").unwrap())
        .await;
    assert_eq!(user(&behind.load().await.1).as_deref(), Some("bob"));
    assert_eq!(user(&visitor.load().await.1).as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_session_that_another_request_has_ended_shows_nothing_any_more() {
    let world = World::new();
    let mut visitor = world.ada().await;
    let (_handle, session) = visitor.load().await;
    visitor
        .request(async |session| session.destroy().unwrap())
        .await;
    assert!(matches!(session.refresh().await, Err(SessionError::Gone)));
    assert_eq!(user(&session), None);
    assert_eq!((session.id(), session.version()), (None, None));
    let loads = world.calls(Verb::Load);
    assert!(matches!(session.refresh().await, Err(SessionError::Gone)));
    assert_eq!(world.calls(Verb::Load), loads, "it is known by now");
}

#[tokio::test]
async fn a_logout_that_found_nothing_is_not_sent_again() {
    let world = World::new();
    let mut visitor = world.ada().await;
    let (handle, session) = visitor.load().await;
    visitor
        .request(async |session| session.destroy().unwrap())
        .await;
    world.spy.log().clear();
    session.destroy().unwrap();
    session.commit().await.unwrap();
    assert_eq!(end(&handle).await.set_cookie, None);
    assert_eq!(world.calls(Verb::Delete), 1);
}

/// A request commits a rotation, and then a change which fails in that way.
async fn cookie_after_a_failed_commit(kind: StoreErrorKind) -> Option<String> {
    let world = World::new();
    let visitor = world.ada().await;
    let (handle, session) = visitor.load().await;
    session.rotate().unwrap();
    session.commit().await.unwrap();
    session.insert("n", 1).unwrap();
    world
        .faulty
        .fail_next(2, Verb::Commit, Moment::BeforeCall, kind);
    session.commit().await.unwrap_err();
    end(&handle).await.set_cookie
}

#[tokio::test]
async fn after_a_commit_of_unknown_outcome_only_a_second_look_may_set_the_cookie() {
    // Whoever has written meanwhile may have replaced the secret.
    let unknown = cookie_after_a_failed_commit(StoreErrorKind::Interrupted).await;
    assert_eq!(unknown, None);
    // Nothing was sent, so nothing was read or written since.
    let known = cookie_after_a_failed_commit(StoreErrorKind::Unavailable).await;
    assert!(known.is_some());
}

#[tokio::test]
async fn a_logout_that_was_refused_can_be_tried_again_and_is_refused_again() {
    let world = World::new();
    let mut visitor = world.ada().await;
    let (_handle, session) = visitor.load().await;
    visitor
        .request(async |session| session.login("bob").unwrap())
        .await;
    session.destroy().unwrap();
    for attempt in 1..=3 {
        let refused = session.commit().await;
        assert!(
            matches!(refused, Err(SessionError::Superseded)),
            "{refused:?}"
        );
        assert_eq!(world.calls(Verb::Delete), attempt, "the store decides");
    }
    assert_eq!(user(&visitor.load().await.1).as_deref(), Some("bob"));
}

/// A store, or a proxy before it, that answers with the first session that was ever stored, whichever it is
/// asked for.
#[derive(Clone, Debug, Default)]
struct MixedUp {
    inner: MemoryStore,
    first: Arc<OnceLock<SessionId>>,
}

impl SessionStore for MixedUp {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        let id = self.first.get().copied().unwrap_or(id);
        self.inner.load(id, freshness).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        self.first.get_or_init(|| record.id());
        self.inner.create(record).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        self.inner.commit(expected, record).await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        self.inner.renew(id, whose, lease_end).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        self.inner.delete(id, whose).await
    }
}

#[tokio::test]
async fn another_session_than_the_one_that_was_asked_for_is_a_fault() {
    let manager = SessionManager::builder(MixedUp::default(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    let [mut ada, mut bob] = [(); 2].map(|()| Visitor::new(manager.clone()));
    for (visitor, name) in [(&mut ada, "ada"), (&mut bob, "bob")] {
        visitor
            .request(async |session| session.login(name).unwrap())
            .await;
    }
    assert_eq!(user(&ada.load().await.1).as_deref(), Some("ada"));
    // Not "bob", and above all not a secret of another's that has been replaced: nothing is known.
    let (_handle, session) = bob.load().await;
    let told = session.get::<u8>("n").unwrap_err();
    assert!(matches!(told, SessionError::Store(error) if error.kind() == StoreErrorKind::Corrupt));
}
