//! How many tests passed, read from the summaries that test runners print.

use std::fmt;

/// The tests of all runners of a task.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    passed: u32,
    failed: u32,
    skipped: u32,
    in_nextest: bool,
}

impl Totals {
    /// Counts a line of output if it is a summary of nextest's or of libtest's.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let is_nextests = line.trim_start().starts_with("Summary [");
        if line.trim_start().starts_with("Nextest run ID ") || is_nextests {
            self.in_nextest = !is_nextests;
        }
        // nextest runs each test in a process of its own, whose libtest has a summary too. It would
        // count twice: nextest shows it with the output of a failed test, indented, and of every test
        // if nothing is captured.
        let is_libtests = line.starts_with("test result: ") && !self.in_nextest;
        if !is_nextests && !is_libtests {
            return;
        }
        let words = line
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
            .collect::<Vec<_>>();
        for pair in words.windows(2) {
            let Ok(count) = pair[0].parse::<u32>() else {
                continue;
            };
            match pair[1] {
                "passed" => self.passed += count,
                // "1 timed out" and "1 exec failed" are nextest's.
                "failed" | "timed" | "exec" => self.failed += count,
                "skipped" | "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            ..
        } = self;
        write!(
            f,
            "tests: {passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// The line without terminal escape sequences of the form `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut escaped = false;
    line.chars()
        .filter(|&c| {
            let shown = !escaped && c != '\u{1b}';
            escaped = c == '\u{1b}' || (escaped && c != 'm');
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(output: &str) -> String {
        let mut totals = Totals::default();
        output.lines().for_each(|line| totals.read(line));
        totals.to_string()
    }

    #[test]
    fn nextest_and_libtest_are_added_up() {
        let output = "
     Summary [   1.204s] 14 tests run: 11 passed (1 slow, 2 leaky), 1 failed, 2 timed out, 3 skipped
running 2 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        assert_eq!(totals(output), "tests: 13 passed, 3 failed, 4 skipped");
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.1s] \u{1b}[1m4\u{1b}[0m tests run: \
                    \u{1b}[1m4\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m";
        assert_eq!(totals(line), "tests: 4 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn tests_whose_output_is_not_captured_count_once() {
        let output = "
 Nextest run ID 4b5137fb with nextest profile: default
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 15 filtered out; finished in 0.26s
     Summary [   0.3s] 1 test run: 1 passed, 2 skipped
test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(totals(output), "tests: 5 passed, 0 failed, 2 skipped");
    }

    #[test]
    fn the_output_of_a_failed_test_is_not_counted() {
        let output = "
    running 1 test
    test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 21 filtered out
     Summary [   0.1s] 1 test run: 0 passed, 1 failed, 0 skipped";
        assert_eq!(totals(output), "tests: 0 passed, 1 failed, 0 skipped");
        assert_eq!(
            totals("3 passed 4 failed"),
            "tests: 0 passed, 0 failed, 0 skipped"
        );
    }
}
