use std::ops::{Deref, DerefMut};

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenure_core::SessionData;

use crate::{SessionError, extract::handle};

/// One struct that the session keeps under one key.
///
/// `Stored<T>` starts with `T::default()` where nothing is stored yet; `Option<Stored<T>>` is `None`
/// then. Everything that it can do is at [`tenure_core::Stored`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tenure_axum::{Key, SessionData, SessionError, Stored};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Cart {
///     articles: Vec<u32>,
/// }
///
/// impl SessionData for Cart {
///     const KEY: Key<Self> = Key::new("cart");
/// }
///
/// async fn put_in(mut cart: Stored<Cart>) -> Result<String, SessionError> {
///     cart.update(|mut cart| {
///         cart.articles.push(7);
///         cart
///     })?;
///     Ok(format!("{} articles", cart.articles.len()))
/// }
/// # fn assert_handler<H: axum::handler::Handler<T, ()>, T>(_: H) {}
/// # assert_handler(put_in);
/// ```
#[derive(Clone, Debug)]
pub struct Stored<T>(tenure_core::Stored<T>);

impl<T: SessionData> Stored<T> {
    /// The value by itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T> Deref for Stored<T> {
    type Target = tenure_core::Stored<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for Stored<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<S: Sync, T: SessionData + Default> FromRequestParts<S> for Stored<T> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        let session = handle(parts)?.load().await?;
        Ok(Self(tenure_core::Stored::read_or_default(session)?))
    }
}

impl<S: Sync, T: SessionData> OptionalFromRequestParts<S> for Stored<T> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        let session = handle(parts)?.load().await?;
        Ok(tenure_core::Stored::read(session)?.map(Self))
    }
}
