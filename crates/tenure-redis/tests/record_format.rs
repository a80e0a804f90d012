//! The test vectors of `docs/record-format.md`, so that neither the page nor the format can change
//! without the other.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

use std::time::Duration;

use bytes::Bytes;
use tenure_core::{
    Epoch, Lifetimes, Lineage, Login, LoginStamp, Principal, RECORD_HEADER_BYTES, Record,
    Retention, SecretHash, SessionId, Timestamp, Version,
};
use tenure_testing::records::values;

const PAGE: &str = include_str!("../../../docs/record-format.md");

#[test]
fn the_minimal_record_is_as_documented() {
    let record = minimal();
    check("minimal", &record);
    assert_eq!(record.encode().len(), RECORD_HEADER_BYTES + 3);
}

#[test]
fn the_full_record_is_as_documented() {
    let record = full();
    check("full", &record);
    let found = Record::decode(vector("full")).unwrap();
    assert_eq!(found.version(), Version::new(4, 0xd4));
    for (counter, tag) in [(3, 0xc3), (2, 0xb2), (1, 0xa1)] {
        assert!(found.lineage().contains(Version::new(counter, tag)));
    }
    assert_eq!(found.principal().map(Principal::as_str), Some("ada"));
    assert_eq!(
        found.values().get("theme").as_deref(),
        Some(&b"\xa4dark"[..])
    );
    assert_eq!(found.values().len(), 3);
}

#[test]
fn the_documented_offsets_are_those_of_the_vectors() {
    let row = |field: &str| {
        let cell = format!("| {field} ");
        let line = PAGE.lines().find(|line| line.contains(&cell));
        let mut cells = line
            .unwrap_or_else(|| panic!("no row for {field}"))
            .split('|');
        let mut number = || cells.find_map(|cell| cell.trim().parse::<usize>().ok());
        let (offset, length) = (number().unwrap(), number().unwrap());
        vector("full").slice(offset..offset + length)
    };
    let record = full();
    assert_eq!(row("format"), [1].as_slice());
    assert_eq!(row("id"), record.id().as_bytes().as_slice());
    assert_eq!(
        row("counter"),
        record.version().counter().to_be_bytes().as_slice()
    );
    assert_eq!(row("tags")[..8], record.version().tag().to_be_bytes());
    let times = [
        ("lease end", record.lease_end()),
        ("seen at", record.seen_at()),
        ("login at", record.login().at),
        ("absolute end", record.absolute_end()),
        ("created at", record.created_at()),
        ("rotated at", record.rotated_at()),
    ];
    for (field, time) in times {
        assert_eq!(
            row(field),
            time.as_millis().to_be_bytes().as_slice(),
            "{field}"
        );
    }
    assert_eq!(
        row("secret hash"),
        record.secret_hash().as_bytes().as_slice()
    );
}

fn check(name: &str, record: &Record) {
    let vector = vector(name);
    assert_eq!(record.encode(), vector, "{name} is encoded as documented");
    assert_eq!(
        Record::decode(vector).as_ref(),
        Ok(record),
        "{name} is decoded as documented"
    );
}

/// The first state of a session: nothing but what every record has.
fn minimal() -> Record {
    let lifetimes = Lifetimes::new(Duration::from_secs(1800), Duration::from_secs(86_400));
    Record::new(
        SessionId::from_bytes(*b"\x8f\x0c\x1d\x2e\x3f\x40\x41\x52\x93\x64\x75\x86\x97\xa8\xb9\xca"),
        Lineage::first(0x1122_3344_5566_7788),
        SecretHash::from_bytes(std::array::from_fn(|i| u8::try_from(i).unwrap())),
        Timestamp::from_millis(1_700_000_000_000),
        lifetimes.unwrap(),
    )
}

/// The fourth: after a login, a renewal and with three values.
fn full() -> Record {
    let first = Record::new(
        SessionId::from_bytes([0x42; 16]),
        Lineage::first(0xa1),
        SecretHash::from_bytes([0xee; 32]),
        Timestamp::from_millis(1_700_000_000_000),
        Lifetimes::default(),
    );
    let login = Timestamp::from_millis(1_700_000_060_000);
    first
        .next(0xb2)
        .next(0xc3)
        .next(0xd4)
        .with_secret(SecretHash::from_bytes([0x5e; 32]), login)
        .with_login(
            Principal::new("ada").unwrap(),
            Login::new(LoginStamp::from_u64(0x5a), Epoch::default(), login),
        )
        .with_seen_at(Timestamp::from_millis(1_700_001_800_000))
        .with_retention(Retention::Remembered)
        .with_lease_end(Timestamp::from_millis(1_700_003_600_000))
        .with_values(values::<_, [u8]>([
            ("cart", b"\x92\x01\x02".as_slice()),
            ("theme", b"\xa4dark".as_slice()),
            ("visits", b"\x07".as_slice()),
        ]))
}

/// The bytes of a fenced block, whose lines are hexadecimal digits and a comment behind `#`.
fn vector(name: &str) -> Bytes {
    let fence = format!("```hex {name}\n");
    let (_, block) = PAGE
        .split_once(&fence)
        .unwrap_or_else(|| panic!("no vector {name}"));
    let (block, _) = block.split_once("```").unwrap();
    let digits: String = block
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::split_whitespace)
        .collect();
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}
