//! Races, forced: each is arranged so that it happens, 20 times, on one node and on two. Of several kinds of
//! slow requests each gets its share of the 20.
//!
//! The slow request is sent first and waits 400 ms between loading and acting; the other one is
//! completed in between.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; the figures are for whoever runs it"
)]

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tenure_tests::{Answer, Browser, Cluster, Combination, for_every_combination};
use tokio::task::JoinSet;

/// Two requests of one browser: `slow` begins first and ends last.
struct Race {
    cluster: Arc<Cluster>,
    /// Where the slow request goes, and where the fast one.
    nodes: [SocketAddr; 2],
    browser: Browser,
    number: usize,
}

impl Race {
    /// The kind of slow request whose turn it is.
    fn turn_of<T: Copy>(&self, kinds: &[T]) -> T {
        kinds[self.number % kinds.len()]
    }

    /// Sends `slow` (its path has to pause), completes `fast` meanwhile, and returns both answers.
    async fn run(&self, slow: &str, fast: &str) -> (Answer, Answer) {
        let slow_answer = self.browser.peek(self.nodes[0], slow);
        let fast_answer = async {
            // Not a wait for something to happen: the slow request has to be well inside its pause.
            tokio::time::sleep(Duration::from_millis(150)).await;
            self.browser.peek(self.nodes[1], fast).await
        };
        tokio::join!(slow_answer, fast_answer)
    }

    async fn peek_everywhere(&self, cookie: Option<&str>, path: &str) -> Vec<String> {
        let mut browser = self.browser.clone();
        browser.set_cookie(cookie);
        self.cluster.catch_up().await;
        let mut bodies = Vec::new();
        for node in self.nodes {
            bodies.push(browser.peek(node, path).await.ok());
        }
        bodies
    }
}

/// Runs `round` 20 times side by side, each with a logged-in visitor of its own, with both requests
/// on one node and with each on another.
async fn twenty_of_twenty<F>(combination: Combination, round: impl Fn(Race) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let cluster = Arc::new(combination.cluster().nodes(2).start().await);
    for fast_node in [0, 1] {
        let nodes = [cluster.node(0), cluster.node(fast_node)];
        let mut rounds = JoinSet::new();
        for number in 0..ROUNDS {
            let mut browser = Browser::new();
            browser.get(nodes[0], "/login/ada").await.ok();
            let cluster = Arc::clone(&cluster);
            rounds.spawn(round(Race {
                cluster,
                nodes,
                browser,
                number,
            }));
        }
        let passed = rounds.join_all().await.len();
        println!("{passed} of {ROUNDS} rounds on {} node(s)", fast_node + 1);
        assert_eq!(passed, ROUNDS);
    }
}

async fn s20_a_slow_write_never_outlives_a_logout(combination: Combination) {
    let slow_requests = &[
        "/set/a/1?ms=400",
        "/incr?ms=400",
        "/incr-now?ms=400",
        "/incr-naive?ms=400",
    ];
    twenty_of_twenty(combination, |race| {
        slow_change_and_logout(race, slow_requests)
    })
    .await;
}

async fn a_rotation_that_races_a_logout_hands_out_no_live_session(combination: Combination) {
    let slow_requests = &["/rotate?ms=400", "/login/eve?ms=400"];
    twenty_of_twenty(combination, |race| {
        slow_change_and_logout(race, slow_requests)
    })
    .await;
}

async fn slow_change_and_logout(race: Race, slow_requests: &'static [&'static str]) {
    let slow = race.turn_of(slow_requests);
    let (changed, logged_out) = race.run(slow, "/logout").await;
    assert!(logged_out.session_cookie().unwrap().is_removal());
    assert_eq!((changed.status, &*changed.body), (409, ""), "{slow}");
    assert_eq!(changed.session_cookie(), None, "{slow}");
    let nobody = ["-", "-"];
    assert_eq!(
        race.peek_everywhere(race.browser.cookie(), "/whoami").await,
        nobody
    );
}

async fn a_logout_that_races_a_rotation_ends_the_rotated_session_too(combination: Combination) {
    twenty_of_twenty(combination, |race| async move {
        let (logged_out, rotated) = race.run("/logout?ms=400", "/rotate").await;
        let rotated = rotated.session_cookie().unwrap().value;
        assert!(logged_out.session_cookie().unwrap().is_removal());
        for cookie in [race.browser.cookie(), Some(&rotated)] {
            assert_eq!(race.peek_everywhere(cookie, "/whoami").await, ["-", "-"]);
        }
    })
    .await;
}

/// Whoever sent the logout had a cookie that the login made worthless; it may have been planted.
async fn a_logout_from_before_a_login_does_not_end_it(combination: Combination) {
    twenty_of_twenty(combination, |race| async move {
        let (logged_out, logged_in) = race.run("/logout?ms=400", "/login/eve").await;
        assert_eq!((logged_out.status, &*logged_out.body), (409, ""));
        assert_eq!(logged_out.session_cookie(), None);
        let login = logged_in.session_cookie().unwrap().value;
        assert_eq!(
            race.peek_everywhere(Some(&login), "/whoami").await,
            ["eve", "eve"]
        );
    })
    .await;
}

async fn s21_a_committed_privilege_drop_survives_an_unrelated_slow_write(combination: Combination) {
    twenty_of_twenty(combination, |mut race| async move {
        race.browser
            .get(race.nodes[0], "/set/role/admin")
            .await
            .ok();
        let (written, dropped) = race.run("/set/theme/dark?ms=400", "/set/role/guest").await;
        assert_eq!((written.status, dropped.status), (200, 200));
        let newest = written.session_cookie().unwrap().value;
        for cookie in [race.browser.cookie(), Some(&newest)] {
            assert_eq!(
                race.peek_everywhere(cookie, "/get/role").await,
                ["guest", "guest"]
            );
            assert_eq!(
                race.peek_everywhere(cookie, "/get/theme").await,
                ["dark", "dark"]
            );
        }
    })
    .await;
}

async fn a_slow_response_from_before_a_login_does_not_overwrite_its_cookie(
    combination: Combination,
) {
    let slow_requests = [
        ("/set/a/1?ms=400", 409),
        ("/incr?ms=400", 409),
        ("/incr-naive?ms=400", 409),
        ("/rotate?ms=400", 409),
    ];
    twenty_of_twenty(combination, move |mut race| async move {
        let (slow, status) = race.turn_of(&slow_requests);
        let (written, logged_in) = race.run(slow, "/login/eve").await;
        assert_eq!(written.status, status, "{slow}");
        assert_eq!(written.session_cookie(), None, "{slow}");
        // The browser receives them in this order: the login's cookie has to stay.
        race.browser.keep(&logged_in);
        race.browser.keep(&written);
        assert_eq!(
            race.peek_everywhere(race.browser.cookie(), "/whoami").await,
            ["eve", "eve"]
        );
    })
    .await;
}

async fn of_two_logins_at_once_each_browser_response_is_logged_in(combination: Combination) {
    twenty_of_twenty(combination, |race| async move {
        let (late, early) = race.run("/login/late?ms=400", "/login/early").await;
        let (late, early) = (
            late.session_cookie().unwrap().value,
            early.session_cookie().unwrap().value,
        );
        assert_eq!(
            race.peek_everywhere(Some(&late), "/whoami").await,
            ["late", "late"]
        );
        assert_eq!(
            race.peek_everywhere(Some(&early), "/whoami").await,
            ["early", "early"]
        );
        assert_eq!(
            race.peek_everywhere(race.browser.cookie(), "/whoami").await,
            ["-", "-"]
        );
    })
    .await;
}

const ROUNDS: usize = 20;

for_every_combination!(
    s20_a_slow_write_never_outlives_a_logout,
    a_rotation_that_races_a_logout_hands_out_no_live_session,
    a_logout_that_races_a_rotation_ends_the_rotated_session_too,
    a_logout_from_before_a_login_does_not_end_it,
    s21_a_committed_privilege_drop_survives_an_unrelated_slow_write,
    a_slow_response_from_before_a_login_does_not_overwrite_its_cookie,
    of_two_logins_at_once_each_browser_response_is_logged_in,
);
