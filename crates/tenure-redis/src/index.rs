//! The login index, in terms of Redis.

use std::borrow::Cow;

use futures_util::future::try_join_all;
use redis::Value;
use sha2::{Digest, Sha256};
use tenure_core::{
    Clock, Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginName, LoginPage,
    LoginSeen, Principal, Reservation, Reserve, SessionIndex, StoreError, StoreErrorKind,
    Timestamp, Touch, UserCursor, UserPage, UserStanding,
};

use crate::{
    RedisStore,
    error::unexpected_reply,
    exclusive::Kind,
    script::{Request, Script, index as scripts},
};

/// One command a verb, atomic on one slot of a cluster: the four keys of a principal bear the same hash tag.
///
/// The connection is that of the store from which a cache's handle was made, so what is read here is not tracked.
/// With [`min_replicas`](crate::RedisStoreBuilder::min_replicas), an ending waits for the replicas as a deletion does.
impl SessionIndex for RedisStore {
    async fn reserve(
        &self,
        user: &Principal,
        reservation: Reservation,
    ) -> Result<Reserve, StoreError> {
        let limit = reservation.limit;
        let fence = reservation.fence.map(|fence| digits(fence.as_u64()));
        let mut arguments = vec![
            name(reservation.login),
            reservation.replaces.map_or(NOTHING, name),
            limit.map_or(NOTHING, |limit| digits(limit.most.into())),
            flag(limit.is_some_and(|limit| limit.evicts)),
            fence.unwrap_or(NOTHING),
            time(reservation.kept_until),
            user.as_str().as_bytes().into(),
        ];
        arguments.extend(reservation.dead.into_iter().map(name));
        let reply = self.ask(&scripts::RESERVE, user, &arguments).await?;
        reserved(reply).ok_or_else(unexpected_reply)
    }

    async fn confirm(
        &self,
        user: &Principal,
        confirmation: Confirmation,
    ) -> Result<Confirm, StoreError> {
        let arguments = [
            name(confirmation.login),
            confirmation.replaces.map_or(NOTHING, name),
            digits(confirmation.epoch.as_u64()),
            time(confirmation.ends_at),
        ];
        match self.ask(&scripts::CONFIRM, user, &arguments).await? {
            Value::Int(1) => Ok(Confirm::Confirmed),
            Value::Int(2) => Ok(Confirm::Revoked),
            Value::Int(3) => Ok(Confirm::Displaced),
            _ => Err(unexpected_reply()),
        }
    }

    async fn end(&self, user: &Principal, ending: Ending) -> Result<Ended, StoreError> {
        let arguments = [
            ending.tag.to_be_bytes().to_vec().into(),
            ending.spares.map_or(NOTHING, name),
            flag(ending.blocks),
            time(ending.kept_until),
            user.as_str().as_bytes().into(),
        ];
        let request = self.request(&scripts::END, user, &arguments);
        let reply = self.shared.index.confirmed(&request, Kind::Writing).await?;
        ended(reply).ok_or_else(unexpected_reply)
    }

    async fn condemn(&self, user: &Principal, login: LoginName) -> Result<bool, StoreError> {
        match self.ask(&scripts::CONDEMN, user, &[name(login)]).await? {
            Value::Int(1) => Ok(true),
            Value::Int(0) => Ok(false),
            _ => Err(unexpected_reply()),
        }
    }

    async fn settle(&self, user: &Principal, logins: Vec<LoginName>) -> Result<(), StoreError> {
        let names: Vec<_> = logins.into_iter().map(name).collect();
        match self.ask(&scripts::SETTLE, user, &names).await? {
            Value::Int(1) => Ok(()),
            _ => Err(unexpected_reply()),
        }
    }

    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, StoreError> {
        let arguments = [
            name(seen.login),
            epoch_that_counts(seen.epoch)?,
            time(seen.ends_at),
            user.as_str().as_bytes().into(),
        ];
        match self.ask(&scripts::TOUCH, user, &arguments).await? {
            Value::Int(1) => Ok(Touch::Known),
            Value::Int(2) => Ok(Touch::Entered),
            Value::Int(3) => Ok(Touch::Ended),
            _ => Err(unexpected_reply()),
        }
    }

    async fn standing(&self, user: &Principal) -> Result<UserStanding, StoreError> {
        let mut read = redis::cmd("HMGET");
        let [roll, ..] = self.keys(user);
        read.arg(roll).arg("e").arg("b");
        let reply = self.shared.index.call(&Request::command(read)).await?;
        standing(reply).ok_or_else(unexpected_reply)
    }

    async fn unblock(&self, user: &Principal, blocked_in: Epoch) -> Result<(), StoreError> {
        let arguments = [digits(blocked_in.as_u64())];
        match self.ask(&scripts::UNBLOCK, user, &arguments).await? {
            Value::Int(0 | 1) => Ok(()),
            _ => Err(unexpected_reply()),
        }
    }

    async fn logins(
        &self,
        user: &Principal,
        after: Option<LoginCursor>,
        most: usize,
    ) -> Result<LoginPage, StoreError> {
        let arguments = [
            after.map_or(NOTHING, |after| time(after.ends_at)),
            after.map_or(NOTHING, |after| name(after.login)),
            digits(most.min(LONGEST_PAGE) as u64),
        ];
        let reply = self.ask(&scripts::LOGINS, user, &arguments).await?;
        page(reply).ok_or_else(unexpected_reply)
    }

    /// A `SCAN` of some keys, and one more command for each principal that is found. In a cluster, one node after the
    /// other: who moves between nodes meanwhile may be missed, or found twice.
    async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, StoreError> {
        let cursor = after.as_ref().map_or(&b"0"[..], UserCursor::as_bytes);
        let Some((share, cursor)) = place_in_scan(cursor) else {
            let foreign = "a foreign cursor";
            return Err(StoreError::with_source(StoreErrorKind::Corrupt, foreign));
        };
        let mut scan = redis::cmd("SCAN");
        let hash = "?".repeat(HASH_DIGITS);
        let pattern = format!("{}:u:{{{hash}}}", self.shared.prefix);
        scan.arg(cursor).arg("MATCH").arg(pattern);
        scan.arg("COUNT").arg(KEYS_PER_PAGE);
        let scan = Request::command(scan);
        let reply = self.shared.index.call_at(share, &scan).await?;
        let (next, keys) = scanned(reply).ok_or_else(unexpected_reply)?;
        let names = keys.into_iter().map(|key| self.name_at(key));
        let users = try_join_all(names).await?;
        Ok(UserPage {
            users: users.into_iter().flatten().collect(),
            next: self.next_in_scan(share, next).map(UserCursor::new),
        })
    }

    async fn gate(&self) -> Result<Epoch, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(self.gate_key());
        let reply = self.shared.index.call(&Request::command(get)).await?;
        match reply {
            Value::Nil => Ok(Epoch::default()),
            reply => epoch(&reply).ok_or_else(unexpected_reply),
        }
    }

    async fn raise_gate(&self, to: Epoch) -> Result<Epoch, StoreError> {
        let to = epoch_that_counts(to)?;
        let request = Request::script(&scripts::RAISE_GATE, &self.gate_key(), &[&to]);
        let reply = self.shared.index.call(&request).await?;
        epoch(&reply).ok_or_else(unexpected_reply)
    }
}

impl RedisStore {
    async fn ask(
        &self,
        script: &'static Script,
        user: &Principal,
        arguments: &[Argument<'_>],
    ) -> Result<Value, StoreError> {
        let request = self.request(script, user, arguments);
        self.shared.index.call(&request).await
    }

    fn request(
        &self,
        script: &'static Script,
        user: &Principal,
        arguments: &[Argument<'_>],
    ) -> Request {
        let keys = self.keys(user);
        let now = time(self.shared.clock.now());
        let arguments = [&now].into_iter().chain(arguments);
        let arguments: Vec<_> = arguments.map(|argument| &argument[..]).collect();
        Request::script_on(script, &keys.each_ref().map(String::as_str), &arguments)
    }

    /// In the order in which the scripts expect them.
    fn keys(&self, user: &Principal) -> [String; 4] {
        let roll = format!("{}:u:{{{}}}", self.shared.prefix, hash(user));
        let part = |name| [&*roll, name].concat();
        [part(""), part(":s"), part(":p"), part(":x")]
    }

    /// Where a scan goes on that has come to `cursor` at one of the servers.
    fn next_in_scan(&self, share: usize, cursor: Vec<u8>) -> Option<Vec<u8>> {
        let shares = self.shared.index.shares();
        let (share, cursor) = if cursor == b"0" {
            (share + 1, cursor)
        } else {
            (share, cursor)
        };
        if share >= shares {
            None
        } else if shares == 1 {
            Some(cursor)
        } else {
            let share = share.to_string();
            Some([share.as_bytes(), b"-", &cursor].concat())
        }
    }

    fn gate_key(&self) -> String {
        [&*self.shared.prefix, ":gate"].concat()
    }

    /// The name of the principal whose hash that is, if it is still there.
    async fn name_at(&self, key: Vec<u8>) -> Result<Option<Principal>, StoreError> {
        let mut read = redis::cmd("HMGET");
        read.arg(key).arg("n");
        let reply = self.shared.index.call(&Request::command(read)).await?;
        named(&reply).ok_or_else(unexpected_reply)
    }
}

/// Which server to ask, and with which cursor. That of a single server has no number.
fn place_in_scan(cursor: &[u8]) -> Option<(usize, &[u8])> {
    let cut = cursor.iter().position(|byte| *byte == b'-');
    let (share, cursor) = match cut {
        Some(cut) => (number_of(&cursor[..cut])?, &cursor[cut + 1..]),
        None => (0, cursor),
    };
    let is_cursor = !cursor.is_empty() && cursor.iter().all(u8::is_ascii_digit);
    is_cursor.then_some((share, cursor))
}

fn number_of(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Where a principal's keys lie: 128 bits of a hash, so that names need no escaping and do not show. Without a
/// key, since a key that is replaced would lose the index.
fn hash(user: &Principal) -> String {
    let hash = Sha256::digest(user.as_str());
    let bytes = hash.iter().take(HASH_DIGITS / 2);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

type Argument<'a> = Cow<'a, [u8]>;

/// What stands for something that is not given.
const NOTHING: Argument<'static> = Cow::Borrowed(&[]);

fn name<'a>(login: LoginName) -> Argument<'a> {
    login.to_bytes().to_vec().into()
}

fn digits<'a>(number: u64) -> Argument<'a> {
    number.to_string().into_bytes().into()
}

fn flag<'a>(is_set: bool) -> Argument<'a> {
    digits(is_set.into())
}

/// Lua's numbers are exact up to 2^53. As milliseconds, that is in 285,000 years.
fn time<'a>(time: Timestamp) -> Argument<'a> {
    digits(time.as_millis().min(LARGEST))
}

/// An epoch that is going to be compared with others as a number.
fn epoch_that_counts<'a>(epoch: Epoch) -> Result<Argument<'a>, StoreError> {
    if epoch.as_u64() > LARGEST {
        let source = "an epoch that no index has given out";
        return Err(StoreError::with_source(StoreErrorKind::Corrupt, source));
    }
    Ok(digits(epoch.as_u64()))
}

fn reserved(reply: Value) -> Option<Reserve> {
    let Value::Array(parts) = reply else {
        return None;
    };
    match &parts[..] {
        [Value::Int(1), epoch_part, condemned] => Some(Reserve::Admitted {
            epoch: epoch(epoch_part)?,
            condemned: logins(condemned)?,
        }),
        [Value::Int(2), confirmed] => Some(Reserve::Full(logins(confirmed)?)),
        [Value::Int(3)] => Some(Reserve::Revoked),
        [Value::Int(4)] => Some(Reserve::Displaced),
        [Value::Int(5)] => Some(Reserve::Blocked),
        _ => None,
    }
}

fn ended(reply: Value) -> Option<Ended> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [epoch_part, condemned] = &parts[..] else {
        return None;
    };
    Some(Ended {
        epoch: epoch(epoch_part)?,
        condemned: logins(condemned)?,
    })
}

fn standing(reply: Value) -> Option<UserStanding> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [epoch_part, block] = &parts[..] else {
        return None;
    };
    let optional = |part: &Value| match part {
        Value::Nil => Some(None),
        part => epoch(part).map(Some),
    };
    Some(UserStanding {
        epoch: optional(epoch_part)?.unwrap_or_default(),
        blocked_in: optional(block)?,
    })
}

/// The outer `None` stands for a reply that is none.
fn named(reply: &Value) -> Option<Option<Principal>> {
    let Value::Array(parts) = reply else {
        return None;
    };
    match &parts[..] {
        [Value::Nil] => Some(None),
        [name] => Some(Some(
            Principal::new(str::from_utf8(text(name)?).ok()?).ok()?,
        )),
        _ => None,
    }
}

fn page(reply: Value) -> Option<LoginPage> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [Value::Array(listed), condemned] = &parts[..] else {
        return None;
    };
    let (pairs, rest) = listed.as_chunks();
    let cursor = |[login, ends_at]: &[Value; 2]| {
        Some(LoginCursor {
            ends_at: Timestamp::from_millis(number(ends_at)?),
            login: LoginName::from_bytes(text(login)?)?,
        })
    };
    Some(LoginPage {
        logins: pairs
            .iter()
            .map(cursor)
            .collect::<Option<_>>()
            .filter(|_| rest.is_empty())?,
        condemned: logins(condemned)?,
    })
}

fn scanned(reply: Value) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let Value::Array(parts) = reply else {
        return None;
    };
    let [Value::BulkString(next), Value::Array(keys)] = &parts[..] else {
        return None;
    };
    let keys = keys.iter().map(|key| Some(text(key)?.to_vec()));
    Some((next.clone(), keys.collect::<Option<_>>()?))
}

/// Logins one behind the other.
fn logins(part: &Value) -> Option<Vec<LoginName>> {
    let names = text(part)?.chunks(LoginName::BYTES);
    names.map(LoginName::from_bytes).collect()
}

fn epoch(part: &Value) -> Option<Epoch> {
    number(part).map(Epoch::from_u64)
}

fn number(part: &Value) -> Option<u64> {
    str::from_utf8(text(part)?).ok()?.parse().ok()
}

fn text(part: &Value) -> Option<&[u8]> {
    match part {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

const HASH_DIGITS: usize = 32;

const LARGEST: u64 = (1 << 53) - 1;

/// Far more than anybody asks for, and few enough to be counted with.
const LONGEST_PAGE: usize = 1 << 30;

/// How many keys a `SCAN` looks at: some ten microseconds of the server's time.
const KEYS_PER_PAGE: usize = 100;
