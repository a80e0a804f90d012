use std::time::Duration;

use tenure_core::{Clock, Lifetimes, Principal, Record, Retention};

use super::{Fixture, steps};
use crate::records;

/// Values are bytes: every byte survives, in every place, and so do empty and longer values.
pub async fn values_of_any_bytes_survive(fixture: impl Fixture) {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let line_ends = b"\r\n\0\n$-1\r\n".to_vec();
    let longer = vec![0xff; 4096];
    let values = records::values([
        ("empty", &Vec::new()),
        ("every byte", &every_byte),
        ("line ends", &line_ends),
        ("longer", &longer),
        ("zero", &vec![0]),
    ]);
    let record = steps::live(&fixture).await;
    let changed = records::successor(&record).with_values(values);
    let changed = steps::committed(&fixture, &record, changed).await;
    steps::holds(&fixture, &changed).await;
    let emptied = records::successor(&changed).with_values(records::values::<&str, str>([]));
    let emptied = steps::committed(&fixture, &changed, emptied).await;
    steps::holds(&fixture, &emptied).await;
}

/// Names of values and principals are text in any script, up to their longest.
pub async fn names_and_principals_in_any_script_survive(fixture: impl Fixture) {
    let longest = "é".repeat(127) + "x";
    for text in [
        "Ада",
        "愛達",
        "👩🏽‍💻 Zoë",
        "%20{}:*\\\"'",
        "a\u{1f}b",
        &longest,
    ] {
        let record = records::fresh(fixture.clock().now())
            .with_principal(principal(text))
            .with_values(records::values([(text, text)]));
        steps::created(&fixture, &record).await;
        steps::holds(&fixture, &record).await;
    }
    let nobody = records::fresh(fixture.clock().now()).with_principal(None);
    steps::created(&fixture, &nobody).await;
    steps::holds(&fixture, &nobody).await;
}

/// A session with the longest lifetimes that tenure allows, 400 days, is stored like any other.
pub async fn the_longest_lifetimes_survive(fixture: impl Fixture) {
    let Ok(lifetimes) = Lifetimes::new(Lifetimes::MAX, Lifetimes::MAX) else {
        panic!("the longest lifetimes are not allowed");
    };
    let record = records::fresh_with(fixture.clock().now(), lifetimes);
    steps::created(&fixture, &record).await;
    steps::renewed(&fixture, &record, record.absolute_end()).await;
    steps::holds(&fixture, &record).await;
}

/// A user who is remembered stays so through renewals and commits, and can be forgotten.
pub async fn retention_survives(fixture: impl Fixture) {
    let record = records::fresh(fixture.clock().now()).with_retention(Retention::Remembered);
    steps::created(&fixture, &record).await;
    steps::holds(&fixture, &record).await;
    let later = record.lease_end().after(Duration::from_secs(60));
    steps::renewed(&fixture, &record, later).await;
    let renewed = record.with_lease_end(later);
    steps::holds(&fixture, &renewed).await;
    let forgotten = records::successor(&renewed).with_retention(Retention::Ordinary);
    let forgotten = steps::committed(&fixture, &renewed, forgotten).await;
    steps::holds(&fixture, &forgotten).await;
}

/// Tags use all of their 64 bits. A store that computes with them as floating-point numbers takes
/// two versions for one.
pub async fn tags_that_differ_in_one_bit_are_told_apart(fixture: impl Fixture) {
    for (tag, neighbour) in [
        (u64::MAX, u64::MAX - 1),
        (1 << 53, (1 << 53) + 1),
        (1 << 63, (1 << 63) | 1),
    ] {
        let first = steps::live(&fixture).await;
        let stored = steps::committed(&fixture, &first, first.clone().next(tag)).await;
        let fork: Record = first.clone().next(neighbour);
        let stale = steps::commit(&fixture, fork.version(), &records::successor(&fork)).await;
        steps::conflicts_with(&stale, &stored);
        let not_a_retry = steps::commit(&fixture, first.version(), &fork).await;
        steps::conflicts_with(&not_a_retry, &stored);
        steps::holds(&fixture, &stored).await;
    }
}

fn principal(name: &str) -> Option<Principal> {
    match Principal::new(name) {
        Ok(principal) => Some(principal),
        Err(error) => panic!("{error}"),
    }
}
