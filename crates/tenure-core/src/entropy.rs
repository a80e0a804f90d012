//! Randomness, injected, so that a failing generator can be tested.

use std::{error::Error, fmt, sync::Arc};

/// A source of cryptographically secure random bytes.
pub trait Entropy: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` completely.
    ///
    /// # Errors
    ///
    /// Whatever keeps the generator from filling all of it. The caller then refuses what it was
    /// about to do: there is no weaker source to fall back to.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

impl<E: Entropy + ?Sized> Entropy for Arc<E> {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        (**self).fill(bytes)
    }
}

/// The operating system's generator; the default everywhere.
///
/// It is asked directly, without a generator in between that would have to be reseeded after a
/// `fork` or in a restored virtual machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(EntropyError::new)
    }
}

/// The random generator did not deliver.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no random bytes to be had")]
pub struct EntropyError {
    source: Arc<dyn Error + Send + Sync>,
}

impl EntropyError {
    /// Wraps the generator's own error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Arc::from(source.into()),
        }
    }
}

pub(crate) fn random<const N: usize>(source: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut bytes = [0; N];
    source.fill(&mut bytes)?;
    Ok(bytes)
}
