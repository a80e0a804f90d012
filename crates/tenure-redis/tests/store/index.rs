//! What the login index sends, and what lies at the server afterwards.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tenure_core::{
    Clock, Confirm, Confirmation, Ended, Ending, Epoch, FeedListener, LoginName, LoginSeen,
    Principal, Reservation, Reserve, SessionId, SessionIndex, SessionStore, StoreErrorKind,
    SystemClock, Timestamp, Touch, Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{ManualClock, RedisServer, records};

use crate::support::{live, send};

#[tokio::test]
async fn every_verb_is_one_command() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    // The first use of each script sends all of it.
    use_every_verb(&store).await;
    server.reset_command_stats();
    for _ in 0..10 {
        use_every_verb(&store).await;
    }
    let mut stats = server.command_stats();
    stats.retain(|name, _| {
        !RedisServer::INSIDE_SCRIPTS.contains(&name.as_str()) && name != "config|resetstat"
    });
    let expected = [
        // `standing`, `gate`, and the nine verbs that are scripts, `touch` twice.
        ("hmget", 10),
        ("get", 10),
        ("evalsha", 100),
    ];
    let expected: BTreeMap<_, _> = expected
        .map(|(name, calls)| (name.to_owned(), calls))
        .into();
    assert_eq!(stats, expected);
}

#[tokio::test]
async fn a_page_of_principals_is_a_scan_and_one_command_for_each_of_them() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let mut expected = BTreeSet::new();
    for _ in 0..300 {
        let account = Account::new(&store);
        account.logged_in().await;
        expected.insert(account.user.as_str().to_owned());
    }
    // Sessions, other stores' keys and other keys of the index are not taken for principals.
    live(&store).await;
    let other = RedisStore::builder(server.url()).prefix("tenure:u");
    Account::new(&other.connect().await.unwrap())
        .logged_in()
        .await;
    server.reset_command_stats();
    let mut listed = BTreeSet::new();
    let mut after = None;
    let mut pages = 0;
    loop {
        let page = store.users(after).await.unwrap();
        pages += 1;
        listed.extend(page.users.iter().map(|user| user.as_str().to_owned()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, expected);
    let stats = server.command_stats();
    assert_eq!(stats["scan"], pages);
    assert!((300..=330).contains(&stats["hmget"]), "{stats:?}");
}

/// The keys' times to live: that they are set, the first time too, prolonged, and never shortened.
#[tokio::test]
async fn all_keys_of_a_principal_live_as_long_as_a_session_that_they_concern() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let account = Account::new(&store);
    let hours = |hours: u64| SystemClock.now().after(Duration::from_secs(hours * 3600));
    let live_about = |keys: &[&str], expected: u64| {
        for key in keys {
            let left: i64 = account.ask(&server, "PTTL", key).parse().unwrap();
            let left = Duration::from_millis(left.try_into().expect(key));
            let expected = Duration::from_secs(expected * 3600 + 60);
            let is_about = left <= expected && left + Duration::from_secs(50) > expected;
            assert!(is_about, "{key:?} lives {left:?}, not {expected:?}");
        }
    };

    // The first reservation; then one that asks for less, and one that asks for more.
    for (asked, expected) in [(2, 2), (1, 2), (3, 3)] {
        account.reserve(records::random_login(), hours(asked)).await;
        live_about(&["", ":p"], expected);
    }
    // A confirmation makes a key, and its session may end later.
    let (first, second) = (records::random_login(), records::random_login());
    let epoch = account.reserve(first, hours(1)).await;
    account.reserve(second, hours(1)).await;
    account.confirm(first, epoch, hours(2)).await;
    live_about(&["", ":p", ":s"], 3);
    account.confirm(second, epoch, hours(5)).await;
    live_about(&["", ":p", ":s"], 5);
    // What is condemned is kept as long, though nobody says how long that is.
    store.condemn(&account.user, second).await.unwrap();
    live_about(&["", ":p", ":s", ":x"], 5);
    // Entered again by its use.
    let seen = LoginSeen {
        login: records::random_login(),
        epoch,
        ends_at: hours(7),
    };
    let touched = store.touch(&account.user, seen).await.unwrap();
    assert_eq!(touched, Touch::Entered);
    live_about(&["", ":p", ":s", ":x"], 7);
    // An ending, of which two keys are left.
    let ended = account.end(hours(9), false).await;
    assert_eq!(ended.condemned.len(), 6);
    live_about(&["", ":x"], 9);
    // And for somebody of whom there was nothing.
    let account = Account::new(&store);
    let _ = account.end(hours(4), false).await;
    let left: u64 = account.ask(&server, "PTTL", "").parse().unwrap();
    assert!((14_300_000..=14_460_000).contains(&left), "{left}");
}

#[tokio::test]
async fn a_block_is_kept_until_it_is_lifted_and_then_as_long_as_the_rest() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let account = Account::new(&store);
    let hours = |hours: u64| SystemClock.now().after(Duration::from_secs(hours * 3600));
    let left = |key| account.ask(&server, "TTL", key).parse::<i64>().unwrap();
    account.reserve(records::random_login(), hours(8)).await;
    let ended = account.end(hours(1), true).await;
    assert_eq!(left(""), -1, "no limit");
    assert!((28_800..=28_860).contains(&left(":x")), "{}", left(":x"));
    let seen = LoginSeen {
        login: records::random_login(),
        epoch: ended.epoch,
        ends_at: hours(10),
    };
    let touched = store.touch(&account.user, seen).await.unwrap();
    assert_eq!(touched, Touch::Entered);
    assert_eq!(left(""), -1, "still none");
    store.unblock(&account.user, ended.epoch).await.unwrap();
    assert!((36_000..=36_060).contains(&left("")), "{}", left(""));
    assert_eq!(account.ask(&server, "HEXISTS", "").as_str(), "0");
}

#[tokio::test]
async fn entries_vanish_by_themselves() {
    let server = RedisServer::start();
    let clock = ManualClock::starting_at(SystemClock.now());
    let store = RedisStore::builder(server.url()).clock(clock.clone());
    let store = store.connect().await.unwrap();
    let account = Account::new(&store);
    let soon = clock.now().after(Duration::from_secs(60));
    account.reserve(records::random_login(), soon).await;
    let _ = account.end(soon, false).await;
    // By this clock, all of it is over: what is left is the least that a key lives.
    clock.advance(Duration::from_secs(3600));
    for part in ["", ":x"] {
        let ttl = account.ask(&server, "PTTL", part).parse::<u64>().unwrap();
        assert!(ttl <= 120_000, "{ttl}");
        let key = account.key(part);
        assert_eq!(server.command(&["PEXPIRE", &key, "1"]), "1");
        while server.command(&["EXISTS", &key]) == "1" {
            tokio::task::yield_now().await;
        }
    }
    let standing = store.standing(&account.user).await.unwrap();
    assert_eq!(standing.epoch, Epoch::default());
    assert!(store.users(None).await.unwrap().users.is_empty());
}

#[tokio::test]
async fn logins_and_logouts_leave_no_key_behind() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let coming_and_going = (0..20).map(|_| async {
        let account = Account::new(&store);
        for _ in 0..50 {
            let login = account.logged_in().await;
            store.settle(&account.user, vec![login]).await.unwrap();
        }
    });
    join_all(coming_and_going).await;
    assert_eq!(send(&server, "DBSIZE"), "0");
}

#[tokio::test]
async fn a_full_server_takes_no_new_logins_but_ends_those_that_there_are() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let account = Account::new(&store);
    let stranger = Account::new(&store);
    let logins = [account.logged_in().await, account.logged_in().await];
    let under_way = records::random_login();
    let epoch = account.reserve(under_way, kept_until()).await;
    let lost = LoginSeen {
        login: records::random_login(),
        epoch,
        ends_at: kept_until(),
    };
    send(&server, "CONFIG SET maxmemory 1");

    let refused = store.reserve(&account.user, asked(records::random_login()));
    assert_eq!(refused.await.unwrap_err().kind(), StoreErrorKind::Full);
    let refused = store.touch(&account.user, lost);
    assert_eq!(refused.await.unwrap_err().kind(), StoreErrorKind::Full);

    // Its session is stored, so there was room for it.
    account.confirm(under_way, epoch, kept_until()).await;
    store.condemn(&account.user, logins[0]).await.unwrap();
    let ended = account.end(kept_until(), true).await;
    assert_eq!(ended.condemned.len(), 3);
    assert_eq!(
        store.touch(&account.user, lost).await.unwrap(),
        Touch::Ended
    );
    store.settle(&account.user, ended.condemned).await.unwrap();
    let page = store.logins(&account.user, None, 10).await.unwrap();
    assert!(page.logins.is_empty() && page.condemned.is_empty());
    store.unblock(&account.user, ended.epoch).await.unwrap();
    let _ = stranger.end(kept_until(), true).await;
    let gate = store.raise_gate(ended.epoch).await.unwrap();
    assert_eq!(gate, ended.epoch);
    send(&server, "CONFIG SET maxmemory 0");
}

/// What no index has written is a fault, never a guess.
#[tokio::test]
async fn foreign_keys_and_values_are_faults() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let account = Account::new(&store);
    let user = &account.user;
    server.command(&["SET", &account.key(""), "text"]);
    let outcome = store.standing(user).await.unwrap_err();
    assert_eq!(outcome.kind(), StoreErrorKind::Corrupt);
    let outcome = store.reserve(user, asked(records::random_login())).await;
    assert_eq!(outcome.unwrap_err().kind(), StoreErrorKind::Corrupt);
    server.command(&["DEL", &account.key("")]);

    server.command(&["ZADD", &account.key(":s"), "1", "too short"]);
    let outcome = store.logins(user, None, 10).await.unwrap_err();
    assert!(!outcome.is_retryable(), "{outcome:?}");
    server.command(&["HSET", &account.key(""), "e", "many"]);
    assert!(store.standing(user).await.is_err());
    assert!(store.end(user, ending(kept_until(), false)).await.is_err());
    server.command(&["HSET", &account.key(""), "n", ""]);
    assert!(store.users(None).await.is_err());
    server.command(&["SET", "tenure:gate", "ajar"]);
    assert!(store.gate().await.is_err());
    assert!(store.raise_gate(Epoch::from_u64(5)).await.is_err());
    for cursor in [&b""[..], b"x", b"1 MATCH *"] {
        let foreign = tenure_core::UserCursor::new(cursor.to_vec());
        let outcome = store.users(Some(foreign)).await.unwrap_err();
        assert_eq!(outcome.kind(), StoreErrorKind::Corrupt);
    }
}

/// Beyond 2^53, Lua's numbers are not exact: two epochs could be taken for one.
#[tokio::test]
async fn epochs_beyond_what_scripts_can_compare_are_faults() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let account = Account::new(&store);
    let seen = |epoch| LoginSeen {
        login: records::random_login(),
        epoch: Epoch::from_u64(epoch),
        ends_at: Timestamp::from_millis(u64::MAX),
    };
    for epoch in [1 << 53, u64::MAX] {
        let touched = store.touch(&account.user, seen(epoch)).await;
        assert_eq!(touched.unwrap_err().kind(), StoreErrorKind::Corrupt);
        let raised = store.raise_gate(Epoch::from_u64(epoch)).await;
        assert_eq!(raised.unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
    let largest = (1 << 53) - 1;
    let touched = store.touch(&account.user, seen(largest)).await.unwrap();
    assert_eq!(touched, Touch::Entered);
    let standing = store.standing(&account.user).await.unwrap();
    assert_eq!(standing.epoch, Epoch::from_u64(largest));
    let page = store.logins(&account.user, None, 10).await.unwrap();
    assert_eq!(page.logins[0].ends_at, Timestamp::from_millis(largest));
}

#[tokio::test]
async fn a_cache_s_handle_asks_the_index_on_a_connection_that_tracks_nothing() {
    let server = RedisServer::start();
    let store = RedisStore::connect(server.url()).await.unwrap();
    let notes = Arc::new(Notes::default());
    let fed = store.feed(Arc::clone(&notes) as _).unwrap();
    let record = live(&fed.store).await;
    fed.feed.prove(tenure_core::Part::ONLY).await.unwrap();
    notes.0.lock().clear();
    let tracked = || {
        let info = send(&server, "INFO stats");
        let keys = info
            .lines()
            .find_map(|line| line.strip_prefix("tracking_total_keys:"));
        keys.unwrap().trim().parse::<u32>().unwrap()
    };
    let before = tracked();
    for _ in 0..20 {
        use_every_verb(&fed.store).await;
    }
    assert_eq!(tracked(), before, "keys in the server's tracking table");
    // What others do in the index is no business of the cache either.
    use_every_verb(&store).await;
    fed.feed.prove(tenure_core::Part::ONLY).await.unwrap();
    assert_eq!(*notes.0.lock(), []);
    let whose = Whose::Login(record.login().stamp);
    let _ = store.delete(record.id(), whose).await.unwrap();
    fed.feed.prove(tenure_core::Part::ONLY).await.unwrap();
    assert_eq!(*notes.0.lock(), [Some(record.id())]);
}

#[derive(Debug, Default)]
struct Notes(Mutex<Vec<Option<SessionId>>>);

impl FeedListener for Notes {
    fn changed(&self, id: SessionId) {
        self.0.lock().push(Some(id));
    }

    fn lost(&self, _: tenure_core::Part) {
        self.0.lock().push(None);
    }
}

struct Account<'a> {
    store: &'a RedisStore,
    user: Principal,
}

impl<'a> Account<'a> {
    fn new(store: &'a RedisStore) -> Self {
        let user = records::random_principal();
        Self { store, user }
    }

    /// One of the principal's keys. In a store with the default prefix, found by looking for it.
    fn key(&self, part: &str) -> String {
        let hash = Sha256::digest(self.user.as_str());
        let digits: String = hash[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("tenure:u:{{{digits}}}{part}")
    }

    fn ask(&self, server: &RedisServer, command: &str, part: &str) -> String {
        let key = self.key(part);
        match command {
            "HEXISTS" => server.command(&[command, &key, "k"]),
            _ => server.command(&[command, &key]),
        }
    }

    async fn reserve(&self, login: LoginName, kept_until: Timestamp) -> Epoch {
        let reservation = Reservation {
            kept_until,
            ..asked(login)
        };
        match self.store.reserve(&self.user, reservation).await.unwrap() {
            Reserve::Admitted { epoch, .. } => epoch,
            other => panic!("{other:?}"),
        }
    }

    async fn confirm(&self, login: LoginName, epoch: Epoch, ends_at: Timestamp) {
        let confirmation = Confirmation {
            login,
            replaces: None,
            epoch,
            ends_at,
        };
        let outcome = self.store.confirm(&self.user, confirmation).await;
        assert_eq!(outcome.unwrap(), Confirm::Confirmed);
    }

    async fn logged_in(&self) -> LoginName {
        let login = records::random_login();
        let epoch = self.reserve(login, kept_until()).await;
        self.confirm(login, epoch, kept_until()).await;
        login
    }

    async fn end(&self, kept_until: Timestamp, blocks: bool) -> Ended {
        let ending = ending(kept_until, blocks);
        self.store.end(&self.user, ending).await.unwrap()
    }
}

async fn use_every_verb(store: &RedisStore) {
    let account = Account::new(store);
    let user = &account.user;
    let login = account.logged_in().await;
    let epoch = store.standing(user).await.unwrap().epoch;
    for login in [login, records::random_login()] {
        let seen = LoginSeen {
            login,
            epoch,
            ends_at: kept_until(),
        };
        let _ = store.touch(user, seen).await.unwrap();
    }
    store.condemn(user, login).await.unwrap();
    let ended = account.end(kept_until(), true).await;
    let page = store.logins(user, None, 50).await.unwrap();
    assert_eq!(page.condemned.len(), 2);
    store.settle(user, ended.condemned).await.unwrap();
    store.unblock(user, ended.epoch).await.unwrap();
    let _ = store.raise_gate(ended.epoch).await.unwrap();
    let _ = store.gate().await.unwrap();
}

fn asked(login: LoginName) -> Reservation {
    Reservation {
        login,
        replaces: None,
        limit: None,
        fence: None,
        dead: Vec::new(),
        kept_until: kept_until(),
    }
}

fn ending(kept_until: Timestamp, blocks: bool) -> Ending {
    Ending {
        tag: records::random_login().stamp().as_u64(),
        spares: None,
        blocks,
        kept_until,
    }
}

fn kept_until() -> Timestamp {
    SystemClock.now().after(Duration::from_secs(24 * 60 * 60))
}
