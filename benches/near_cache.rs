//! What a hit of the near cache costs: `cargo bench -p tenure-benches --bench near_cache`.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a benchmark: it measures, and a surprise ends it"
)]

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use criterion::Criterion;
use futures_util::FutureExt;
use tenure_benches::OneRecord;
use tenure_core::{Freshness, Load, Record, SessionStore};
use tenure_near_cache::NearCache;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    hits(&mut criterion);
    criterion.final_summary();
}

/// A full cache, and the sessions in it.
fn filled(sessions: usize) -> (NearCache<OneRecord>, Vec<Record>) {
    let hour = Duration::from_secs(3600);
    let store = OneRecord::of_bytes(1024);
    let cache = NearCache::builder(store.clone())
        .max_staleness(hour)
        .revalidate_after(hour)
        .build();
    let records: Vec<_> = (0..sessions).map(|_| store.another()).collect();
    records.iter().for_each(|record| load(&cache, record));
    (cache, records)
}

fn load(cache: &NearCache<OneRecord>, record: &Record) {
    let demand = Freshness::AtLeast(record.version());
    let loaded = cache.load(record.id(), demand).now_or_never();
    let loaded = loaded.expect("no waiting").expect("no fault");
    assert!(matches!(black_box(loaded), Load::Found(_)));
}

fn hits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("near cache hit");
    for (sessions, threads) in [(1, 1), (10_000, 1), (1, 2), (10_000, 2)] {
        let (cache, records) = filled(sessions);
        let name = format!("{sessions} session(s), {threads} thread(s)");
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|loads| {
                let begun = Instant::now();
                thread::scope(|scope| {
                    for thread in 0..threads {
                        let (cache, records) = (&cache, &records);
                        scope.spawn(move || {
                            // Each on a part of its own, if there is more than one session.
                            let from = thread * records.len() / threads;
                            let records = records.iter().cycle().skip(from);
                            let loads = usize::try_from(loads).expect("a number of loads");
                            records.take(loads).for_each(|record| load(cache, record));
                        });
                    }
                });
                begun.elapsed()
            });
        });
        assert_eq!(cache.metrics().misses.total(), sessions as u64);
    }
    group.finish();
}
