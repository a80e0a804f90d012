//! What a node says of its cluster.

use redis::Value;
use tenure_core::StoreError;

use super::slots::SLOTS;
use crate::{
    config::Place,
    error::{Failure, UNKNOWN_HOST, unexpected_reply},
    script::Request,
};

/// One node's view of who answers for which slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// By their first slot; slots that nobody answers for are in none.
    pub(super) ranges: Vec<Range>,
    /// Of the primaries.
    pub(super) ids: Vec<String>,
    pub(super) replicas: Vec<Place>,
    pub(super) health: Health,
    /// Grows with each failover.
    pub(super) epoch: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) owner: Place,
}

/// What the node thinks of the cluster. One that is cut off from the others says that it is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    Down,
    /// The node does not let this client ask.
    Unknown,
    Up,
}

impl View {
    /// What to ask.
    pub(super) fn questions() -> Request {
        let ask = |what: &str| {
            let mut command = redis::cmd("CLUSTER");
            command.arg(what);
            command
        };
        Request::questions([ask("SLOTS"), ask("INFO")])
    }

    /// Reads the reply of a node that was asked at `asked`.
    pub(super) fn read(reply: Value, asked: &Place) -> Result<Self, StoreError> {
        let Value::Array(replies) = reply else {
            return Err(unexpected_reply());
        };
        let Ok([slots, info]) = <[Value; 2]>::try_from(replies) else {
            return Err(unexpected_reply());
        };
        let slots = slots.extract_error().map_err(Failure::from)?;
        let mut view = Self::unread();
        // Who must not ask for it does without: it only decides between views that differ.
        if let Ok(info) = info.extract_error() {
            view.read_info(&text(&info).unwrap_or_default());
        }
        view.read_slots(slots, asked).ok_or_else(unexpected_reply)?;
        view.ranges.sort_by_key(|range| range.first);
        view.ids.sort();
        view.ids.dedup();
        Ok(view)
    }

    /// Reads the reply of a node to `CLUSTER SLOTS` alone.
    pub(super) fn owners(slots: Value, asked: &Place) -> Result<Vec<Range>, StoreError> {
        let mut view = Self::unread();
        view.read_slots(slots, asked).ok_or_else(unexpected_reply)?;
        Ok(view.ranges)
    }

    /// How many slots somebody answers for.
    pub(super) fn covered(&self) -> usize {
        let slots = |range: &Range| usize::from(range.last - range.first) + 1;
        self.ranges.iter().map(slots).sum()
    }

    /// Whether both tell the same owners.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        self.ranges == other.ranges
    }

    const fn unread() -> Self {
        Self {
            ranges: Vec::new(),
            ids: Vec::new(),
            replicas: Vec::new(),
            health: Health::Unknown,
            epoch: 0,
        }
    }

    fn read_info(&mut self, info: &str) {
        let field = |name: &str| {
            let mut lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.find_map(|(field, value)| (field == name).then(|| value.trim()))
        };
        self.health = match field("cluster_state") {
            Some("ok") => Health::Up,
            Some(_) => Health::Down,
            None => Health::Unknown,
        };
        let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
        self.epoch = epoch.unwrap_or_default();
    }

    fn read_slots(&mut self, slots: Value, asked: &Place) -> Option<()> {
        let Value::Array(ranges) = slots else {
            return None;
        };
        for range in ranges {
            let Value::Array(range) = range else {
                return None;
            };
            let mut parts = range.into_iter();
            let first = slot(&parts.next()?)?;
            let last = slot(&parts.next()?)?;
            let mut nodes = parts.map(|node| node_of(&node, asked));
            if first > last {
                return None;
            }
            let (owner, id) = nodes.next()??;
            self.ids.extend(id);
            if let Some(owner) = owner {
                self.ranges.push(Range { first, last, owner });
            }
            for node in nodes {
                let (Some(replica), _) = node? else { continue };
                if !self.replicas.contains(&replica) {
                    self.replicas.push(replica);
                }
            }
        }
        Some(())
    }
}

/// Where a node is, unless nobody knows, and its id.
fn node_of(node: &Value, asked: &Place) -> Option<(Option<Place>, Option<String>)> {
    let Value::Array(parts) = node else {
        return None;
    };
    let host = match parts.first()? {
        Value::Nil => String::new(),
        host => text(host)?,
    };
    let Value::Int(port) = parts.get(1)? else {
        return None;
    };
    let id = parts.get(2).and_then(text);
    let host = match &*host {
        // That of the node that was asked, which knows its port only.
        "" => asked.host.clone(),
        UNKNOWN_HOST => return Some((None, id)),
        _ => host,
    };
    let port = u16::try_from(*port).ok()?;
    // A node that is about to be introduced.
    let place = (port > 0).then_some(Place { host, port });
    Some((place, id))
}

fn slot(value: &Value) -> Option<u16> {
    let Value::Int(slot) = value else {
        return None;
    };
    u16::try_from(*slot).ok().filter(|slot| *slot < SLOTS)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn node(host: Value, port: i64, id: &str) -> Value {
        Value::Array(vec![host, Value::Int(port), bulk(id), Value::Array(vec![])])
    }

    fn range(first: i64, last: i64, nodes: Vec<Value>) -> Value {
        let bounds = vec![Value::Int(first), Value::Int(last)];
        Value::Array(bounds.into_iter().chain(nodes).collect())
    }

    fn place(host: &str, port: u16) -> Place {
        let host = host.to_owned();
        Place { host, port }
    }

    fn read(ranges: Vec<Value>, info: Value) -> Result<View, StoreError> {
        let asked = place("asked", 1);
        View::read(Value::Array(vec![Value::Array(ranges), info]), &asked)
    }

    /// An empty or missing host is the one that was asked; `?` is one that nobody knows.
    #[test]
    fn a_view_tells_owners_ids_and_replicas_and_leaves_out_who_has_no_address() {
        let ranges = vec![
            range(8000, 16383, vec![node(Value::Nil, 3, "c")]),
            range(100, 200, vec![node(bulk("?"), 9, "lost")]),
            range(
                0,
                99,
                vec![node(bulk("h"), 1, "a"), node(bulk("r"), 2, "b")],
            ),
            range(201, 201, vec![node(bulk(""), 4, "a")]),
        ];
        let info = bulk("cluster_state:ok\r\ncluster_current_epoch:7\r\n");
        let view = read(ranges, info).unwrap();
        let owners: Vec<_> = view
            .ranges
            .iter()
            .map(|it| (it.first, it.last, &it.owner))
            .collect();
        let expected = [place("h", 1), place("asked", 4), place("asked", 3)];
        assert_eq!(
            owners,
            [
                (0, 99, &expected[0]),
                (201, 201, &expected[1]),
                (8000, 16383, &expected[2])
            ]
        );
        assert_eq!(view.ids, ["a", "c", "lost"]);
        assert_eq!(view.replicas, [place("r", 2)]);
        assert_eq!(
            (view.health, view.epoch, view.covered()),
            (Health::Up, 7, 8485)
        );
    }

    #[test]
    fn who_must_not_ask_how_the_cluster_is_learns_the_slots_all_the_same() {
        let forbidden = redis::parse_redis_value(b"-NOPERM no permissions\r\n").unwrap();
        let view = read(vec![], forbidden).unwrap();
        assert_eq!((view.health, view.covered()), (Health::Unknown, 0));
        let down = read(vec![], bulk("cluster_state:fail\r\n")).unwrap();
        assert_eq!(down.health, Health::Down);
    }

    #[test]
    fn a_reply_of_another_kind_is_a_fault() {
        let rows = [
            vec![range(0, 16384, vec![node(bulk("h"), 1, "a")])],
            vec![range(9, 8, vec![node(bulk("h"), 1, "a")])],
            vec![range(0, 1, vec![])],
            vec![range(0, 1, vec![bulk("h")])],
            vec![range(0, 1, vec![node(bulk("h"), 70_000, "a")])],
            vec![Value::Int(1)],
        ];
        for ranges in rows {
            assert!(read(ranges.clone(), Value::Nil).is_err(), "{ranges:?}");
        }
        assert!(View::read(Value::Nil, &place("h", 1)).is_err());
    }
}
