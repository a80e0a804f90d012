//! The results as Markdown.

use std::fmt::{Display, Write};

use crate::{
    correctness::{Correctness, KEYS, LOGINS, READS, UPDATES},
    machine::Setup,
    report::{Cell, Report, Row, Speed},
    speed::{RedisCost, Work},
};

/// Renders all results.
pub(crate) fn render(report: &Report) -> String {
    let mut text = preface(&report.setup);
    text.push_str("## Overview\n\n");
    text.push_str(&table(&overview_head(), report.rows.iter().map(overview)));
    text.push_str(&notes());
    for work in Work::ALL {
        let _ = write!(text, "\n## {}\n\n", work.title());
        let rows = report.rows.iter().map(|row| detail(row, work));
        text.push_str(&table(&detail_head(), rows));
    }
    text
}

fn preface(setup: &Setup) -> String {
    format!(
        "# Session libraries, compared\n\n\
        Written by the program in `benches/peers`. Each app has the same routes, written as its library's \
        documentation would have it; see `benches/peers/apps`.\n\n\
        - {} × {}, Linux {}, load before the run {}\n- {}\n- {}\n- {}\n\
        - Cores: {}. What is measured has one to itself; apps therefore run with one worker.\n\
        - {} rounds of {} s (logins: 1 s) with {} connections unless a table says otherwise, contestants in turn; medians. Each with \
        a fresh app and a fresh Redis. The generator sends the cookies of the sessions' first visits.\n\
        - Versions: {}\n\n",
        setup.processors,
        setup.processor,
        setup.kernel,
        setup.load,
        setup.redis,
        setup.generator,
        setup.compiler,
        setup.cores,
        setup.rounds,
        setup.seconds,
        setup.connections,
        setup.versions.join(", "),
    )
}

fn notes() -> String {
    format!(
        "\n- ×floor, ×ours: requests per second, relative to the same framework without sessions and to \
        what tenure has in its place.\n\
        - Updates: of {UPDATES} increments of one session by 16 requests at a time, those that were there \
        at the end. Keys: of {KEYS} writes of different keys, likewise. Stale: of {READS} reads right after \
        a write, those that did not see it. Undone: of {LOGINS} logouts during a slow write, those after \
        which some cookie still read as logged in. On two processes where sessions can be shared; writes \
        go to one, reads to the other.\n\
        - moka's cache holds 2,000 sessions, as in its example. axum_session keeps sessions in memory for \
        an hour by default, which is \"Redis + memory\"; the other row is without.\n\
        - MB: resident memory of the app, and Redis' `used_memory`, for 100,000 sessions of one value.\n\
        - µs: CPU time per request of app and Redis, by the processes' own accounts. Unlike the speeds, they \
        hardly depend on what else the machine does.\n\
        - Redis commands: sent by the app, and called inside its scripts.\n"
    )
}

fn overview_head() -> Vec<String> {
    let mut head: Vec<_> = [
        "",
        "`/read`/s",
        "×floor",
        "×ours",
        "µs",
        "`/incr`/s",
        "×floor",
        "×ours",
        "µs",
    ]
    .map(str::to_owned)
    .into();
    head.extend(correctness_head());
    head.extend(["MB app", "MB Redis"].map(str::to_owned));
    head
}

fn overview(row: &Row) -> Vec<String> {
    let mut cells = vec![row.name.to_owned()];
    for work in [Work::Read, Work::IncrMany] {
        cells.extend(speed_cells(&row.speed[&work]));
        cells.push(row.speed[&work].as_ref().map_or_else(|_| nothing(), cpu));
    }
    cells.extend(correctness_cells(row.correctness.as_ref()));
    let megabytes = |bytes: f64| format!("{:.1}", bytes / 1e6);
    cells.extend(match &row.memory {
        None => [nothing(), nothing()],
        Some(Err(error)) => [failed(error), nothing()],
        Some(Ok(memory)) => [
            megabytes(memory.app),
            memory.redis.map_or_else(nothing, megabytes),
        ],
    });
    cells
}

fn detail_head() -> Vec<String> {
    let mut head: Vec<_> = [
        "",
        "req/s",
        "×floor",
        "×ours",
        "p50 ms",
        "p99 ms",
        "app µs",
        "Redis µs",
        "commands",
        "bytes",
    ]
    .map(str::to_owned)
    .into();
    head.extend(correctness_head());
    head
}

fn detail(row: &Row, work: Work) -> Vec<String> {
    let speed = &row.speed[&work];
    let mut cells = vec![row.name.to_owned()];
    cells.extend(speed_cells(speed));
    let milliseconds = |us: f64| format!("{:.2}", us / 1e3);
    match speed {
        Err(_) => cells.resize_with(cells.len() + 6, nothing),
        Ok(Speed { median, .. }) => {
            cells.extend([milliseconds(median.p50_us), milliseconds(median.p99_us)]);
            cells.push(format!("{:.1}", median.app_cpu_us));
            cells.extend(
                median
                    .redis
                    .map_or_else(|| [(); 3].map(|()| nothing()), redis_cells),
            );
        }
    }
    cells.extend(correctness_cells(row.correctness.as_ref()));
    cells
}

fn speed_cells(speed: &Cell<Speed>) -> [String; 3] {
    let ratio = |ratio: Option<f64>| ratio.map_or_else(nothing, |ratio| format!("{ratio:.2}"));
    match speed {
        Err(error) => [failed(error), nothing(), nothing()],
        Ok(speed) => [
            thousands(speed.median.requests_per_second),
            ratio(speed.of_floor),
            ratio(speed.of_ours),
        ],
    }
}

fn cpu(speed: &Speed) -> String {
    let app = format!("{:.1}", speed.median.app_cpu_us);
    let redis = speed.median.redis.map(|redis| redis.cpu_us);
    redis.map_or(app.clone(), |redis| format!("{app} + {redis:.1}"))
}

fn redis_cells(cost: RedisCost) -> [String; 3] {
    let commands = match cost.commands_in_scripts {
        inside if inside < 0.005 => format!("{:.2}", cost.commands),
        inside => format!("{:.2} + {inside:.2}", cost.commands),
    };
    [
        format!("{:.1}", cost.cpu_us),
        commands,
        format!("{:.0}", cost.bytes),
    ]
}

fn correctness_head() -> [String; 4] {
    [
        format!("updates of {UPDATES}"),
        format!("keys of {KEYS}"),
        format!("stale of {READS}"),
        format!("undone of {LOGINS}"),
    ]
}

fn correctness_cells(correctness: Option<&Correctness>) -> [String; 4] {
    let Some(it) = correctness else {
        return [(); 4].map(|()| nothing());
    };
    [&it.updates, &it.keys, &it.stale, &it.undone].map(|cell| match cell {
        Ok(count) => count.to_string(),
        Err(error) => failed(error),
    })
}

fn table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = line(head);
    text.push_str("|---|");
    text.push_str(&"---:|".repeat(head.len() - 1));
    text.push('\n');
    rows.for_each(|row| text.push_str(&line(&row)));
    text
}

fn line(cells: &[String]) -> String {
    // A bar in an error's text would begin another cell.
    let cells: Vec<_> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

fn failed(error: &dyn Display) -> String {
    format!("failed: {error}").replace('\n', " ")
}

fn nothing() -> String {
    "–".to_owned()
}

/// A whole number with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let text = render(&report());
        let mut columns = None;
        for line in text.lines() {
            let cells = line.matches('|').count();
            if cells == 0 {
                columns = None;
            } else {
                assert_eq!(*columns.get_or_insert(cells), cells, "{line}");
            }
        }
    }

    #[test]
    fn ratios_costs_and_correctness_stand_in_one_row() {
        let text = render(&report());
        let row = "| tower-sessions, Redis | 15,000 | 0.17 | 0.50 | 1.23 | 5.68 | 33.3 | 11.1 | \
            2.00 + 3.00 | 444 | 93 | 190 (2 refused) | 0 | failed: /logout was answered with 500 |\n";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn what_failed_is_a_row_that_says_so() {
        let text = render(&report());
        assert!(text.contains("| tower-sessions, Redis | failed: 7 errors, 9 answers | – |"));
    }

    #[test]
    fn a_bar_in_an_error_begins_no_cell() {
        assert_eq!(line(&["a|b".to_owned()]), "| a\\|b |\n");
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.0), "999");
    }
}
