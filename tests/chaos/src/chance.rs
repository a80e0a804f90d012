//! Chance that can be repeated.

use std::time::Duration;

/// A stream of random numbers that depends on nothing but its seed: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream of that name under that seed. Each actor has its own, so that what one of them draws
    /// does not depend on when the others draw.
    pub(crate) fn new(seed: u64, name: &[u64]) -> Self {
        let mut chance = Self(seed);
        for part in name {
            chance = Self(chance.next() ^ part);
        }
        chance
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to `end`, without it; 0 if there is none.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    /// An index into something of that length.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        let index = self.below(u64::try_from(length).unwrap_or(u64::MAX));
        usize::try_from(index).unwrap_or(0)
    }

    /// Whether something happens that does so in that many cases of a thousand.
    pub(crate) fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(least + self.below(most + 1 - least))
    }

    /// One of the choices, each as often as its weight says.
    pub(crate) fn choose<T: Copy>(&mut self, choices: &[(T, u64)]) -> Option<T> {
        let total = choices.iter().map(|(_, weight)| weight).sum();
        let mut left = self.below(total);
        for (choice, weight) in choices {
            if left < *weight {
                return Some(*choice);
            }
            left -= weight;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, name: &[u64]) -> Vec<u64> {
        let mut chance = Chance::new(seed, name);
        (0..8).map(|_| chance.next()).collect()
    }

    #[test]
    fn a_stream_repeats_itself_and_is_like_no_other() {
        assert_eq!(first(1, &[2, 3]), first(1, &[2, 3]));
        assert_ne!(first(1, &[2, 3]), first(1, &[3, 2]));
        assert_ne!(first(1, &[2, 3]), first(2, &[2, 3]));
    }

    #[test]
    fn a_choice_follows_the_weights() {
        let mut chance = Chance::new(7, &[]);
        let draws = (0..1000).filter_map(|_| chance.choose(&[("never", 0), ("a", 1), ("b", 9)]));
        let draws: Vec<_> = draws.collect();
        assert_eq!(draws.len(), 1000);
        let rare = draws.iter().filter(|draw| **draw == "a").count();
        assert!((50..200).contains(&rare), "{rare}");
        assert!(!draws.contains(&"never"));
        assert_eq!(chance.choose::<u8>(&[]), None);
    }

    #[test]
    fn spans_include_both_ends() {
        let mut chance = Chance::new(7, &[]);
        let draws: Vec<_> = (0..200).map(|_| chance.millis(3, 5)).collect();
        assert_eq!(draws.iter().min(), Some(&Duration::from_millis(3)));
        assert_eq!(draws.iter().max(), Some(&Duration::from_millis(5)));
    }
}
