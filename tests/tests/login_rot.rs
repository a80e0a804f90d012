//! The index that elsewhere grows to eleven thousand entries for fifty live sessions (spring-session#1017): here dead
//! entries go when they are looked at, a page at a time, and stand in nobody's way.

#![expect(clippy::unwrap_used, reason = "a surprise is a failed test")]

use std::time::Duration;

use tenure_core::{
    Clock as _, Confirm, Confirmation, Entropy as _, Epoch, KeyRing, LoginName, LoginStamp,
    OnLimit, OsEntropy, Principal, Reservation, Reserve, SessionId, SessionIndex, SessionManager,
    SystemClock,
};
use tenure_redis::RedisStore;
use tenure_testing::{RedisServer, SpyStore, Verb};
use tenure_tests::Visitor;

const DEAD: usize = 11_000;

async fn site(server: &RedisServer) -> SpyStore<RedisStore> {
    let deadline = Duration::from_secs(30);
    let store = RedisStore::builder(server.url()).deadline(deadline);
    SpyStore::new(store.connect().await.unwrap())
}

/// Enters that many logins whose sessions are not there.
async fn enter_dead(index: &RedisStore, user: &Principal) {
    let ends_at = SystemClock.now().after(Duration::from_secs(3600));
    let enter = async |_| {
        let mut id = [0; 16];
        OsEntropy.fill(&mut id).unwrap();
        let stamp = LoginStamp::random(&OsEntropy).unwrap();
        let login = LoginName::new(SessionId::from_bytes(id), stamp);
        let reservation = Reservation {
            login,
            replaces: None,
            limit: None,
            fence: None,
            dead: Vec::new(),
            kept_until: ends_at,
        };
        let reserved = index.reserve(user, reservation).await.unwrap();
        assert!(matches!(reserved, Reserve::Admitted { .. }));
        let confirmation = Confirmation {
            login,
            replaces: None,
            epoch: Epoch::default(),
            ends_at,
        };
        let confirmed = index.confirm(user, confirmation).await.unwrap();
        assert_eq!(confirmed, Confirm::Confirmed);
    };
    for _ in 0..DEAD / 100 {
        futures_util::future::join_all((0..100).map(enter)).await;
    }
}

#[tokio::test]
async fn dead_entries_go_when_they_are_listed_fifty_loads_at_a_time() {
    let server = RedisServer::start();
    let store = site(&server).await;
    let ada = Principal::new("ada").unwrap();
    enter_dead(store.inner(), &ada).await;
    let sessions = SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .login_index(store.clone())
        .deadline(Duration::from_secs(30))
        .build()
        .unwrap();
    let mut live = Visitor::new(sessions.clone());
    live.request(async |session| session.login("ada").unwrap())
        .await;
    let (mut pages, mut listed, mut after) = (0, 0, None);
    loop {
        let before = store.log().count(Verb::Load);
        let page = sessions.index().logins_of("ada", after).await.unwrap();
        assert!(store.log().count(Verb::Load) - before <= 50);
        pages += 1;
        listed += page.sessions.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, listed), (DEAD / 50 + 1, 1));
    let before = store.log().count(Verb::Load);
    let page = sessions.index().logins_of("ada", None).await.unwrap();
    assert_eq!(page.sessions.len(), 1);
    assert_eq!(store.log().count(Verb::Load) - before, 1, "they are gone");
}

#[tokio::test]
async fn a_user_with_thousands_of_dead_entries_can_log_in_at_a_limit() {
    for on_limit in [OnLimit::Refuse, OnLimit::EndOldest] {
        let server = RedisServer::start();
        let store = site(&server).await;
        let ada = Principal::new("ada").unwrap();
        enter_dead(store.inner(), &ada).await;
        let sessions = SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
            .login_index(store)
            .max_sessions(1, on_limit)
            .deadline(Duration::from_secs(30))
            .build()
            .unwrap();
        let mut visitor = Visitor::new(sessions.clone());
        visitor
            .request(async |session| session.login("ada").unwrap())
            .await;
        let listed = sessions.index().logins_of("ada", None).await.unwrap();
        assert_eq!(listed.sessions.len(), 1, "{on_limit:?}");
    }
}
