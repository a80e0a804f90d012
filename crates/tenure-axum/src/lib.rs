//! tenure-axum
