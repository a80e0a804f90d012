//! A visit to the quickstart.

use std::{fs, path::PathBuf};

use serde::Deserialize;
use tenure_core::SessionId;
use tenure_tests::CookieParts;
use thirtyfour::{By, SameSite, WindowHandle};

use crate::{
    chromium::{Chromium, Profile},
    done,
    quickstart::Quickstart,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_counts_logs_in_works_in_two_tabs_and_logs_out() {
    let app = Quickstart::start().await;
    let profile = Profile::new();
    let browser = Chromium::start(&profile).await;

    browser.open(app.url()).await;
    for visit in 1..=3 {
        assert_eq!(shown_count(&browser).await, visit);
        browser.refresh().await.unwrap();
    }
    done("the count goes up with each reload");

    cookie_is_as_it_should_be(&browser).await;
    let visitor = session_of(&browser).await;
    log_in(&browser, "ada").await;
    assert_eq!(session_of(&browser).await, visitor);
    let after_login = shown_count(&browser).await;
    assert_eq!(after_login, 5);
    browser.refresh().await.unwrap();
    assert_eq!(browser.text("strong").await, "ada");
    done("after logging in by the form and a reload, still logged in, in the same session");
    take_picture(&browser, "quickstart-logged-in.png").await;

    let first = browser.window().await.unwrap();
    let second = browser.new_tab().await.unwrap();
    browser.switch_to(&second).await;
    browser.open(app.url()).await;
    assert_eq!(browser.text("strong").await, "ada");
    assert_eq!(shown_count(&browser).await, after_login + 2);
    done("a second tab shows the same user and goes on counting");

    let before = shown_count(&browser).await;
    let tabs = [&first, &second];
    let requests = count_in_both_tabs_at_once(&browser, tabs).await;
    browser.refresh().await.unwrap();
    assert_eq!(shown_count(&browser).await, before + requests + 1);
    done(&format!(
        "{requests} requests of both tabs at once are {requests} more on the counter"
    ));

    let session = session_of(&browser).await;
    browser.click("form[action='/logout'] button").await;
    browser.text("form[action='/login']").await;
    assert_eq!(shown_count(&browser).await, 1);
    assert_eq!(browser.count("strong").await, 0);
    assert_ne!(session_of(&browser).await, session);
    done("logging out in the second tab begins a new session");
    browser.back().await.unwrap();
    browser.text("form[action='/login']").await;
    assert_eq!(browser.count("strong").await, 0);
    done("the way back does not lead to the page of the user who has left");

    browser.switch_to(&first).await;
    assert_eq!(browser.text("strong").await, "ada");
    browser.refresh().await.unwrap();
    browser.text("form[action='/login']").await;
    assert_eq!(browser.count("strong").await, 0);
    done("the first tab shows the user until it is reloaded, and then no longer");

    log_in(&browser, "grace").await;
    assert!(browser.cookie("session").await.is_some());
    // Without following to the first page, which would begin a new session.
    let logout = "fetch('/logout', { method: 'POST', redirect: 'manual' }).then(() => 'sent')";
    assert_eq!(browser.run(logout).await, "sent");
    assert_eq!(browser.cookie("session").await.map(|it| it.value), None);
    assert!(browser.jar().await.is_empty());
    done("the response to the logout takes the cookie out of the browser");
    browser.quit().await;
}

/// What the quickstart sets: for plain HTTP on localhost, and until the browser closes.
async fn cookie_is_as_it_should_be(browser: &Chromium) {
    let cookie = browser.cookie("session").await.unwrap();
    assert_eq!(cookie.domain.as_deref(), Some("127.0.0.1"));
    assert_eq!(cookie.path.as_deref(), Some("/"));
    assert_eq!(cookie.http_only, Some(true));
    assert_eq!(cookie.same_site, Some(SameSite::Lax));
    assert_eq!(cookie.secure, Some(false));
    assert_eq!(cookie.expiry, None);
    assert_eq!(browser.jar().await.len(), 1);
    done("the browser keeps one cookie: Path=/, HttpOnly, SameSite=Lax, until it closes");
    assert_eq!(browser.run("document.cookie").await, "");
    done("scripts do not see it");
}

async fn log_in(browser: &Chromium, name: &str) {
    let field = browser.find(By::Name("user")).await.unwrap();
    field.send_keys(name).await.unwrap();
    browser.click("form[action='/login'] button").await;
    assert_eq!(browser.text("strong").await, name);
}

/// Both tabs get a sign to begin and report when each of their requests was under way. Returns how many
/// there were.
async fn count_in_both_tabs_at_once(browser: &Chromium, tabs: [&WindowHandle; 2]) -> u64 {
    for tab in tabs {
        browser.switch_to(tab).await;
        let prepare = include_str!("count.js");
        browser.execute(prepare, Vec::new()).await.unwrap();
    }
    browser
        .run("new BroadcastChannel('start').postMessage('now')")
        .await;
    let mut spans = Vec::new();
    for tab in tabs {
        browser.switch_to(tab).await;
        let reported = browser.run("window.counting").await;
        let reported: Vec<Span> = serde_json::from_value(reported).unwrap();
        assert!(
            reported.iter().all(|span| span.status == 200),
            "{reported:?}"
        );
        spans.push(reported);
    }
    let overlaps = |span: &&Span| {
        let mut others = spans[1].iter();
        others.any(|other| span.begin < other.end && other.begin < span.end)
    };
    let met = spans[0].iter().filter(overlaps).count();
    assert!(met > 0, "the tabs took turns: {spans:?}");
    let requests = spans.iter().map(Vec::len).sum::<usize>();
    done(&format!(
        "{met} of the first tab's requests were under way together with one of the second's"
    ));
    u64::try_from(requests).unwrap()
}

/// A request as the page saw it, in milliseconds since the epoch.
#[derive(Debug, Deserialize)]
struct Span {
    status: u16,
    begin: f64,
    end: f64,
}

async fn shown_count(browser: &Chromium) -> u64 {
    browser.text(".count").await.parse().unwrap()
}

async fn session_of(browser: &Chromium) -> SessionId {
    let cookie = browser.cookie("session").await.unwrap();
    CookieParts::of(&cookie.value).id()
}

/// For people to look at: `target/tmp/`.
async fn take_picture(browser: &Chromium, name: &str) {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let picture = browser.screenshot_as_png().await.unwrap();
    assert!(picture.starts_with(b"\x89PNG"));
    fs::write(&path, picture).unwrap();
    done(&format!("a picture of that: {}", path.display()));
}
