//! Waiting for what other processes do.

use std::{thread, time::Duration};

/// Looks every 10 ms, and gives up after 30 s.
pub(super) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        thread::sleep(PAUSE);
    }
    panic!("it takes too long until {what}");
}

const PAUSE: Duration = Duration::from_millis(10);
const LOOKS: u32 = 3000;
