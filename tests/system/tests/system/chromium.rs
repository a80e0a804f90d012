//! Chromium, steered through its driver.

use std::{ops::Deref, path::Path, process::Command};

use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use thirtyfour::{
    By, ChromiumLikeCapabilities, Cookie, DesiredCapabilities, WebDriver, WindowHandle,
    prelude::ElementQueryable,
};

use crate::process::Program;

/// What a browser leaves on disk, and finds there when it starts again.
#[derive(Debug)]
pub(crate) struct Profile(TempDir);

impl Profile {
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("tenure-chromium-")
            .tempdir();
        Self(directory.unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A running browser. Killed when dropped, with all of its processes.
#[derive(Debug)]
pub(crate) struct Chromium {
    // Dropped first: the driver's own clean-up would wait for a browser that has stopped answering.
    program: Program,
    driver: WebDriver,
}

impl Chromium {
    /// Starts a browser on a profile, with an empty tab.
    pub(crate) async fn start(profile: &Profile) -> Self {
        Self::start_with(profile, ThirdPartyCookies::Blocked).await
    }

    pub(crate) async fn start_with(
        profile: &Profile,
        third_party_cookies: ThirdPartyCookies,
    ) -> Self {
        let (program, port) = start_driver().await;
        let mut wishes = DesiredCapabilities::chrome();
        let profile = format!("--user-data-dir={}", profile.path().display());
        for argument in [
            &*profile,
            "--headless=new",
            // As root, which is usual in containers, it would not start. It sees no pages but ours.
            "--no-sandbox",
            // Containers often have too little of it.
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--window-size=900,700",
        ] {
            wishes.add_arg(argument).unwrap();
        }
        let preferences = json!({ "profile.cookie_controls_mode": third_party_cookies.mode() });
        wishes
            .add_experimental_option("prefs", preferences)
            .unwrap();
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), wishes).await;
        Self {
            program,
            driver: driver.unwrap(),
        }
    }

    /// Closes the browser as its user would, and waits until it has put its profile in order.
    pub(crate) async fn quit(self) {
        self.driver.quit().await.unwrap();
        drop(self.program);
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.goto(url).await.unwrap();
    }

    /// The text of the first element that a CSS selector matches. Waits until there is one.
    pub(crate) async fn text(&self, selector: &str) -> String {
        let element = self.query(By::Css(selector)).first().await.unwrap();
        element.text().await.unwrap()
    }

    /// How many elements a CSS selector matches now.
    pub(crate) async fn count(&self, selector: &str) -> usize {
        self.find_all(By::Css(selector)).await.unwrap().len()
    }

    /// Clicks at an element, and waits for the page behind it.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.query(By::Css(selector)).first().await.unwrap();
        element.click().await.unwrap();
    }

    /// Lets later calls go to that tab.
    pub(crate) async fn switch_to(&self, tab: &WindowHandle) {
        self.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Runs JavaScript in the page, and returns what its promise comes to.
    pub(crate) async fn run(&self, expression: &str) -> serde_json::Value {
        let script = format!(
            "const done = arguments[0]; \
             Promise.resolve({expression}).then(done, (error) => done(`${{error}}`));"
        );
        let result = self.execute_async(script, Vec::new()).await.unwrap();
        result.json().clone()
    }

    /// A cookie that the page's requests would carry.
    pub(crate) async fn cookie(&self, name: &str) -> Option<Cookie> {
        let mut cookies = self.get_all_cookies().await.unwrap().into_iter();
        cookies.find(|cookie| cookie.name == name)
    }

    /// All cookies that the browser has, of whatever site and partition.
    pub(crate) async fn jar(&self) -> Vec<StoredCookie> {
        let jar = self.cdp().send_raw("Storage.getCookies", json!({})).await;
        serde_json::from_value(jar.unwrap()["cookies"].take()).unwrap()
    }
}

impl Deref for Chromium {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.driver
    }
}

/// Starts the driver on a free port.
async fn start_driver() -> (Program, u16) {
    let mut command = Command::new("chromedriver");
    command.arg("--port=0");
    for _ in 0..PORTS_TO_TRY {
        let started = Program::start(&command, |line| {
            let (_, port) = line.split_once(" was started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        match started.await {
            Ok(started) => return started,
            // It looks for a port that is free for one version of the protocol and wants it for both.
            Err(output) if output.contains("port not available") => {}
            Err(output) => panic!("chromedriver does not start: {output}"),
        }
    }
    panic!("{PORTS_TO_TRY} times, chromedriver found no free port");
}

/// The setting that decides whether frames of other sites have cookies. Distributions differ in its
/// default.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ThirdPartyCookies {
    Allowed,
    Blocked,
}

impl ThirdPartyCookies {
    /// `CookieControlsMode` in Chromium's sources.
    const fn mode(self) -> u8 {
        match self {
            Self::Allowed => 0,
            Self::Blocked => 1,
        }
    }
}

/// A cookie as Chromium itself shows it: WebDriver knows no partitions.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredCookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) domain: String,
    pub(crate) secure: bool,
    pub(crate) same_site: Option<String>,
    /// Whether it goes when the browser closes.
    pub(crate) session: bool,
    pub(crate) partition_key: Option<PartitionKey>,
}

/// Below which site a partitioned cookie counts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartitionKey {
    pub(crate) top_level_site: String,
    pub(crate) has_cross_site_ancestor: bool,
}

const PORTS_TO_TRY: usize = 5;
