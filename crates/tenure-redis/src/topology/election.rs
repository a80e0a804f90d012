//! Who is the primary, by what several sentinels say: no I/O.

use redis::Value;

use crate::{config::Place, script::Request};

/// What one sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) primary: Place,
    pub(super) rank: Rank,
}

/// How late a word is. The configuration's epoch grows with each failover; the sentinel that leads one names the
/// new primary before it counts the epoch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) epoch: u64,
    pub(super) is_ahead: bool,
}

impl Word {
    /// What to ask. The first command tells of a new primary as soon as it is promoted, the second of the epoch.
    pub(super) fn questions(name: &str) -> Request {
        let ask = |what: &str| {
            let mut command = redis::cmd("SENTINEL");
            command.arg(what).arg(name);
            command
        };
        Request::questions([ask("GET-MASTER-ADDR-BY-NAME"), ask("MASTER")])
    }

    /// Reads the reply; `None` if the sentinel does not know the name, or does not let us ask.
    pub(super) fn read(reply: Value) -> Option<Self> {
        let Value::Array(replies) = reply else {
            return None;
        };
        let [address, master] = <[Value; 2]>::try_from(replies).ok()?;
        let [host, port] = <[Value; 2]>::try_from(elements(address)?).ok()?;
        let primary = Place {
            host: text(&host)?.to_owned(),
            port: text(&port)?.parse().ok()?,
        };
        let fields = pairs(master)?;
        let field = |name: &str| {
            let mut fields = fields.iter();
            let (_, value) = fields.find(|(field, _)| text(field) == Some(name))?;
            text(value)
        };
        let known = (field("ip")?, field("port")?.parse().ok()?);
        Some(Self {
            rank: Rank {
                epoch: field("config-epoch")?.parse().ok()?,
                is_ahead: known != (&*primary.host, primary.port),
            },
            primary,
        })
    }
}

/// Whom to ask: the latest word counts, and of several equally late ones that of most.
///
/// `None` if that is older than what is known already, as from a sentinel that was down or is cut off; unless more
/// than half of the `sentinels` say so, who have begun to count anew.
pub(super) fn elected<'a>(
    words: &'a [Word],
    known: Option<(&Place, Rank)>,
    sentinels: usize,
) -> Option<&'a Word> {
    let agreeing = |word: &Word| {
        let agreeing = words.iter().filter(|other| other.primary == word.primary);
        agreeing.count()
    };
    let best = words
        .iter()
        .max_by_key(|word| (word.rank, agreeing(word)))?;
    let is_news = match known {
        Some((place, _)) if best.primary == *place => true,
        Some((_, rank)) => best.rank > rank || agreeing(best) * 2 > sentinels,
        None => true,
    };
    is_news.then_some(best)
}

/// Whether these words, of `sentinels` in all, vouch for a primary: more than half name it, and nobody names
/// another one later. A primary that was deposed and does not know it answers as before for ten seconds and more;
/// that more than half of the sentinels know of no other is the only sign that it was not.
pub(super) fn vouch_for(primary: &Place, words: &[Word], sentinels: usize) -> bool {
    let for_it = || words.iter().filter(|word| word.primary == *primary);
    let latest = for_it().map(|word| word.rank).max();
    let contradicts = |word: &Word| word.primary != *primary && Some(word.rank) > latest;
    for_it().count() * 2 > sentinels && !words.iter().any(contradicts)
}

fn elements(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(elements) => Some(elements),
        _ => None,
    }
}

/// A map, which older servers send as a list.
fn pairs(value: Value) -> Option<Vec<(Value, Value)>> {
    match value {
        Value::Map(pairs) => Some(pairs),
        Value::Array(flat) => {
            let mut flat = flat.into_iter();
            let mut pairs = Vec::new();
            while let Some(name) = flat.next() {
                pairs.push((name, flat.next()?));
            }
            Some(pairs)
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(port: u16) -> Place {
        let host = "h".to_owned();
        Place { host, port }
    }

    fn word(port: u16, epoch: u64) -> Word {
        let is_ahead = false;
        Word {
            primary: place(port),
            rank: Rank { epoch, is_ahead },
        }
    }

    fn ahead(port: u16, epoch: u64) -> Word {
        let mut word = word(port, epoch);
        word.rank.is_ahead = true;
        word
    }

    #[test]
    fn the_latest_word_counts_and_of_equally_late_ones_that_of_most() {
        let rows = [
            ("all agree", vec![word(1, 1), word(1, 1)], Some(1)),
            (
                "a new one",
                vec![word(1, 1), word(1, 1), word(2, 2)],
                Some(2),
            ),
            (
                "a new one that is not counted yet",
                vec![word(1, 1), ahead(2, 1)],
                Some(2),
            ),
            (
                "and is by others",
                vec![ahead(2, 1), word(2, 2), word(1, 1)],
                Some(2),
            ),
            (
                "one that was down",
                vec![word(1, 1), word(2, 2), word(2, 2)],
                Some(2),
            ),
            ("a tie", vec![word(2, 1), word(1, 1), word(1, 1)], Some(1)),
            ("nobody", vec![], None),
        ];
        for (what, words, port) in rows {
            let elected = elected(&words, None, 3).map(|word| word.primary.port);
            assert_eq!(elected, port, "{what}");
        }
    }

    #[test]
    fn an_older_word_counts_only_if_more_than_half_of_all_say_so() {
        let rows = [
            ("a newer one", vec![word(2, 6)], Some(2)),
            ("one that is cut off", vec![word(2, 4)], None),
            ("one of three as late", vec![word(2, 5)], None),
            ("two of three as late", vec![word(2, 5); 2], Some(2)),
            ("two of three have begun anew", vec![word(2, 0); 2], Some(2)),
            ("the same, by one that was down", vec![word(1, 4)], Some(1)),
        ];
        let known = place(1);
        let rank = word(1, 5).rank;
        for (what, words, port) in rows {
            let elected = elected(&words, Some((&known, rank)), 3);
            assert_eq!(elected.map(|word| word.primary.port), port, "{what}");
        }
    }

    #[test]
    fn more_than_half_of_all_have_to_vouch_and_nobody_must_know_better() {
        let rows = [
            ("all", vec![word(1, 1); 3], 3, true),
            ("two of three", vec![word(1, 1); 2], 3, true),
            ("one of three: cut off with it", vec![word(1, 1)], 3, false),
            ("two of four", vec![word(1, 1); 2], 4, false),
            ("nobody", vec![], 3, false),
            ("the only one", vec![word(1, 1)], 1, true),
            (
                "one knows better",
                vec![word(1, 1), word(1, 1), word(2, 2)],
                3,
                false,
            ),
            (
                "one is about to",
                vec![word(1, 1), word(1, 1), ahead(2, 1)],
                3,
                false,
            ),
            (
                "one knows less",
                vec![word(1, 2), word(1, 2), word(2, 1)],
                3,
                true,
            ),
        ];
        for (what, words, sentinels, vouched) in rows {
            assert_eq!(vouch_for(&place(1), &words, sentinels), vouched, "{what}");
        }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn words_are_read_as_maps_and_as_lists() {
        let address = |port| Value::Array(vec![bulk("h"), bulk(port)]);
        let fields = [("ip", "h"), ("port", "1"), ("config-epoch", "7")];
        let fields = fields.map(|(name, value)| (bulk(name), bulk(value)));
        let map = Value::Map(fields.to_vec());
        let list = fields.into_iter().flat_map(|(name, value)| [name, value]);
        let list = Value::Array(list.collect());
        let read = |address, master| Word::read(Value::Array(vec![address, master]));
        assert_eq!(read(address("1"), map.clone()), Some(word(1, 7)));
        assert_eq!(read(address("1"), list), Some(word(1, 7)));
        assert_eq!(read(address("2"), map.clone()), Some(ahead(2, 7)));
        assert_eq!(read(Value::Nil, map), None, "a name that it does not know");
        assert_eq!(read(address("1"), Value::Nil), None);
        assert_eq!(read(address("x"), Value::Map(vec![])), None);
        assert_eq!(Word::read(Value::Nil), None);
    }
}
