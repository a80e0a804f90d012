use std::ops::Deref;

use super::{Session, SessionData};
use crate::SessionError;

/// One struct that a session keeps under one key: what the adapters' typed extractors are made of.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    session: Session,
    value: T,
}

impl<T: SessionData> Stored<T> {
    /// Reads the value; `None` where nothing is stored yet.
    ///
    /// # Errors
    ///
    /// [`SessionError::Decode`] if something else is stored under the key.
    pub fn read(session: Session) -> Result<Option<Self>, SessionError> {
        let value = session.get(T::KEY)?;
        Ok(value.map(|value| Self { session, value }))
    }

    /// Replaces the value that was read, which must not have been changed by another request in
    /// between; see [`Session::insert`].
    ///
    /// # Errors
    ///
    /// As [`Session::insert`].
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

impl<T: SessionData + Default> Stored<T> {
    /// Reads the value, `T::default()` where nothing is stored yet.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_or_default(session: Session) -> Result<Self, SessionError> {
        let value = session.get(T::KEY)?.unwrap_or_default();
        Ok(Self { session, value })
    }

    /// Computes the value from the one before; see [`Session::update`] for when the closure runs
    /// again.
    ///
    /// # Errors
    ///
    /// As [`Session::update`].
    pub fn update(
        &mut self,
        compute: impl Fn(T) -> T + Send + Sync + 'static,
    ) -> Result<(), SessionError> {
        let compute = move |old: Option<T>| compute(old.unwrap_or_default());
        self.value = self.session.update(T::KEY, compute)?;
        Ok(())
    }
}

impl<T> Deref for Stored<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
