//! Answers and calls that come late: after a login, after a logout, after the grace. And what a session that cannot
//! be read still allows.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tenure_core::{
    CookieConfig, KeyRing, Lifetimes, MemoryStore, SessionError, SessionManager, SessionStore,
    StoreErrorKind,
};
use tenure_testing::{FaultyStore, ManualClock, Moment, SlowStore, Verb};

const MINUTE: Duration = Duration::from_secs(60);

/// `name=value` of a `Set-Cookie` field.
fn pair(field: &str) -> String {
    field.split(';').next().unwrap().to_owned()
}

fn manager(store: impl SessionStore, clock: &ManualClock, persistent: bool) -> SessionManager {
    let mut cookie = CookieConfig::builder();
    if persistent {
        cookie = cookie.persistent();
    }
    SessionManager::builder(store, KeyRing::generate().unwrap())
        .clock(clock.clone())
        .cookie(cookie.build().unwrap())
        .build()
        .unwrap()
}

fn memory(clock: &ManualClock) -> MemoryStore {
    MemoryStore::builder().clock(clock.clone()).build()
}

async fn begin(manager: &SessionManager, user: &str) -> String {
    let visit = manager.open::<&str>([]);
    visit.load().await.unwrap().login(user).unwrap();
    visit.finish(200).await.set_cookie.unwrap()
}

async fn user(manager: &SessionManager, cookie: &str) -> Option<String> {
    let visit = manager.open([cookie]);
    let session = visit.load().await.unwrap();
    session.principal().map(|user| user.as_str().to_owned())
}

#[tokio::test]
async fn a_renewal_from_before_a_login_does_not_give_it_the_old_lifetimes() {
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let visit = manager.open::<&str>([]);
    visit.load().await.unwrap().login_remembered("ada").unwrap();
    let cookie = pair(&visit.finish(200).await.set_cookie.unwrap());
    clock.advance(2 * 24 * 60 * MINUTE);

    // A page that is being made, and meanwhile a login on a computer that is not to remember.
    let page = manager.open([&cookie]);
    let _ = page.load().await.unwrap();
    let login = manager.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let cookie = pair(&login.finish(200).await.set_cookie.unwrap());
    let _ = page.finish(200).await;

    clock.advance(31 * MINUTE);
    assert_eq!(user(&manager, &cookie).await, None, "30 minutes idle");
}

#[tokio::test]
async fn what_is_detached_ends_with_the_secret_that_it_knew() {
    let clock = ManualClock::new();
    let inner = memory(&clock);
    let store = SlowStore::new(inner.clone());
    let manager = manager(store.clone(), &clock, false);
    let cookie = pair(&begin(&manager, "ada").await);
    let visit = manager.open([&cookie]);
    let socket = visit.load().await.unwrap().detach().unwrap();
    let _ = visit.finish(200).await;

    // One commit is on its way; behind it the socket's and a login stand in line.
    let gate = store.hold(Verb::Commit, Moment::BeforeCall);
    let first = manager.open([&cookie]);
    first.load().await.unwrap().insert("first", 1).unwrap();
    let first = tokio::spawn(async move { first.finish(200).await });
    gate.arrivals(1).await;
    let socket = Arc::new(socket);
    socket.insert("message", 1).unwrap();
    let sending = tokio::spawn({
        let socket = Arc::clone(&socket);
        async move { socket.commit().await }
    });
    tokio::task::yield_now().await;
    let login = manager.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let login = tokio::spawn(async move { login.finish(200).await });
    tokio::task::yield_now().await;
    gate.open();
    let _ = first.await.unwrap();
    sending.await.unwrap().unwrap();
    let cookie = pair(&login.await.unwrap().set_cookie.unwrap());
    assert_eq!(inner.len(), 1);

    // Within the grace, as promised.
    socket.insert("message", 2).unwrap();
    let refused = socket.commit().await;
    assert!(
        matches!(refused, Err(SessionError::Superseded)),
        "{refused:?}"
    );
    clock.advance(MINUTE);
    socket.insert("message", 3).unwrap();
    let outcome = socket.commit().await;
    let visit = manager.open([&cookie]);
    let seen: Option<u32> = visit.load().await.unwrap().get("message").unwrap();
    assert!(
        outcome.is_err(),
        "acknowledged; read by the user's next request: {seen:?}; sessions stored: {}",
        inner.len()
    );
}

async fn late_answer(verb: Verb, moment: Moment) -> Option<String> {
    let clock = ManualClock::new();
    let inner = memory(&clock);
    let store = SlowStore::new(inner.clone());
    let keys = || {
        KeyRing::new([
            7_u8, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 21, 25, 33, 47,
            58, 69, 70, 81, 92, 103, 111, 123, 200,
        ])
        .unwrap()
    };
    let node = |store| {
        SessionManager::builder(store, keys())
            .clock(clock.clone())
            .cookie(CookieConfig::builder().persistent().build().unwrap())
            .build()
            .unwrap()
    };
    let (slow, quick) = (node(store.clone()), {
        SessionManager::builder(inner.clone(), keys())
            .clock(clock.clone())
            .cookie(CookieConfig::builder().persistent().build().unwrap())
            .build()
            .unwrap()
    });
    let cookie = pair(&begin(&quick, "guest").await);
    clock.advance(20 * MINUTE);
    let visit = slow.open([&cookie]);
    let session = visit.load().await.unwrap();
    if verb == Verb::Commit {
        session.insert("n", 1).unwrap();
    }
    let gate = store.hold(verb, moment);
    let late = tokio::spawn(async move { visit.finish(200).await });
    gate.arrivals(1).await;
    let login = quick.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let _ = login.finish(200).await.set_cookie.unwrap();
    gate.open();
    let finish = late.await.unwrap();
    finish.set_cookie
}

#[tokio::test]
async fn a_slow_renewal_puts_no_older_cookie_over_the_login_s() {
    assert_eq!(late_answer(Verb::Renew, Moment::BeforeCall).await, None);
}

#[tokio::test]
async fn a_slow_commit_puts_no_older_cookie_over_the_login_s() {
    assert_eq!(late_answer(Verb::Commit, Moment::BeforeCall).await, None);
}

/// A double click on "log out", of which the second arrives late, and a login in between.
async fn second_logout(loads_late: bool) -> Option<String> {
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let cookie = pair(&begin(&manager, "ada").await);
    let (first, second) = (manager.open([&cookie]), manager.open([&cookie]));
    let late = if loads_late {
        None
    } else {
        Some(second.load().await.unwrap())
    };
    first.load().await.unwrap().destroy().unwrap();
    assert!(
        first
            .finish(200)
            .await
            .set_cookie
            .unwrap()
            .contains("Max-Age=0")
    );
    let _login = begin(&manager, "ada").await;
    let late = match late {
        Some(late) => late,
        None => second.load().await.unwrap(),
    };
    late.destroy().unwrap();
    let finish = second.finish(200).await;
    finish.set_cookie
}

#[tokio::test]
async fn a_late_second_logout_does_not_remove_the_cookie_of_a_login_since() {
    assert_eq!(second_logout(false).await, None);
}

#[tokio::test]
async fn a_second_logout_that_loads_late_does_not_remove_the_cookie_of_a_login_since() {
    assert_eq!(second_logout(true).await, None);
}

#[tokio::test]
async fn a_refresh_over_a_store_without_versions_sets_no_cookie() {
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let cookie = pair(&begin(&manager, "ada").await);
    let visit = manager.open([&cookie]);
    let session = visit.load().await.unwrap();
    let other = manager.open([&cookie]);
    other.load().await.unwrap().insert("n", 1).unwrap();
    assert_eq!(other.finish(200).await.set_cookie, None);
    session.refresh().await.unwrap();
    assert_eq!(visit.finish(200).await.set_cookie, None);
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Comment {
    text: String,
    answers: Vec<Self>,
}

fn thread(depth: usize) -> Comment {
    (0..depth).fold(Comment::default(), |answer, n| Comment {
        text: n.to_string(),
        answers: vec![answer],
    })
}

#[tokio::test]
async fn a_deep_value_that_can_be_inserted_can_be_read() {
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let visit = manager.open::<&str>([]);
    let session = visit.load().await.unwrap();
    session.insert("thread", thread(40)).unwrap();
    let refused = session.insert("deeper", thread(200));
    assert!(matches!(refused, Err(SessionError::Encode { .. })));
    let cookie = pair(&visit.finish(200).await.set_cookie.unwrap());
    let visit = manager.open([&cookie]);
    let session = visit.load().await.unwrap();
    assert_eq!(session.get("thread").unwrap(), Some(thread(40)));
    assert!(!session.contains("deeper").unwrap());
}

/// One load is answered with damaged bytes (a proxy mixed up replies, or a node of an earlier version).
#[tokio::test]
async fn a_login_over_an_unreadable_session_makes_its_older_cookie_worthless() {
    let clock = ManualClock::new();
    let store = FaultyStore::new(memory(&clock));
    let manager = manager(store.clone(), &clock, false);
    let older = pair(&begin(&manager, "ada").await);
    store.fail_next(1, Verb::Load, Moment::BeforeCall, StoreErrorKind::Corrupt);
    let visit = manager.open([&older]);
    visit.load().await.unwrap().login("bob").unwrap();
    let newer = pair(&visit.finish(200).await.set_cookie.unwrap());
    assert_eq!(user(&manager, &newer).await.as_deref(), Some("bob"));
    assert_eq!(
        user(&manager, &older).await,
        None,
        "a cookie from before the login"
    );
}

#[tokio::test]
async fn the_values_of_an_unreadable_session_are_errors() {
    let clock = ManualClock::new();
    let store = FaultyStore::new(memory(&clock));
    let manager = manager(store.clone(), &clock, false);
    let cookie = pair(&begin(&manager, "ada").await);
    store.fail_next(1, Verb::Load, Moment::BeforeCall, StoreErrorKind::Corrupt);
    let visit = manager.open([&cookie]);
    let session = visit.load().await.unwrap();
    assert!(session.get::<u8>("n").is_err());
    assert!(session.contains("n").is_err());
    assert!(session.insert("n", 1).is_err());
    assert!(session.update("n", |n: Option<u8>| n.unwrap_or(0)).is_err());
    assert!(session.remove("n").is_err());
    assert!(session.take::<u8>("n").is_err());
    assert!(session.clear().is_err());
    assert!(session.rotate().is_err());
    assert!(session.refresh().await.is_err());
    assert!(session.principal().is_none());
    session.destroy().unwrap();
    assert!(
        visit
            .finish(200)
            .await
            .set_cookie
            .unwrap()
            .contains("Max-Age=0")
    );
    assert_eq!(user(&manager, &cookie).await, None);
}

/// A request in the grace that takes longer than what is left of it.
async fn slower_than_the_grace(logs_out: bool) -> Option<String> {
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let cookie = pair(&begin(&manager, "guest").await);
    let login = manager.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let _ = login.finish(200).await;
    clock.advance(Duration::from_secs(20));
    let late = manager.open([&cookie]);
    let session = late.load().await.unwrap();
    clock.advance(Duration::from_secs(11));
    if logs_out {
        session.destroy().unwrap();
    } else {
        session.insert("n", 1).unwrap();
    }
    let finish = late.finish(200).await;
    finish.set_cookie
}

#[tokio::test]
async fn a_superseded_request_slower_than_the_grace_puts_no_cookie_over_the_login_s() {
    assert_eq!(slower_than_the_grace(false).await, None);
}

#[tokio::test]
async fn a_superseded_logout_slower_than_the_grace_removes_no_login_s_cookie() {
    assert_eq!(slower_than_the_grace(true).await, None);
}

/// The same renewal, but after a change back to ordinary by the login of somebody else.
#[tokio::test]
async fn a_renewal_that_was_on_its_way_at_a_login_does_not_outlast_its_idle_timeout() {
    let clock = ManualClock::new();
    let inner = memory(&clock);
    let store = SlowStore::new(inner.clone());
    let manager = manager(store.clone(), &clock, false);
    let visit = manager.open::<&str>([]);
    visit.load().await.unwrap().login_remembered("ada").unwrap();
    let cookie = pair(&visit.finish(200).await.set_cookie.unwrap());
    clock.advance(2 * 24 * 60 * MINUTE);
    let gate = store.hold(Verb::Renew, Moment::BeforeCall);
    let page = manager.open([&cookie]);
    let _ = page.load().await.unwrap();
    let page = tokio::spawn(async move { page.finish(200).await });
    gate.arrivals(1).await;
    let login = manager.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let cookie = pair(&login.finish(200).await.set_cookie.unwrap());
    gate.open();
    assert_eq!(page.await.unwrap().set_cookie, None);
    clock.advance(23 * 60 * MINUTE);
    assert_eq!(
        user(&manager, &cookie).await,
        None,
        "23 hours idle of 30 minutes"
    );
}

#[test]
fn any_bytes_are_refused_or_kept() {
    use tenure_core::{
        Epoch, Lineage, Login, LoginStamp, Principal, Record, SecretHash, SessionId, Timestamp,
    };
    let now = Timestamp::from_millis(1_700_000_000_000);
    let record = Record::new(
        SessionId::from_bytes([7; 16]),
        Lineage::first(9),
        SecretHash::from_bytes([3; 32]),
        now,
        Lifetimes::default(),
    )
    .with_login(
        Principal::new("ada").unwrap(),
        Login::new(LoginStamp::from_u64(4), Epoch::default(), now),
    );
    let mut good = record.encode().to_vec();
    for (key, value) in [("a", 3), ("bb", 70)] {
        good.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
        good.extend(key.bytes());
        good.extend(u32::try_from(value).unwrap().to_be_bytes());
        good.extend(std::iter::repeat_n(0x91, value));
    }
    let mut state = 88_172_645_463_325_252_u64;
    let mut draw = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 1_000_003).unwrap() % below
    };
    let (mut kept, mut refused) = (0, 0);
    let manager = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .build()
        .unwrap();
    for _ in 0..200_000 {
        let mut bytes = good.clone();
        for _ in 0..=draw(4) {
            match draw(3) {
                0 => {
                    let at = draw(bytes.len());
                    bytes[at] = u8::try_from(draw(256)).unwrap();
                }
                1 => {
                    let at = draw(bytes.len() + 1);
                    bytes.truncate(at.max(1));
                }
                _ => {
                    let at = draw(bytes.len());
                    bytes.insert(at, u8::try_from(draw(256)).unwrap());
                }
            }
        }
        match Record::decode(bytes.clone().into()) {
            Ok(record) => {
                kept += 1;
                assert_eq!(record.encode(), bytes);
                assert_eq!(record.encoded_len(), bytes.len());
                let _ = (
                    record.values().get("bb"),
                    record.next(1).with_lease_end(now),
                );
            }
            Err(_) => refused += 1,
        }
        let mut field = b"__Host-session=; ".to_vec();
        field.extend(&bytes[..draw(bytes.len())]);
        let _ = manager.open([field.clone(), bytes]);
        let _ = tenure_core::sets_cookie(&field, "__Host-session");
    }
    assert!(kept > 1000 && refused > 1000, "{kept} {refused}");
}

/// A logout that has noticed a rotation before.
#[tokio::test]
async fn a_logout_that_meets_a_rotation_ends_the_session_although_it_has_noticed() {
    for notices in ["nothing", "refresh", "commit"] {
        let clock = ManualClock::new();
        let manager = manager(memory(&clock), &clock, false);
        let cookie = pair(&begin(&manager, "ada").await);
        let logout = manager.open([&cookie]);
        let session = logout.load().await.unwrap();
        let rotation = manager.open([&cookie]);
        rotation.load().await.unwrap().rotate().unwrap();
        let rotated = pair(&rotation.finish(200).await.set_cookie.unwrap());
        match notices {
            "refresh" => drop(session.refresh().await),
            "commit" => {
                session.insert("n", 1).unwrap();
                drop(session.commit().await);
            }
            _ => {}
        }
        session.destroy().unwrap();
        let refusal = logout.finish(200).await.refusal;
        assert_eq!(
            user(&manager, &rotated).await,
            None,
            "{notices}: {refusal:?}"
        );
    }
}

/// What is detached has committed together with a rotation, and ends the session later.
#[tokio::test]
async fn a_logout_behind_the_response_that_is_acknowledged_has_ended_the_session() {
    let clock = ManualClock::new();
    let inner = memory(&clock);
    let store = SlowStore::new(inner.clone());
    let manager = manager(store.clone(), &clock, false);
    let cookie = pair(&begin(&manager, "ada").await);
    let visit = manager.open([&cookie]);
    let socket = Arc::new(visit.load().await.unwrap().detach().unwrap());
    let _ = visit.finish(200).await;
    let gate = store.hold(Verb::Commit, Moment::BeforeCall);
    let first = manager.open([&cookie]);
    first.load().await.unwrap().insert("first", 1).unwrap();
    let first = tokio::spawn(async move { first.finish(200).await });
    gate.arrivals(1).await;
    socket.insert("message", 1).unwrap();
    let sending = tokio::spawn({
        let socket = Arc::clone(&socket);
        async move { socket.commit().await }
    });
    tokio::task::yield_now().await;
    let rotation = manager.open([&cookie]);
    rotation.load().await.unwrap().rotate().unwrap();
    let rotation = tokio::spawn(async move { rotation.finish(200).await });
    tokio::task::yield_now().await;
    gate.open();
    let _ = first.await.unwrap();
    sending.await.unwrap().unwrap();
    let cookie = pair(&rotation.await.unwrap().set_cookie.unwrap());
    clock.advance(MINUTE);
    socket.destroy().unwrap();
    let outcome = socket.commit().await;
    let user = user(&manager, &cookie).await;
    assert!(
        outcome.is_err() || user.is_none(),
        "{outcome:?}, and still logged in: {user:?}"
    );
}

/// "What does not fit, without anything of the value."
#[tokio::test]
async fn the_error_of_a_value_tells_nothing_of_it() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Pin;
    impl TryFrom<String> for Pin {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("invalid PIN, expected four digits and not {text}"))
        }
    }
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Pair;
    impl TryFrom<String> for Pair {
        type Error = String;
        fn try_from(text: String) -> Result<Self, String> {
            Err(format!("missing field separator in {text}"))
        }
    }
    let clock = ManualClock::new();
    let manager = manager(memory(&clock), &clock, false);
    let visit = manager.open::<&str>([]);
    let session = visit.load().await.unwrap();
    session.insert("v", "hunter2").unwrap();
    let errors = [
        session.get::<Pin>("v").unwrap_err(),
        session.get::<Pair>("v").unwrap_err(),
    ];
    assert!(
        !errors
            .iter()
            .any(|error| error.to_string().contains("hunter2")),
        "{errors:?}"
    );
}

/// As `f2`, with a real server.
#[tokio::test]
async fn a_renewal_from_before_a_login_with_redis() {
    let clock = ManualClock::new();
    let server = tenure_testing::RedisServer::start();
    let store = tenure_redis::RedisStore::builder(server.url()).clock(clock.clone());
    let manager = manager(store.connect().await.unwrap(), &clock, false);
    let visit = manager.open::<&str>([]);
    visit.load().await.unwrap().login_remembered("ada").unwrap();
    let cookie = pair(&visit.finish(200).await.set_cookie.unwrap());
    clock.advance(2 * 24 * 60 * MINUTE);
    let page = manager.open([&cookie]);
    let _ = page.load().await.unwrap();
    let login = manager.open([&cookie]);
    login.load().await.unwrap().login("ada").unwrap();
    let cookie = pair(&login.finish(200).await.set_cookie.unwrap());
    let _ = page.finish(200).await;
    clock.advance(23 * 60 * MINUTE);
    assert_eq!(
        user(&manager, &cookie).await,
        None,
        "23 hours idle of 30 minutes"
    );
}
