//! A real browser and a real web server.
//!
//! What tenure says about browsers and caches is tested elsewhere by reading header fields. Here those
//! for whom the fields are meant have the word. `cargo xtask system` installs them and runs this;
//! `cargo xtask system -- --no-capture` shows the steps.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a surprise is a failed test; tests print the steps that they have taken"
)]

#[path = "system/app.rs"]
mod app;
#[path = "system/chromium.rs"]
mod chromium;
#[path = "system/cookies.rs"]
mod cookies;
#[path = "system/devices_page.rs"]
mod devices_page;
#[path = "system/nginx.rs"]
mod nginx;
#[path = "system/process.rs"]
mod process;
#[path = "system/quickstart.rs"]
mod quickstart;
#[path = "system/shared_cache.rs"]
mod shared_cache;
#[path = "system/visit.rs"]
mod visit;

/// Tells whoever watches the run (`--no-capture`) what has just been found to be so.
fn done(step: &str) {
    println!("    - {step}");
}
