//! What the parts of a request cost in the process, without a network.
//!
//! ```console
//! $ cargo bench -p tenure-benches
//! $ cargo bench -p tenure-benches -- --quick request
//! ```
//!
//! Everything here is done at the first poll, so no runtime is in the figures.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that measures a failure is worthless"
)]

use std::{future::Future, hint::black_box};

use criterion::{BatchSize, Criterion};
use futures_util::FutureExt;
use tenure_core::{
    Clock, Commit, Freshness, Key, KeyRing, Load, MemoryStore, Record, SessionManager,
    SessionStore, SystemClock, internals::SignedToken,
};
use tenure_testing::records;

const VISITS: Key<u64> = Key::new("visits");

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    requests(&mut criterion);
    tokens(&mut criterion);
    stores(&mut criterion);
    formats(&mut criterion);
    criterion.final_summary();
}

/// A request's way through the manager, for a browser that has a session.
fn requests(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    let browser = Browser::new();

    group.bench_function("open, never asked for", |bencher| {
        bencher.iter(|| done(browser.open().finish(200)));
    });
    group.bench_function("open and load", |bencher| {
        bencher.iter(|| done(browser.open().load()).expect("a session"));
    });
    group.bench_function("open, load, read, finish", |bencher| {
        bencher.iter(|| {
            let visit = browser.open();
            let session = done(visit.load()).expect("a session");
            black_box(session.get(VISITS).expect("a number"));
            done(visit.finish(200))
        });
    });
    group.bench_function("open, load, update, finish", |bencher| {
        bencher.iter(|| {
            let visit = browser.open();
            let session = done(visit.load()).expect("a session");
            session.update(VISITS, next).expect("a number");
            let finish = done(visit.finish(200));
            assert!(finish.refusal.is_none(), "{finish:?}");
            finish
        });
    });
    group.bench_function("finish, rebased onto another request's commit", |bencher| {
        bencher.iter_batched(
            || {
                let [first, second] = [browser.open(), browser.open()];
                for visit in [&first, &second] {
                    let session = done(visit.load()).expect("a session");
                    session.update(VISITS, next).expect("a number");
                }
                let finish = done(first.finish(200));
                assert!(finish.refusal.is_none(), "{finish:?}");
                second
            },
            |second| {
                let finish = done(second.finish(200));
                assert!(finish.refusal.is_none(), "{finish:?}");
                finish
            },
            BatchSize::PerIteration,
        );
    });
    let stranger = ["theme=dark; lang=en"];
    group.bench_function("begin a session", |bencher| {
        bencher.iter_batched(
            || manager(MemoryStore::new()),
            |sessions| {
                let visit = sessions.open(stranger);
                let session = done(visit.load()).expect("an empty session");
                session.update(VISITS, next).expect("a number");
                (done(visit.finish(200)), sessions)
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// The cookie's value.
fn tokens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("token");
    let token = SignedToken::new(&KeyRing::generate().expect("random bytes"));
    let genuine = token.sign();
    // The last character counts for less than six bits, so another one.
    let at = genuine.len() / 2;
    let other = if genuine.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let mut forged = genuine.clone();
    forged.replace_range(at..=at, other);

    group.bench_function("sign", |bencher| bencher.iter(|| token.sign()));
    group.bench_function("parse and verify", |bencher| {
        bencher.iter(|| assert!(token.verify(black_box(&genuine))));
    });
    group.bench_function("parse and refuse", |bencher| {
        bencher.iter(|| assert!(!token.verify(black_box(&forged))));
    });
    group.finish();
}

fn stores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("memory store");
    let store = MemoryStore::new();
    let record = record();
    let _ = done(store.create(record.clone())).expect("an empty store");

    group.bench_function("load", |bencher| {
        bencher.iter(|| {
            let load = store.load(black_box(record.id()), Freshness::AtLeast(record.version()));
            let found = done(load).expect("a store in memory");
            assert!(matches!(found, Load::Found(_)), "{found:?}");
            found
        });
    });
    group.bench_function("load, absent", |bencher| {
        let id = records::random_id();
        bencher.iter(|| done(store.load(black_box(id), Freshness::Latest)));
    });
    let mut stored = record.clone();
    group.bench_function("commit", |bencher| {
        bencher.iter(|| {
            let next = stored.clone().next(stored.version().tag().wrapping_add(1));
            let outcome = done(store.commit(stored.version(), next.clone()));
            assert_eq!(outcome.expect("a store in memory"), Commit::Stored);
            stored = next;
        });
    });
    group.finish();
}

/// The stored form of a record of 1 KiB with 10 values.
fn formats(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record of 1 KiB");
    let record = record();
    let encoded = record.encode();

    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(&record).encode());
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| Record::decode(black_box(encoded.clone())).expect("a record"));
    });
    group.bench_function("Values::get, the last of 10", |bencher| {
        bencher.iter(|| black_box(&record).values().get(black_box("value-9")));
    });
    group.bench_function("Values::get, absent", |bencher| {
        bencher.iter(|| black_box(&record).values().get(black_box("value-99")));
    });
    group.finish();
}

/// A visitor whose session has 1 KiB in 10 values, and a number.
struct Browser {
    sessions: SessionManager,
    cookies: String,
}

impl Browser {
    fn new() -> Self {
        let sessions = manager(MemoryStore::new());
        let visit = sessions.open([""]);
        let session = done(visit.load()).expect("an empty session");
        for number in 0..VALUES {
            session
                .insert(format!("value-{number}"), "x".repeat(79))
                .expect("room for a value");
        }
        session.update(VISITS, next).expect("a number");
        let set_cookie = done(visit.finish(200)).set_cookie.expect("a cookie");
        let cookie = set_cookie.split(';').next().expect("a name and a value");
        Self {
            cookies: format!("theme=dark; {cookie}; lang=en"),
            sessions,
        }
    }

    fn open(&self) -> tenure_core::SessionHandle {
        self.sessions.open([black_box(&self.cookies)])
    }
}

fn manager(store: MemoryStore) -> SessionManager {
    let keys = KeyRing::generate().expect("random bytes");
    let sessions = SessionManager::builder(store, keys);
    sessions.build().expect("the default settings")
}

/// A record of 1 KiB with 10 values.
fn record() -> Record {
    let names: Vec<_> = (0..VALUES)
        .map(|number| format!("value-{number}"))
        .collect();
    let record = records::fresh(SystemClock.now());
    let bare = record.clone().with_values(records::values(
        names.iter().map(|name| (name.as_str(), "")),
    ));
    let padding = 1024 - bare.encoded_len();
    let value = |number| "x".repeat(padding / VALUES + usize::from(number < padding % VALUES));
    let values: Vec<_> = (0..VALUES).map(value).collect();
    let entries = names.iter().map(String::as_str).zip(&values);
    let record = record.with_values(records::values(entries));
    assert_eq!(record.encoded_len(), 1024);
    record
}

fn next(visits: Option<u64>) -> u64 {
    visits.unwrap_or(0) + 1
}

/// The outcome of work that waits for nothing.
fn done<T>(work: impl Future<Output = T>) -> T {
    work.now_or_never().expect("nothing to wait for")
}

const VALUES: usize = 10;
