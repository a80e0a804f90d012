//! Tables, and what bounds the figures in them.

use std::{fmt::Write as _, fs, thread};

use plotters::style::RGBColor;

use crate::{
    Effort,
    crowd::LANES,
    meter::Cost,
    picture::{Line, Panel, Picture},
};

/// Three stores, each with the costs of reading and modifying.
#[derive(Debug)]
pub(crate) struct StorePoint {
    pub(crate) at: usize,
    pub(crate) memory: [Cost; 2],
    pub(crate) redis: [Cost; 2],
    pub(crate) near_cache: [Cost; 2],
}

#[derive(Debug)]
pub(crate) struct NodesPoint {
    pub(crate) at: usize,
    pub(crate) cost: Cost,
}

#[derive(Debug)]
pub(crate) struct Section {
    /// Of its picture, `growth-{name}.svg`.
    pub(crate) name: &'static str,
    title: &'static str,
    table: String,
    bound: String,
    pub(crate) svg: String,
}

pub(crate) fn page(effort: &Effort, sections: &[Section]) -> String {
    let mut page = format!(
        "# How cost grows\n\n\
         Written by `cargo bench -p tenure-benches --bench growth`. CPU time per request in µs, median of \
         {} rounds of {} requests, which go through the tower layer without sockets, {LANES} at a time; what \
         it takes to make them is included. `a + r`: this process + the Redis server. In brackets: loads that \
         the near cache answered, of its default 64 MiB. Sessions are visited in a random order and hold \
         one number, which is read or modified, besides what a table says. Commands are those that were sent, \
         heartbeats of near caches excepted.\n\n{}\n",
        effort.rounds,
        thousands(effort.requests),
        machine(),
    );
    for section in sections {
        let Section {
            name,
            title,
            table,
            bound,
            ..
        } = section;
        let _ = write!(
            page,
            "\n## {title}\n\n{table}\n{bound}\n\n![{title}](growth-{name}.svg)\n"
        );
    }
    page
}

pub(crate) fn sessions(points: &[StorePoint]) -> Section {
    let (first, last) = ends(points);
    let [cached, _] = &last.near_cache;
    let bound = format!(
        "The memory that holds them bounds it: sessions are found by their id, so a read of one of {} as many \
         costs {} as much in memory and {} on Redis; of {} sessions the near cache holds {}, answers {} of \
         the loads, and saves nothing on the others: a read costs {:.1} µs in all with it, and {:.1} µs \
         without.",
        times(last.at as f64 / first.at as f64),
        times(total(&last.memory[0]) / total(&first.memory[0])),
        times(total(&last.redis[0]) / total(&first.redis[0])),
        thousands(last.at),
        thousands(cached.cached),
        percent(cached.hit_rate),
        total(cached),
        total(&last.redis[0]),
    );
    let texts = ("sessions", "More sessions", "sessions");
    store_section(texts, points, thousands, bound)
}

pub(crate) fn keys(points: &[StorePoint]) -> Section {
    let (first, last) = ends(points);
    let bound = format!(
        "The size of the record bounds it: a session is one record, read and written as a whole, so {} the \
         keys make a modification cost {} as much in memory, {} on Redis and {} behind a near cache, and the number \
         of commands stays at {:.0}, {:.0} behind the near cache.",
        times(last.at as f64 / first.at as f64),
        times(total(&last.memory[1]) / total(&first.memory[1])),
        times(total(&last.redis[1]) / total(&first.redis[1])),
        times(total(&last.near_cache[1]) / total(&first.near_cache[1])),
        last.redis[1].commands,
        last.near_cache[1].commands,
    );
    let texts = (
        "keys",
        "More keys in each session (32 B each, 1,000 sessions)",
        "keys",
    );
    store_section(texts, points, thousands, bound)
}

pub(crate) fn values(points: &[StorePoint]) -> Section {
    let (first, last) = ends(points);
    let kibibytes = (last.at - first.at) as f64 / 1024.0;
    let slope =
        |cost: fn(&StorePoint) -> &Cost| (total(cost(last)) - total(cost(first))) / kibibytes;
    let bound = format!(
        "Bytes bound it: each further KiB costs {:.2} µs in a modification in memory, {:.2} µs in a read on \
         Redis and {:.2} µs in a modification there, which moves the record both ways, while a read that the \
         near cache answers moves nothing ({} of its loads at the end, when the sessions take about as much \
         as it holds).",
        slope(|point| &point.memory[1]),
        slope(|point| &point.redis[0]),
        slope(|point| &point.redis[1]),
        percent(last.near_cache[0].hit_rate),
    );
    let texts = (
        "values",
        "Larger values (one per session, 1,000 sessions)",
        "size of the value",
    );
    store_section(texts, points, bytes, bound)
}

pub(crate) fn nodes(points: &[NodesPoint]) -> Section {
    let mut table = String::from(
        "| nodes | all nodes | Redis server | commands per request | answered by the near caches |\n\
         |---:|---:|---:|---:|---:|\n",
    );
    for NodesPoint { at, cost } in points {
        let _ = writeln!(
            table,
            "| {at} | {:.1} | {:.1} | {:.3} | {} |",
            cost.application,
            cost.redis,
            cost.commands,
            percent(cost.hit_rate),
        );
    }
    let commands = |point: &NodesPoint| point.cost.commands;
    let bound = format!(
        "Modifications bound it: after one, each other node loads the session once when it is next asked for \
         it, so commands per request grow from {:.2} to {:.2}, and however many nodes there are, they stay \
         under the 1.1 that it takes without near caches.",
        points.first().map_or(f64::NAN, commands),
        points.last().map_or(f64::NAN, commands),
    );
    let curve = |figure: fn(&Cost) -> f64| points.iter().map(|it| figure(&it.cost)).collect();
    let line = |name, color| Line {
        name,
        color,
        is_dashed: false,
    };
    let title =
        "More nodes (near caches on one Redis, 1,000 sessions, one request of ten modifies)";
    let picture = Picture {
        title,
        growing: "nodes",
        is_logarithmic: false,
        places: points
            .iter()
            .map(|it| (it.at as f64, it.at.to_string()))
            .collect(),
        panels: vec![
            Panel {
                title: "CPU time per request, µs",
                curves: vec![curve(|it| it.application), curve(|it| it.redis), Vec::new()],
            },
            Panel {
                title: "Redis commands per request",
                curves: vec![Vec::new(), Vec::new(), curve(|it| it.commands)],
            },
        ],
        lines: vec![
            line("all nodes", NEAR_CACHE),
            line("Redis server", REDIS),
            line("commands", MEMORY),
        ],
    };
    Section {
        name: "nodes",
        title,
        table,
        bound,
        svg: picture.draw().expect("a picture in memory"),
    }
}

fn store_section(
    (name, title, growing): (&'static str, &'static str, &'static str),
    points: &[StorePoint],
    label: fn(usize) -> String,
    bound: String,
) -> Section {
    let mut table = format!(
        "| {growing} | memory: read | modify | Redis: read | modify | near cache: read | modify |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n"
    );
    for point in points {
        let _ = write!(table, "| {} |", label(point.at));
        for cost in &point.memory {
            let _ = write!(table, " {:.1} |", cost.application);
        }
        for cost in &point.redis {
            let _ = write!(table, " {:.1} + {:.1} |", cost.application, cost.redis);
        }
        for cost in &point.near_cache {
            let (own, redis, hits) = (cost.application, cost.redis, percent(cost.hit_rate));
            let _ = write!(table, " {own:.1} + {redis:.1} ({hits}) |");
        }
        table.push('\n');
    }
    let costs = |point: &StorePoint, line: usize| {
        let cost = [&point.memory, &point.redis, &point.near_cache][line / 2];
        (cost[line % 2].application, cost[line % 2].redis)
    };
    let application = (0..6).map(|line| points.iter().map(|it| costs(it, line).0).collect());
    let server = (2..6).map(|line| points.iter().map(|it| costs(it, line).1).collect());
    let line = |(name, color, is_dashed)| Line {
        name,
        color,
        is_dashed,
    };
    let picture = Picture {
        title,
        growing,
        is_logarithmic: true,
        places: points
            .iter()
            .map(|it| (it.at as f64, label(it.at)))
            .collect(),
        panels: vec![
            Panel {
                title: "CPU time of the application, µs per request",
                curves: application.collect(),
            },
            Panel {
                title: "CPU time of Redis, µs per request",
                curves: [Vec::new(), Vec::new()].into_iter().chain(server).collect(),
            },
        ],
        lines: [
            ("memory, read", MEMORY, false),
            ("memory, modify", MEMORY, true),
            ("Redis, read", REDIS, false),
            ("Redis, modify", REDIS, true),
            ("near cache, read", NEAR_CACHE, false),
            ("near cache, modify", NEAR_CACHE, true),
        ]
        .map(line)
        .into(),
    };
    Section {
        name,
        title,
        table,
        bound,
        svg: picture.draw().expect("a picture in memory"),
    }
}

fn ends(points: &[StorePoint]) -> (&StorePoint, &StorePoint) {
    let ends = points.first().zip(points.last());
    ends.expect("points were measured")
}

fn total(cost: &Cost) -> f64 {
    cost.application + cost.redis
}

/// A factor, "3.1 times".
fn times(factor: f64) -> String {
    if factor < 10.0 {
        return format!("{factor:.1} times");
    }
    format!("{factor:.0} times")
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn bytes(number: usize) -> String {
    if number < 1024 {
        return format!("{number} B");
    }
    format!("{} KiB", number / 1024)
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).expect("Linux");
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| {
        let (name, model) = line.split_once(':')?;
        (name.trim() == "model name").then_some(model.trim())
    });
    format!(
        "{} × {}, Linux {}, load after the run {}.",
        thread::available_parallelism().map_or(1, usize::from),
        model.unwrap_or("processor"),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    )
}

const MEMORY: RGBColor = RGBColor(0x2e, 0x7d, 0x32);
const REDIS: RGBColor = RGBColor(0xb4, 0x5f, 0x06);
const NEAR_CACHE: RGBColor = RGBColor(0x1b, 0x6e, 0xc2);
