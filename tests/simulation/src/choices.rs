//! Where a schedule's decisions come from, and the record of them.

/// Decides, and remembers what it has decided, so that a schedule can be run again and shortened.
///
/// A decision is a byte. Zero is always the straightest way on, and decisions that are not there are
/// zeros: so a schedule stays one when bytes are taken out of it.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    source: Source,
    taken: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Source {
    Drawn(Random),
    Given(std::vec::IntoIter<u8>),
}

impl Choices {
    /// Decides by chance.
    pub(crate) const fn drawn(random: Random) -> Self {
        Self {
            source: Source::Drawn(random),
            taken: Vec::new(),
        }
    }

    /// Decides as before.
    pub(crate) fn given(choices: Vec<u8>) -> Self {
        Self {
            source: Source::Given(choices.into_iter()),
            taken: Vec::new(),
        }
    }

    /// A number below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end <= 1 {
            return 0;
        }
        usize::from(self.byte()) % end
    }

    /// Whether something happens that happens in `share` of 256 cases.
    pub(crate) fn happens(&mut self, share: u8) -> bool {
        self.byte() > u8::MAX - share
    }

    /// All that was decided, without the straight end.
    pub(crate) fn into_taken(mut self) -> Vec<u8> {
        while self.taken.last() == Some(&0) {
            self.taken.pop();
        }
        self.taken
    }

    fn byte(&mut self) -> u8 {
        let byte = match &mut self.source {
            Source::Drawn(random) => random.byte(),
            Source::Given(bytes) => bytes.next().unwrap_or_default(),
        };
        self.taken.push(byte);
        byte
    }
}

/// A small generator (SplitMix64, Steele et al. 2014) that is the same on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A number below `end`, which must not be zero.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes([self.byte(), self.byte()])) % end
    }

    /// One of them, in proportion to its weight.
    pub(crate) fn weighted<T: Copy>(&mut self, choices: &[(usize, T)]) -> Option<T> {
        let sum = choices.iter().map(|(weight, _)| weight).sum();
        let mut left = self.below(sum);
        for (weight, choice) in choices {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return Some(*choice),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_decided_is_decided_again() {
        let decide = |mut choices: Choices| {
            let decided: Vec<_> = (2..40).map(|end| choices.below(end)).collect();
            (decided, choices.into_taken())
        };
        let (decided, taken) = decide(Choices::drawn(Random::new(7)));
        assert_eq!(decide(Choices::given(taken.clone())), (decided, taken));
    }

    #[test]
    fn decisions_that_are_missing_are_the_straight_way() {
        let mut choices = Choices::given(vec![3]);
        assert_eq!(
            [choices.below(5), choices.below(5), choices.below(5)],
            [3, 0, 0]
        );
        assert!(!choices.happens(255));
        assert_eq!(choices.into_taken(), [3]);
    }
}
