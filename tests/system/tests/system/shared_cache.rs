//! S30: no personal response in a real shared cache.

use std::collections::BTreeSet;

use tenure_core::SessionId;
use tenure_tests::{Adapter, Answer, Backend, Browser, Combination, CookieParts};

use crate::{done, nginx::Nginx};

/// nginx as it is when nobody has told it anything about cookies.
async fn s30_a_cache_keeps_nothing_personal(adapter: Adapter) {
    nobody_gets_what_is_anothers(adapter, &[]).await;
}

/// By itself, nginx keeps no response with a `Set-Cookie`. Many switch that off to cache more; then
/// `Cache-Control` alone stands in the way.
async fn s30_a_cache_that_disregards_cookies_keeps_nothing_personal(adapter: Adapter) {
    nobody_gets_what_is_anothers(adapter, &["Set-Cookie"]).await;
}

/// The other stories would see it if something personal were kept: here it is, for nginx is told to
/// disregard all that tenure says.
async fn a_cache_that_disregards_everything_gives_away_sessions(adapter: Adapter) {
    let cluster = Combination::new(adapter, Backend::Memory)
        .cluster()
        .start()
        .await;
    let nginx = Nginx::start(cluster.node(0), &["Set-Cookie", "Cache-Control", "Vary"]).await;
    let mut owner = Browser::new();
    let mut other = Browser::new();
    owner.get(nginx.address(), "/login/ada").await.ok();
    other.get(nginx.address(), "/login/ada").await.ok();
    assert_eq!(session_of(&owner), session_of(&other));
    done("the second visitor has the first one's session");
}

async fn nobody_gets_what_is_anothers(adapter: Adapter, ignored: &[&str]) {
    let cluster = Combination::new(adapter, Backend::Memory)
        .cluster()
        .start()
        .await;
    let nginx = Nginx::start(cluster.node(0), ignored).await;

    let mut ada = Visitor::new(&nginx);
    let mut grace = Visitor::new(&nginx);
    let stranger = Visitor::new(&nginx);
    // The same address for both, and neither has a cookie yet.
    ada.get("/login/somebody").await.ok();
    grace.get("/login/somebody").await.ok();
    assert_ne!(session_of(&ada.browser), session_of(&grace.browser));
    ada.get("/login/ada").await.ok();
    grace.get("/login/grace").await.ok();
    done("two visitors who log in at the same address get sessions of their own");

    let ada = tokio::spawn(ada.work("ada", 1));
    let grace = tokio::spawn(grace.work("grace", 2));
    let strangers = tokio::spawn(stranger.look_around());
    let (ada, grace, strangers) = (
        ada.await.unwrap(),
        grace.await.unwrap(),
        strangers.await.unwrap(),
    );
    assert!(ada.sessions.len() == 1 && grace.sessions.len() == 1);
    assert!(ada.sessions.is_disjoint(&grace.sessions));
    let cookies = [ada.cookies, grace.cookies];
    assert!(
        cookies.iter().all(|&cookies| cookies >= ROUNDS),
        "{cookies:?}"
    );
    done(&format!(
        "in {} requests at once, each saw their own numbers, name and cookies ({} of them), and \
         strangers saw none",
        ada.requests + grace.requests + strangers,
        cookies[0] + cookies[1],
    ));

    the_cache_works(&nginx, &ada.browser).await;
}

/// What never touches the session is served from the cache, so the rest was kept out of a cache that works.
async fn the_cache_works(nginx: &Nginx, visitor: &Browser) {
    let first = visitor.peek(nginx.address(), "/asset").await;
    assert_eq!(cache_status(&first), "MISS");
    for visitor in [visitor, &Browser::new()] {
        let again = visitor.peek(nginx.address(), "/asset").await;
        assert_eq!(cache_status(&again), "HIT");
        assert_eq!(again.ok(), "asset");
    }
    done("what is not personal comes from the cache, for visitors with and without a cookie");
}

/// Somebody who reaches the app through the cache.
struct Visitor {
    browser: Browser,
    nginx: std::net::SocketAddr,
}

/// What a visitor has seen.
struct Seen {
    browser: Browser,
    requests: u64,
    cookies: u64,
    sessions: BTreeSet<SessionId>,
}

impl Visitor {
    fn new(nginx: &Nginx) -> Self {
        Self {
            browser: Browser::new(),
            nginx: nginx.address(),
        }
    }

    /// No answer on these routes may come from the cache.
    async fn get(&mut self, path: &str) -> Answer {
        let answer = self.browser.get(self.nginx, path).await;
        assert_eq!(cache_status(&answer), "MISS", "{path}: {answer:?}");
        answer
    }

    /// Counts up by `step` in each round and asks for everything in between.
    async fn work(mut self, name: &str, step: u64) -> Seen {
        let (mut requests, mut cookies) = (0, 0);
        let mut sessions = BTreeSet::new();
        for round in 0..ROUNDS {
            for count in round * step + 1..=(round + 1) * step {
                let answer = self.get("/incr").await;
                let cookie = answer.session_cookie().unwrap();
                sessions.insert(CookieParts::of(&cookie.value).id());
                cookies += 1;
                assert_eq!(answer.number(), count);
            }
            for path in ["/read", "/public"] {
                assert_eq!(self.get(path).await.number(), (round + 1) * step);
            }
            assert_eq!(self.get("/whoami").await.ok(), name);
            requests += step + 3;
        }
        Seen {
            browser: self.browser,
            requests,
            cookies,
            sessions,
        }
    }

    /// Comes without a cookie and gets none. Returns the number of requests.
    async fn look_around(mut self) -> u64 {
        for _ in 0..ROUNDS {
            for path in ["/read", "/public"] {
                let answer = self.get(path).await;
                assert!(answer.session_cookie().is_none(), "{answer:?}");
                assert_eq!(answer.number(), 0);
            }
            assert_eq!(self.get("/whoami").await.ok(), "-");
        }
        ROUNDS * 3
    }
}

fn cache_status(answer: &Answer) -> &str {
    answer.texts("x-cache-status").next().unwrap()
}

fn session_of(browser: &Browser) -> SessionId {
    CookieParts::of(browser.cookie().unwrap()).id()
}

const ROUNDS: u64 = 40;

macro_rules! for_every_adapter {
    ($($story:ident),+ $(,)?) => {
        for_every_adapter!(@ tower, Tower, $($story),+);
        for_every_adapter!(@ axum, Axum, $($story),+);
        for_every_adapter!(@ actix, Actix, $($story),+);
    };
    (@ $name:ident, $adapter:ident, $($story:ident),+) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $story() {
                    super::$story(tenure_tests::Adapter::$adapter).await;
                }
            )+
        }
    };
}

for_every_adapter!(
    s30_a_cache_keeps_nothing_personal,
    s30_a_cache_that_disregards_cookies_keeps_nothing_personal,
    a_cache_that_disregards_everything_gives_away_sessions,
);
