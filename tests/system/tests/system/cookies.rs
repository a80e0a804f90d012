//! How long a real browser keeps each kind of cookie, and for whom.

use std::time::Duration;

use tenure_core::{Clock, SystemClock};

use crate::{
    app::{ABSOLUTE, App, IDLE, Kind},
    chromium::{Chromium, Profile, ThirdPartyCookies},
    done,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persistent_cookie_survives_the_browsers_closing_and_another_does_not() {
    let app = App::start().await;
    let profile = Profile::new();
    let browser = Chromium::start(&profile).await;
    for kind in [Kind::Ordinary, Kind::Persistent] {
        for visit in ["visit 1", "visit 2"] {
            assert_eq!(visited(&browser, &app, kind).await, visit);
        }
    }
    assert_eq!(time_left(&browser, Kind::Ordinary).await, None);
    assert_near(time_left(&browser, Kind::Persistent).await, IDLE);
    done("one cookie ends with the browser, the other with its lease of an hour");

    browser.quit().await;
    let browser = Chromium::start(&profile).await;
    let jar = browser.jar().await;
    let names: Vec<_> = jar.iter().map(|cookie| &*cookie.name).collect();
    assert_eq!(names, [Kind::Persistent.cookie_name()]);
    done("after closing the browser and starting it again, only the persistent cookie is there");

    assert_eq!(visited(&browser, &app, Kind::Persistent).await, "visit 3");
    assert_eq!(visited(&browser, &app, Kind::Ordinary).await, "visit 1");
    done("its session goes on, the other begins anew");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_asked_to_be_remembered_is_still_logged_in_after_the_browsers_closing() {
    let app = App::start().await;
    let kind = Kind::Ordinary;
    let read = app.url("localhost", kind, "read");
    for (login, expected) in [
        ("login-remembered", "here is ada"),
        ("login", "here is nobody"),
    ] {
        let profile = Profile::new();
        let browser = Chromium::start(&profile).await;
        browser.open(&app.url("localhost", kind, login)).await;
        browser.open(&read).await;
        assert_eq!(browser.text("body").await, "here is ada");
        browser.quit().await;

        let browser = Chromium::start(&profile).await;
        browser.open(&read).await;
        assert_eq!(browser.text("body").await, expected);
        done(&format!(
            "after {login} and a restart of the browser: {expected}"
        ));
        browser.quit().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_login_decides_anew_whether_the_cookie_outlives_the_browser() {
    let app = App::start().await;
    let profile = Profile::new();
    let browser = Chromium::start(&profile).await;
    let fortnight = Duration::from_secs(14 * 24 * 60 * 60);
    for (page, expected) in [
        ("visit", None),
        ("login-remembered", Some(fortnight)),
        ("visit", Some(fortnight)),
        ("login", None),
        ("visit", None),
    ] {
        browser
            .open(&app.url("localhost", Kind::Ordinary, page))
            .await;
        let left = time_left(&browser, Kind::Ordinary).await;
        match expected {
            Some(expected) => assert_near(left, expected),
            None => assert_eq!(left, None, "after {page}"),
        }
        done(&format!("after {page}, the cookie ends in {left:?}"));
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persistent_cookie_ends_with_its_lease() {
    let app = App::start().await;
    let profile = Profile::new();
    let browser = Chromium::start(&profile).await;
    let kind = Kind::Persistent;
    visited(&browser, &app, kind).await;
    assert_near(time_left(&browser, kind).await, IDLE);

    let read = app.url("localhost", kind, "read");
    for pause in [IDLE / 3, IDLE * 3 / 4] {
        app.clock().advance(pause);
        browser.open(&read).await;
    }
    let rest = ABSOLUTE - IDLE / 3 - IDLE * 3 / 4;
    assert_near(time_left(&browser, kind).await, rest);
    done("after 65 minutes of reading only, the cookie has what is left until the absolute end");

    app.clock().advance(rest);
    browser.open(&read).await;
    assert!(browser.jar().await.is_empty());
    done("a request after the end takes the cookie out of the browser");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_lives_on_with_each_request_and_goes_by_itself_without() {
    let app = App::start().await;
    let profile = Profile::new();
    let browser = Chromium::start(&profile).await;
    let end = async || {
        let cookie = browser.cookie(Kind::Brief.cookie_name()).await;
        cookie.unwrap().expiry.unwrap()
    };
    visited(&browser, &app, Kind::Brief).await;
    let first = end().await;
    while end().await < first + 2 {
        let read = app.url("localhost", Kind::Brief, "read");
        browser.open(&read).await;
    }
    done("reading moves the cookie's end on");
    while !browser.jar().await.is_empty() {}
    done("without requests, the browser drops the cookie at its end");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partitioned_cookie_is_another_one_below_each_site() {
    let app = App::start().await;
    for (third_party_cookies, embedded) in [
        (
            ThirdPartyCookies::Allowed,
            ["visit 1", "visit 2", "visit 3"],
        ),
        // Without a cookie, each visit is the first one.
        (
            ThirdPartyCookies::Blocked,
            ["visit 1", "visit 1", "visit 1"],
        ),
    ] {
        let profile = Profile::new();
        let browser = Chromium::start_with(&profile, third_party_cookies).await;
        let mut visits = Vec::new();
        for kind in [Kind::Embedded, Kind::Partitioned] {
            for host in ["one.localhost", "two.localhost", "one.localhost"] {
                visits.push(visited_in_frame(&browser, &app, host, kind).await);
            }
        }
        assert_eq!(visits[..3], embedded);
        assert_eq!(visits[3..], ["visit 1", "visit 1", "visit 2"]);
        done(&format!(
            "with cookies of other sites {third_party_cookies:?}, in frames on sites one, two, one: \
             {:?}, and `Partitioned` {:?}",
            &visits[..3],
            &visits[3..],
        ));
        partitions_are_kept_apart(&browser, &app).await;
        browser.quit().await;
    }
}

async fn partitions_are_kept_apart(browser: &Chromium, app: &App) {
    let mut jar = browser.jar().await;
    jar.retain(|cookie| cookie.name == Kind::Partitioned.cookie_name());
    let mut sites = Vec::new();
    for cookie in &jar {
        let key = cookie.partition_key.as_ref().unwrap();
        assert!(key.has_cross_site_ancestor);
        sites.push(&*key.top_level_site);
        assert_eq!(cookie.domain, "embedded.localhost");
        assert_eq!(cookie.same_site.as_deref(), Some("None"));
        assert!(cookie.secure && cookie.session);
    }
    sites.sort_unstable();
    assert_eq!(sites, ["http://one.localhost", "http://two.localhost"]);
    assert_ne!(jar[0].value, jar[1].value);
    done("the browser keeps two cookies, with the sites as their partitions");

    // Still within the frame on the first site.
    let logout = "fetch('/partitioned/logout').then((response) => response.status)";
    assert_eq!(browser.run(logout).await, 200);
    let first = visited_in_frame(browser, app, "one.localhost", Kind::Partitioned).await;
    assert_eq!(first, "visit 1");
    let second = visited_in_frame(browser, app, "two.localhost", Kind::Partitioned).await;
    assert_eq!(second, "visit 2");
    done("a logout on one site removes that site's cookie only");
}

async fn visited(browser: &Chromium, app: &App, kind: Kind) -> String {
    browser.open(&app.url("localhost", kind, "visit")).await;
    browser.text("body").await
}

/// What the visit counter shows in a frame on a page of that site. Stays in the frame.
async fn visited_in_frame(browser: &Chromium, app: &App, host: &str, kind: Kind) -> String {
    browser.enter_default_frame().await.unwrap();
    browser.open(&app.page_around(host, kind)).await;
    browser.enter_frame(0).await.unwrap();
    browser.text("body").await
}

/// How long the browser will keep the cookie; `None` for until it closes.
async fn time_left(browser: &Chromium, kind: Kind) -> Option<Duration> {
    let cookie = browser.cookie(kind.cookie_name()).await.unwrap();
    let end = Duration::from_secs(cookie.expiry?.try_into().unwrap());
    Some(end.saturating_sub(Duration::from_millis(SystemClock.now().as_millis())))
}

/// The browser counts whole seconds, and a busy machine takes its time.
fn assert_near(left: Option<Duration>, expected: Duration) {
    let left = left.unwrap();
    let is_near = left.abs_diff(expected) < Duration::from_secs(10);
    assert!(is_near, "{left:?}, not {expected:?}");
}
