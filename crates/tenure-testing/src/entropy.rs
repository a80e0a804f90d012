use std::{collections::VecDeque, fmt, sync::Arc};

use parking_lot::Mutex;
use tenure_core::{Entropy, EntropyError};

/// A random generator that never delivers.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailingEntropy;

impl Entropy for FailingEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError::new("this generator was made to fail"))
    }
}

/// A random generator that is not random: first the bytes of a script, then a counter or failure.
///
/// Clones share one sequence. Never use it outside tests: whoever knows the sequence knows every
/// secret drawn from it.
///
/// # Examples
///
/// ```
/// use tenure_core::{Entropy, SessionId};
/// use tenure_testing::SequenceEntropy;
///
/// let entropy = SequenceEntropy::scripted([7; 16]).then_failing();
/// assert!(SessionId::random(&entropy).is_ok());
/// assert!(SessionId::random(&entropy).is_err());
///
/// let (first, second) = (SequenceEntropy::counting(), SequenceEntropy::counting());
/// assert_eq!(SessionId::random(&first).unwrap(), SessionId::random(&second).unwrap());
/// ```
#[derive(Clone)]
pub struct SequenceEntropy {
    sequence: Arc<Mutex<Sequence>>,
}

impl SequenceEntropy {
    /// Fills with 1, 2, 3, …: each time the whole buffer is one big-endian number, so ids, secrets
    /// and tags are distinct as long as they have two bytes or more.
    #[must_use]
    pub fn counting() -> Self {
        Self::scripted([])
    }

    /// Fills with these bytes, in order and across calls, then counts as
    /// [`counting`](Self::counting) does. A call for which too few bytes are left drops them.
    #[must_use]
    pub fn scripted(script: impl IntoIterator<Item = u8>) -> Self {
        Self {
            sequence: Arc::new(Mutex::new(Sequence {
                script: script.into_iter().collect(),
                after: After::Count { last: 0 },
            })),
        }
    }

    /// Fails, instead of counting, when the script is used up.
    #[must_use]
    pub fn then_failing(self) -> Self {
        self.sequence.lock().after = After::Fail;
        self
    }
}

impl Entropy for SequenceEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut sequence = self.sequence.lock();
        if sequence.script.len() >= bytes.len() {
            let scripted = sequence.script.drain(..bytes.len());
            for (target, scripted) in bytes.iter_mut().zip(scripted) {
                *target = scripted;
            }
            return Ok(());
        }
        sequence.script.clear();
        match &mut sequence.after {
            After::Fail => Err(EntropyError::new("the script of this generator is used up")),
            After::Count { last } => {
                *last += 1;
                bytes.fill(0);
                for (target, digit) in bytes.iter_mut().rev().zip(last.to_le_bytes()) {
                    *target = digit;
                }
                Ok(())
            }
        }
    }
}

impl Default for SequenceEntropy {
    fn default() -> Self {
        Self::counting()
    }
}

impl fmt::Debug for SequenceEntropy {
    /// Shows how far the sequence has come, not the bytes: secrets will be drawn from them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.sequence.lock();
        f.debug_struct("SequenceEntropy")
            .field("scripted_bytes_left", &sequence.script.len())
            .field("then", &sequence.after)
            .finish()
    }
}

struct Sequence {
    script: VecDeque<u8>,
    after: After,
}

#[derive(Debug)]
enum After {
    Count { last: u64 },
    Fail,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_across_calls_and_counting_follows() {
        let entropy = SequenceEntropy::scripted([1, 2, 3, 4, 5]);
        let mut bytes = [0; 2];
        let mut drawn = Vec::new();
        for _ in 0..4 {
            entropy.fill(&mut bytes).unwrap();
            drawn.push(bytes);
        }
        assert_eq!(drawn, [[1, 2], [3, 4], [0, 1], [0, 2]]);
    }

    #[test]
    fn a_generator_fails_when_its_script_is_used_up_if_told_so() {
        let entropy = SequenceEntropy::scripted([9; 3]).then_failing();
        assert!(entropy.fill(&mut [0; 3]).is_ok());
        assert!(entropy.fill(&mut [0; 1]).is_err());
        assert!(FailingEntropy.fill(&mut [0; 1]).is_err());
    }
}
