//! tenure-tower
