//! Which slots a node says that it answers for, and which keys it can be asked about to see whether it is true.

use std::sync::LazyLock;

use redis::{Cmd, Value};
use tenure_core::StoreError;

use super::{
    slots::{SLOTS, slot_of},
    view::View,
};
use crate::{config::Place, error::Failure};

/// The slots of one node by its own word, which comes with each of its proofs.
#[derive(Default)]
pub(super) struct Territory {
    /// The last word. Mostly the next one is the same.
    word: Option<Value>,
    slots: Slots,
}

/// A set of slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots(Box<[u64]>);

impl Territory {
    /// Takes in what the node says; the slots that it has now, if that is news.
    ///
    /// # Errors
    ///
    /// If it is no view of a cluster.
    pub(super) fn take_in(
        &mut self,
        word: Value,
        place: &Place,
    ) -> Result<Option<&Slots>, StoreError> {
        if self.word.as_ref() == Some(&word) {
            return Ok(None);
        }
        let ranges = View::owners(word.clone(), place)?;
        let mut slots = Slots::default();
        for range in ranges.iter().filter(|range| range.owner == *place) {
            (range.first..=range.last).for_each(|slot| slots.insert(slot));
        }
        // Mostly, when a word differs, it is about others.
        let is_news = self.word.replace(word).is_none() || slots != self.slots;
        self.slots = slots;
        Ok(is_news.then_some(&self.slots))
    }

    /// Some slot of the node.
    pub(super) fn slot(&self) -> Option<u16> {
        (0..SLOTS).find(|slot| self.slots.contains(*slot))
    }
}

impl Slots {
    pub(super) fn contains(&self, slot: u16) -> bool {
        let (word, bit) = Self::place(slot);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn insert(&mut self, slot: u16) {
        let (word, bit) = Self::place(slot);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn place(slot: u16) -> (usize, u64) {
        (usize::from(slot / 64), 1 << (slot % 64))
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self(vec![0; usize::from(SLOTS / 64)].into())
    }
}

/// The questions that prove a node: does it answer for this slot, at this moment and as a primary of a cluster that
/// is up, and which slots does it have? Nothing less will do: a node that was deposed or cut off answers `PING` and
/// `ROLE` as before, and no epoch changes with each move of a slot.
pub(super) fn questions(prefix: &str, slot: u16) -> [Cmd; 2] {
    let mut exists = redis::cmd("EXISTS");
    exists.arg(probe(prefix, slot));
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    [exists, slots]
}

/// What the answer to the first question says.
pub(super) fn is_owner(answer: Value) -> Result<(), Failure> {
    match answer.extract_error() {
        Ok(_) => Ok(()),
        Err(error) => match Failure::from(error) {
            // The slot is on its way, and still this node's: its key would have been here.
            Failure::Elsewhere(elsewhere) if elsewhere.is_on_its_way() => Ok(()),
            failure => Err(failure),
        },
    }
}

/// A key that nobody uses, in this slot, and among those that the store may read.
fn probe(prefix: &str, slot: u16) -> String {
    let tag = TAGS[usize::from(slot)];
    format!("{prefix}:{{probe-{tag}}}")
}

/// For each slot a number in whose tag it lies. Takes some ten milliseconds once.
static TAGS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut tags = vec![None; usize::from(SLOTS)];
    let mut missing = tags.len();
    let mut tag = 0;
    while missing > 0 {
        let slot = slot_of(format!("{{probe-{tag}}}").as_bytes());
        if let Some(empty @ None) = tags.get_mut(usize::from(slot)) {
            *empty = Some(tag);
            missing -= 1;
        }
        tag += 1;
    }
    tags.into_iter().flatten().collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    fn word(ranges: &[(i64, i64, &str)]) -> Value {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |(first, last, host): &(i64, i64, &str)| {
            let node = vec![bulk(host), Value::Int(1), bulk("id")];
            Value::Array(vec![
                Value::Int(*first),
                Value::Int(*last),
                Value::Array(node),
            ])
        };
        Value::Array(ranges.iter().map(range).collect())
    }

    fn place(host: &str) -> Place {
        let host = host.to_owned();
        Place { host, port: 1 }
    }

    #[test]
    fn each_slot_has_a_key_under_the_prefix_that_lies_in_it() {
        for slot in 0..SLOTS {
            let key = probe("shop:a", slot);
            assert_eq!(slot_of(key.as_bytes()), slot);
            assert!(key.starts_with("shop:a:"));
        }
    }

    #[test]
    fn a_node_s_word_is_read_when_it_changes() {
        let mut territory = Territory::default();
        assert_eq!(territory.slot(), None);
        let here = place("here");
        let both = word(&[(0, 63, "there"), (64, 130, "here"), (132, 132, "")]);
        let slots = territory.take_in(both.clone(), &here).unwrap().unwrap();
        let expected: Vec<_> = (64..=130).chain([132]).collect();
        let found: Vec<_> = (0..SLOTS).filter(|slot| slots.contains(*slot)).collect();
        assert_eq!(found, expected);
        assert_eq!(territory.take_in(both, &here).unwrap(), None);
        assert_eq!(territory.slot(), Some(64));
        let others = word(&[(0, 63, "elsewhere"), (64, 130, "here"), (132, 132, "")]);
        assert_eq!(territory.take_in(others, &here).unwrap(), None);
        let none = word(&[(0, 16383, "there")]);
        assert_eq!(
            territory.take_in(none, &here).unwrap(),
            Some(&Slots::default())
        );
        assert_eq!(territory.slot(), None);
        assert!(territory.take_in(Value::Nil, &here).is_err());
    }
}
