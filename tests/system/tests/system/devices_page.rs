//! The page "my devices" in two browsers at once.

use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    chromium::{Chromium, Profile},
    done,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_ends_a_login_in_another_browser_and_then_all_others() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = devices::app(devices::sessions().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.unwrap() });

    let profiles = [Profile::new(), Profile::new()];
    let laptop = Chromium::start(&profiles[0]).await;
    let phone = Chromium::start(&profiles[1]).await;
    for browser in [&laptop, &phone] {
        log_in(browser, &url).await;
    }
    laptop.open(&url).await;
    assert_eq!(
        (laptop.count("li").await, laptop.count("li .here").await),
        (2, 1)
    );
    assert!(laptop.text("li b").await.contains("Chrome"));
    keep_picture(&laptop, "devices.png").await;
    done("each browser is listed, one of them as this device");

    fill(&laptop, "li form input[name=password]", "guess").await;
    laptop.click("li form button").await;
    assert_eq!(laptop.text(".warning").await, "That is not the password.");
    phone.open(&url).await;
    assert_eq!(phone.text("h1").await, "Devices of ada");
    done("a wrong password ends nothing");

    fill(&laptop, "li form input[name=password]", PASSWORD).await;
    laptop.click("li form button").await;
    assert_eq!(laptop.text("li .here").await, "this device");
    assert_eq!(laptop.count("li").await, 1);
    phone.open(&url).await;
    assert_eq!(phone.text("h1").await, "Log in");
    done("with the password the other browser is logged out at its next page");

    log_in(&phone, &url).await;
    laptop.open(&url).await;
    let others = "form[action='/end-others'] ";
    fill(&laptop, &format!("{others}input"), PASSWORD).await;
    laptop.click(&format!("{others}button")).await;
    assert_eq!(laptop.text("li .here").await, "this device");
    assert_eq!(laptop.count("li").await, 1);
    phone.open(&url).await;
    assert_eq!(phone.text("h1").await, "Log in");
    done("all others are logged out, this browser is not");
    laptop.quit().await;
    phone.quit().await;
}

async fn log_in(browser: &Chromium, url: &str) {
    browser.open(url).await;
    fill(browser, "input[name=user]", "ada").await;
    fill(browser, "input[name=password]", PASSWORD).await;
    browser.click("button").await;
    assert_eq!(browser.text("h1").await, "Devices of ada");
}

async fn fill(browser: &Chromium, selector: &str, text: &str) {
    let field = browser.find(thirtyfour::By::Css(selector)).await.unwrap();
    field.send_keys(text).await.unwrap();
}

/// For whoever wants to look at the page.
async fn keep_picture(browser: &Chromium, name: &str) {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.screenshot(&directory.join(name)).await.unwrap();
}

const PASSWORD: &str = "analytical-engine";
