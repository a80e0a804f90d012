//! Records to test with.

use bytes::{BufMut, BytesMut};
use tenure_core::{
    Entropy, Epoch, Lifetimes, Lineage, Login, LoginName, LoginStamp, OsEntropy, Principal, Record,
    SecretHash, SessionId, Timestamp, Values,
};

/// A record that was just created: with a new id, a principal, two values and the default lifetimes.
///
/// Its id, secret and tag come from the operating system's generator, so tests may share a server
/// without meeting.
///
/// # Examples
///
/// ```
/// use tenure_core::Clock;
/// use tenure_testing::{ManualClock, records};
///
/// let clock = ManualClock::new();
/// let record = records::fresh(clock.now());
/// let changed = records::successor(&record).with_values(records::values([("count", b"\x01")]));
/// assert_eq!(changed.version().counter(), record.version().counter() + 1);
/// ```
#[must_use]
pub fn fresh(now: Timestamp) -> Record {
    fresh_with(now, Lifetimes::default())
}

/// The same, with other lifetimes.
#[must_use]
pub fn fresh_with(now: Timestamp, lifetimes: Lifetimes) -> Record {
    begin(random_id(), now, lifetimes)
}

/// Another session under an id that is already taken, as if two nodes had drawn the same.
#[must_use]
pub fn fresh_under(id: SessionId, now: Timestamp) -> Record {
    begin(id, now, Lifetimes::default())
}

fn begin(id: SessionId, now: Timestamp, lifetimes: Lifetimes) -> Record {
    let lineage = Lineage::first(random_tag());
    let secret_hash = SecretHash::from_bytes(random());
    let record = Record::new(id, lineage, secret_hash, now, lifetimes)
        .with_values(values([("cart", "\x07\x01"), ("theme", "dark")]));
    logged_in(&record, "ada", now)
}

/// The same record after a login, without the new secret that comes with one.
///
/// # Panics
///
/// If the name cannot be a principal's.
#[must_use]
#[expect(
    clippy::panic,
    reason = "this is test support: a name that cannot be stored is a mistake in the test"
)]
pub fn logged_in(record: &Record, principal: &str, now: Timestamp) -> Record {
    let principal = match Principal::new(principal) {
        Ok(principal) => principal,
        Err(error) => panic!("{error}"),
    };
    let stamp = random_stamp();
    record
        .clone()
        .with_login(principal, Login::new(stamp, Epoch::default(), now))
}

/// What the next commit would store if it changed nothing but the version.
#[must_use]
pub fn successor(record: &Record) -> Record {
    record.clone().next(random_tag())
}

/// The values that hold exactly these entries.
///
/// The bytes need not be MessagePack: no store looks into them.
///
/// # Panics
///
/// If a name is empty, longer than 65,535 bytes or given twice.
#[must_use]
#[expect(
    clippy::panic,
    reason = "this is test support: names that cannot be stored are a mistake in the test"
)]
pub fn values<'a, N, V>(entries: impl IntoIterator<Item = (N, &'a V)>) -> Values
where
    N: Into<String>,
    V: AsRef<[u8]> + ?Sized + 'a,
{
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|(name, value)| (name.into(), value.as_ref()))
        .collect();
    entries.sort();
    let mut block = BytesMut::new();
    for (name, value) in entries {
        let (Ok(name_length), Ok(value_length)) =
            (u16::try_from(name.len()), u32::try_from(value.len()))
        else {
            panic!("a name of {} bytes cannot be stored", name.len());
        };
        block.put_u16(name_length);
        block.put_slice(name.as_bytes());
        block.put_u32(value_length);
        block.put_slice(value);
    }
    match Values::decode(block.freeze()) {
        Ok(values) => values,
        Err(error) => panic!("these values cannot be stored: {error}"),
    }
}

/// An id under which nothing is stored.
///
/// # Panics
///
/// If the operating system's generator fails.
#[must_use]
#[expect(
    clippy::panic,
    reason = "without a random generator there is nothing to test"
)]
pub fn random_id() -> SessionId {
    match SessionId::random(&OsEntropy) {
        Ok(id) => id,
        Err(error) => panic!("{error}"),
    }
}

/// A login of which nobody knows.
///
/// # Panics
///
/// If the operating system's generator fails.
#[must_use]
pub fn random_login() -> LoginName {
    LoginName::new(random_id(), random_stamp())
}

/// A principal of whom nobody knows.
///
/// # Panics
///
/// If the operating system's generator fails.
#[must_use]
#[expect(clippy::panic, reason = "a name of that length can be stored")]
pub fn random_principal() -> Principal {
    match Principal::new(format!("user-{:032x}", u128::from_be_bytes(random()))) {
        Ok(principal) => principal,
        Err(error) => panic!("{error}"),
    }
}

/// That of somebody who logs in for themselves: even, since no limit counts the others, and not zero, which is
/// nobody's.
fn random_stamp() -> LoginStamp {
    LoginStamp::from_u64(u64::from_be_bytes(random()) & !1 | 2)
}

/// Never zero, which in a lineage means "before the first commit".
fn random_tag() -> u64 {
    u64::from_be_bytes(random()) | 1
}

#[expect(
    clippy::panic,
    reason = "without a random generator there is nothing to test"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if let Err(error) = OsEntropy.fill(&mut bytes) {
        panic!("the operating system's generator failed: {error}");
    }
    bytes
}

/// The same record with one value, which brings it to that size in bytes.
///
/// # Panics
///
/// If a record cannot be that small.
#[must_use]
#[expect(
    clippy::panic,
    reason = "this is test support: an impossible size is a mistake in the test"
)]
pub fn padded(record: &Record, encoded_len: usize) -> Record {
    let bare = record.clone().with_values(values([("pad", "")]));
    let Some(padding) = encoded_len.checked_sub(bare.encoded_len()) else {
        panic!("no record is as small as {encoded_len} bytes");
    };
    record
        .clone()
        .with_values(values([("pad", &vec![0xa5; padding])]))
}
