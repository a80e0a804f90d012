//! tenure-testing
