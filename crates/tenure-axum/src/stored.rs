use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use tenure_core::SessionData;

use crate::{SessionError, extract::handle};

/// One struct that the session keeps under one key.
///
/// `Stored<T>` starts with `T::default()` where nothing is stored yet; `Option<Stored<T>>` is `None`
/// then.
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
pub struct Stored<T> {
    session: tenure_core::Session,
    value: T,
}

impl<T: SessionData + Default> Stored<T> {
    /// Computes the value from the one before; see [`tenure_core::Session::update`] for when the closure
    /// runs again.
    ///
    /// # Errors
    ///
    /// As [`tenure_core::Session::update`].
    pub fn update(
        &mut self,
        compute: impl Fn(T) -> T + Send + Sync + 'static,
    ) -> Result<(), SessionError> {
        let compute = move |old: Option<T>| compute(old.unwrap_or_default());
        self.value = self.session.update(T::KEY, compute)?;
        Ok(())
    }
}

impl<T: SessionData> Stored<T> {
    /// Replaces the value that was read, which must not have been changed by another request in
    /// between; see [`tenure_core::Session::insert`].
    ///
    /// # Errors
    ///
    /// As [`tenure_core::Session::insert`].
    pub fn replace(&mut self, value: T) -> Result<(), SessionError> {
        self.session.insert(T::KEY, value)?;
        if let Some(stored) = self.session.get(T::KEY)? {
            self.value = stored;
        }
        Ok(())
    }

    /// The value by itself.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<S: Sync, T: SessionData + Default> FromRequestParts<S> for Stored<T> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        let session = handle(parts)?.load().await?;
        let value = session.get(T::KEY)?.unwrap_or_default();
        Ok(Self { session, value })
    }
}

impl<S: Sync, T: SessionData> OptionalFromRequestParts<S> for Stored<T> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        let session = handle(parts)?.load().await?;
        let value = session.get(T::KEY)?;
        Ok(value.map(|value| Self { session, value }))
    }
}
