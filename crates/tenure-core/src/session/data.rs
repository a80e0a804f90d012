use serde::{Serialize, de::DeserializeOwned};

use crate::Key;

/// A type that sessions keep under one key of its own, for the adapters' typed extractors.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tenure_core::{Key, SessionData};
///
/// #[derive(Serialize, Deserialize)]
/// struct Preferences {
///     language: String,
/// }
///
/// impl SessionData for Preferences {
///     const KEY: Key<Self> = Key::new("preferences");
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no key of its own in sessions",
    note = "implement `SessionData` for it, with its `KEY`"
)]
pub trait SessionData: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name under which sessions keep it.
    const KEY: Key<Self>;
}
