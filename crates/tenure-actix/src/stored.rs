use std::ops::{Deref, DerefMut};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use tenure_core::SessionData;

use crate::{
    Maybe, SessionError,
    extract::{Extraction, extract},
};

/// One struct that the session keeps under one key.
///
/// `Stored<T>` starts with `T::default()` where nothing is stored yet; [`Maybe<Stored<T>>`](Maybe) is
/// `None` then. Everything that it can do is at [`tenure_core::Stored`].
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use tenure_actix::{Key, SessionData, SessionError, Stored};
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
/// # let _ = actix_web::web::get().to(put_in);
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

impl<T: SessionData + Default> FromRequest for Stored<T> {
    type Error = SessionError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, |session| {
            tenure_core::Stored::read_or_default(session).map(Self)
        })
    }
}

impl<T: SessionData> FromRequest for Maybe<Stored<T>> {
    type Error = SessionError;
    type Future = Extraction<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        extract(request, |session| {
            let stored = tenure_core::Stored::read(session)?;
            Ok(Self(stored.map(Stored)))
        })
    }
}
