//! Instructions per request of tenure and of tower-sessions, each with its store in memory:
//!
//! ```console
//! $ cargo run --release --manifest-path benches/peers/Cargo.toml -p peers-instructions
//! ```
//!
//! Needs valgrind. tower-sessions' store needs neither keys nor compare-and-swap, and its cookie is not
//! signed.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark: its figures are its output, and a surprise ends it"
)]

use std::hint::black_box;

use http::{Request, Response};
use tenure_benches::{
    callgrind::{Counts, Path},
    requests::{Work, drive, repeat},
};
use tower::{Layer, service_fn};
use tower_sessions::{Session, SessionManagerLayer};

const PATHS: &[Path] = &[
    ("tenure: untouched", |calls| ours(Work::Nothing, calls)),
    ("tenure: read", |calls| ours(Work::Read, calls)),
    ("tenure: modify", |calls| ours(Work::Modify, calls)),
    ("tenure: first visit", |calls| ours(Work::Begin, calls)),
    ("tower-sessions: untouched", |calls| {
        theirs(Work::Nothing, calls);
    }),
    ("tower-sessions: read", |calls| theirs(Work::Read, calls)),
    ("tower-sessions: modify", |calls| {
        theirs(Work::Modify, calls);
    }),
    ("tower-sessions: first visit", |calls| {
        theirs(Work::Begin, calls);
    }),
];

fn main() {
    let Some(counts) = Counts::of(PATHS) else {
        return;
    };
    println!("| request | tenure | of which SHA-256 | tower-sessions |\n|---|--:|--:|--:|");
    for request in ["untouched", "read", "modify", "first visit"] {
        let of = |library: &str| counts.get(&format!("{library}: {request}"));
        let ours = of("tenure").expect("counted");
        let theirs = of("tower-sessions").expect("counted");
        let (all, sha256) = (ours.all, ours.sha256);
        println!("| {request} | {all} | {sha256} | {} |", theirs.all);
    }
}

fn ours(work: Work, calls: u64) {
    repeat(tenure_core::MemoryStore::new(), work, calls);
}

fn theirs(work: Work, calls: u64) {
    let layer = SessionManagerLayer::new(tower_sessions::MemoryStore::default());
    drive(
        layer.layer(service_fn(nothing)),
        layer.layer(service_fn(read)),
        layer.layer(service_fn(modify)),
        work,
        calls,
    );
}

async fn nothing(_: Request<()>) -> Outcome {
    Ok(Response::new(()))
}

async fn read(request: Request<()>) -> Outcome {
    black_box(session(&request).get::<u64>("visits").await?);
    Ok(Response::new(()))
}

async fn modify(request: Request<()>) -> Outcome {
    let session = session(&request);
    let visits = session.get::<u64>("visits").await?.unwrap_or(0);
    session.insert("visits", visits + 1).await?;
    Ok(Response::new(()))
}

fn session(request: &Request<()>) -> &Session {
    request.extensions().get().expect("the layer")
}

type Outcome = Result<Response<()>, tower_sessions::session::Error>;
