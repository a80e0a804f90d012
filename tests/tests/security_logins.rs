//! Rows 25 and 26 of the checklist in SECURITY.md: ending other sessions, and limits per user, on two nodes through
//! sockets. ASVS 5.0's numbers stand in the names.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{net::SocketAddr, time::Duration};

use tenure_core::{LoginRefusal, OnLimit, SessionError};
use tenure_tests::{Browser, Cluster, Combination, for_every_combination};
use tokio::task::JoinSet;

async fn cluster(combination: Combination) -> Cluster {
    combination.cluster().nodes(2).login_index().start().await
}

async fn limited(combination: Combination, most: u32, on_limit: OnLimit) -> Cluster {
    let cluster = combination.cluster().nodes(2).login_index();
    let limit =
        move |builder: tenure_core::SessionManagerBuilder| builder.max_sessions(most, on_limit);
    cluster.configure(limit).start().await
}

async fn logged_in(node: SocketAddr, user: &str) -> Browser {
    let mut browser = Browser::new();
    browser.get(node, &format!("/login/{user}")).await.ok();
    browser
}

/// Who is logged in with that cookie, on each node, once those know of all that has happened.
async fn user(cluster: &Cluster, browser: &Browser) -> String {
    cluster.catch_up().await;
    let [here, there] = [0, 1].map(|node| browser.peek(cluster.node(node), "/whoami"));
    let (here, there) = tokio::join!(here, there);
    let (here, there) = (here.ok(), there.ok());
    assert_eq!(here, there, "the nodes do not agree");
    here
}

async fn logins_at_once(cluster: &Cluster, count: usize) -> JoinSet<(Browser, u16)> {
    let mut logins = JoinSet::new();
    for number in 0..count {
        let node = cluster.node(number % 2);
        logins.spawn(async move {
            let mut browser = Browser::new();
            let status = browser.get(node, "/login/ada").await.status;
            (browser, status)
        });
    }
    logins
}

async fn s25_logins_do_not_survive_the_end_of_all_of_them(combination: Combination) {
    let cluster = cluster(combination).await;
    for round in 0..4 {
        let mut logins = logins_at_once(&cluster, 10).await;
        tokio::time::sleep(Duration::from_millis(round)).await;
        Browser::new()
            .get(cluster.node(1), "/end-all/ada")
            .await
            .ok();
        let mut usable = 0;
        while let Some(login) = logins.join_next().await {
            let (browser, status) = login.unwrap();
            let user = user(&cluster, &browser).await;
            assert!(
                status == 200 || (status == 409 && user == "-"),
                "{status} {user}"
            );
            usable += usize::from(user == "ada");
        }
        // Whoever is still logged in came later, and is known: nothing escapes the next ending.
        let ended = Browser::new().get(cluster.node(0), "/end-all/ada").await;
        assert_eq!(ended.ok(), usable.to_string());
        assert_eq!(cluster.stored(), 0);
    }
}

async fn s25_asvs_7_4_5_an_operator_ends_a_users_sessions_and_nobody_elses(
    combination: Combination,
) {
    let cluster = cluster(combination).await;
    let ada = [
        logged_in(cluster.node(0), "ada").await,
        logged_in(cluster.node(1), "ada").await,
    ];
    let grace = logged_in(cluster.node(0), "grace").await;
    let ended = Browser::new().get(cluster.node(1), "/end-all/ada").await;
    assert_eq!(ended.ok(), "2");
    for browser in &ada {
        assert_eq!(user(&cluster, browser).await, "-");
    }
    assert_eq!(user(&cluster, &grace).await, "grace");
}

async fn s25_a_handler_under_way_cannot_write_after_the_end(combination: Combination) {
    let cluster = cluster(combination).await;
    for (slow, status) in [
        ("/incr?ms=300", 409),
        ("/rotate?ms=300", 409),
        ("/read", 200),
    ] {
        let browser = logged_in(cluster.node(0), "ada").await;
        let slow = browser.peek(cluster.node(0), slow);
        let end = async {
            // Not a wait for something to happen: the slow request has to be inside its pause.
            tokio::time::sleep(Duration::from_millis(100)).await;
            Browser::new()
                .get(cluster.node(1), "/end-all/ada")
                .await
                .ok();
        };
        let (answer, ()) = tokio::join!(slow, end);
        assert_eq!(answer.status, status);
        assert_eq!(user(&cluster, &browser).await, "-");
    }
}

async fn s25_asvs_7_4_3_after_a_new_password_only_this_session_goes_on(combination: Combination) {
    let cluster = cluster(combination).await;
    let mut here = logged_in(cluster.node(0), "ada").await;
    let others = [logged_in(cluster.node(1), "ada").await, here.clone()];
    let ended = here.get(cluster.node(0), "/end-others").await;
    assert_eq!(ended.ok(), "1");
    assert_eq!(user(&cluster, &here).await, "ada");
    for other in &others {
        assert_eq!(
            user(&cluster, other).await,
            "-",
            "also who has the old cookie"
        );
    }
    assert_eq!(here.get(cluster.node(1), "/devices").await.ok(), "1");
}

async fn s25_asvs_7_4_2_a_disabled_account_has_no_sessions_and_gets_none(combination: Combination) {
    let cluster = cluster(combination).await;
    let mut browser = logged_in(cluster.node(0), "ada").await;
    let blocked = Browser::new().get(cluster.node(1), "/block/ada").await;
    assert_eq!(blocked.ok(), "1");
    assert_eq!(user(&cluster, &browser).await, "-");
    let refused = browser.get(cluster.node(0), "/login/ada").await;
    assert_eq!(refused.status, 409);
    assert_eq!(user(&cluster, &browser).await, "-");
    Browser::new()
        .get(cluster.node(0), "/unblock/ada")
        .await
        .ok();
    browser.get(cluster.node(1), "/login/ada").await.ok();
    assert_eq!(user(&cluster, &browser).await, "ada");
}

async fn s25_another_user_in_the_same_browser_is_not_logged_out_with_the_first(
    combination: Combination,
) {
    let cluster = cluster(combination).await;
    let mut browser = logged_in(cluster.node(0), "ada").await;
    browser.get(cluster.node(0), "/login/grace").await.ok();
    Browser::new()
        .get(cluster.node(1), "/end-all/ada")
        .await
        .ok();
    assert_eq!(user(&cluster, &browser).await, "grace");
}

async fn s25_a_logout_can_leave_the_session_and_a_session_can_begin_anew(combination: Combination) {
    let cluster = cluster(combination).await;
    let mut browser = logged_in(cluster.node(0), "ada").await;
    browser.get(cluster.node(0), "/set/basket/3").await.ok();
    let stolen = browser.clone();
    browser.get(cluster.node(0), "/leave").await.ok();
    assert_eq!(user(&cluster, &browser).await, "-");
    assert_eq!(browser.get(cluster.node(1), "/get/basket").await.ok(), "3");
    assert_eq!(stolen.peek(cluster.node(0), "/get/basket").await.ok(), "-");

    browser.get(cluster.node(0), "/login/ada").await.ok();
    browser.get(cluster.node(0), "/regenerate").await.ok();
    assert_eq!(user(&cluster, &browser).await, "-");
    assert_eq!(browser.get(cluster.node(1), "/get/basket").await.ok(), "-");
    assert_eq!(
        browser.get(cluster.node(1), "/get/message").await.ok(),
        "goodbye"
    );
}

async fn s26_asvs_7_1_2_no_more_sessions_than_allowed_whoever_logs_in_at_once(
    combination: Combination,
) {
    for (most, on_limit) in [(1, OnLimit::Refuse), (3, OnLimit::EndOldest)] {
        let cluster = limited(combination, most, on_limit).await;
        // Looked at when all have answered: until then one may end another.
        let logins = logins_at_once(&cluster, 12).await.join_all().await;
        let mut usable = 0;
        for (browser, status) in logins {
            let is_usable = user(&cluster, &browser).await == "ada";
            assert!(status == 200 || (status == 409 && !is_usable), "{status}");
            usable += u32::from(is_usable);
        }
        let live = cluster.stored();
        assert_eq!(live, usize::try_from(most).unwrap(), "{on_limit:?}");
        assert!(usable <= most);
    }
}

async fn s26_a_refused_login_writes_nothing_and_says_why(combination: Combination) {
    let cluster = limited(combination, 1, OnLimit::Refuse).await;
    let first = logged_in(cluster.node(0), "ada").await;
    let mut second = Browser::new();
    second.get(cluster.node(0), "/set/basket/3").await.ok();
    let cookie = second.cookie().map(str::to_owned);
    let refused = second.get(cluster.node(1), "/login/ada").await;
    let reason = SessionError::from(LoginRefusal::TooMany);
    assert_eq!((refused.status, reason.status()), (409, 409));
    assert_eq!(second.cookie().map(str::to_owned), cookie);
    assert_eq!(second.get(cluster.node(0), "/get/basket").await.ok(), "3");
    assert_eq!(user(&cluster, &first).await, "ada");
}

for_every_combination!(
    s25_logins_do_not_survive_the_end_of_all_of_them,
    s25_asvs_7_4_5_an_operator_ends_a_users_sessions_and_nobody_elses,
    s25_a_handler_under_way_cannot_write_after_the_end,
    s25_asvs_7_4_3_after_a_new_password_only_this_session_goes_on,
    s25_asvs_7_4_2_a_disabled_account_has_no_sessions_and_gets_none,
    s25_another_user_in_the_same_browser_is_not_logged_out_with_the_first,
    s25_a_logout_can_leave_the_session_and_a_session_can_begin_anew,
    s26_asvs_7_1_2_no_more_sessions_than_allowed_whoever_logs_in_at_once,
    s26_a_refused_login_writes_nothing_and_says_why,
);
