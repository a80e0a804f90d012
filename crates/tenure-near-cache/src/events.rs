//! What happens to the cache, as structured events.

use std::error::Error;

use tenure_core::{Part, StoreError};

use crate::{Metrics, Miss};

pub(crate) fn missed(reason: Miss) {
    tracing::trace!(event = "near_cache_missed", ?reason);
}

/// Changes may have gone unreported.
pub(crate) fn emptied(part: Part) {
    tracing::info!(event = "near_cache_emptied", part = part.index());
}

pub(crate) fn unproven(part: Part, error: &StoreError) {
    tracing::warn!(
        event = "near_cache_unproven",
        part = part.index(),
        error = error as &(dyn Error + 'static),
    );
}

pub(crate) fn proven_again(part: Part) {
    tracing::info!(event = "near_cache_proven", part = part.index());
}

pub(crate) fn report(metrics: &Metrics) {
    tracing::debug!(
        event = "near_cache_metrics",
        hits = metrics.hits,
        misses = metrics.misses.total(),
        shared_loads = metrics.shared_loads,
        revalidations = metrics.revalidations,
        dirty_fills = metrics.dirty_fills,
        invalidations = metrics.invalidations,
        losses = metrics.losses,
        entries = metrics.entries,
        bytes = metrics.bytes,
        proof_age = ?metrics.proof_age,
    );
}
