//! What handlers work with.

mod data;
mod handle;
mod login;
mod stored;

use std::{fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

pub use self::{data::SessionData, handle::SessionHandle, login::LoginOptions, stored::Stored};
use crate::{
    AnyKey, SessionError, SessionId, SessionKey, Version,
    changes::{Update, decode, decode_optional, encode},
    manager::Visit,
    model::Name,
};

/// A visitor's session, loaded.
///
/// Reading and changing it is synchronous and touches only this request's copy. The changes are
/// committed together when the response's head is about to leave, or earlier with
/// [`commit`](Self::commit); until then other requests see nothing of them. Nothing is stored and no
/// cookie is set for a visitor until something is written. Clones are the same session.
///
/// # Consistency
///
/// Requests that change one session at the same time do not overwrite each other:
///
/// - changes of different keys all survive;
/// - an [`update`](Self::update) is replayed on the newest value, so no increment is lost;
/// - a value that was read and then replaced is a *true conflict* if another request has replaced it
///   in between: the later one is answered with 409 and nothing of it is written, unless the manager
///   has a [merge or another policy](crate::SessionManagerBuilder::on_conflict);
/// - a value put in place without having been read replaces what is there;
/// - a session that was destroyed stays destroyed: who comes too late gets 409.
///
/// If the response's status is 500 or above, or 408 (the server has dropped the handler for taking too
/// long), the changes are dropped, as a database would roll back a failed transaction. Only
/// [`destroy`](Self::destroy) is carried out all the same.
#[derive(Clone)]
pub struct Session {
    visit: Arc<Visit>,
}

impl Session {
    pub(crate) const fn new(visit: Arc<Visit>) -> Self {
        Self { visit }
    }

    /// The value of that name, if there is one.
    ///
    /// # Errors
    ///
    /// [`SessionError::Decode`] if it is of another type; [`SessionError::Key`]; [`SessionError::Store`] if the
    /// session's record is damaged or was written by a later version of tenure.
    pub fn get<T: DeserializeOwned>(
        &self,
        key: impl SessionKey<T>,
    ) -> Result<Option<T>, SessionError> {
        let name = key.into_name()?;
        let value = self.visit.state.lock().readable()?.read(&name);
        decode_optional(&name, value.as_deref())
    }

    /// Whether there is a value of that name, of whatever type.
    ///
    /// # Errors
    ///
    /// [`SessionError::Key`], and [`SessionError::Store`] as for [`get`](Self::get).
    pub fn contains(&self, key: impl AnyKey) -> Result<bool, SessionError> {
        let name = key.into_name()?;
        Ok(self.visit.state.lock().readable()?.read(&name).is_some())
    }

    /// The names of all values, in ascending order; those of a namespace as
    /// `namespace`, a unit separator (U+001F), `name`.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.visit.state.lock().draft.names()
    }

    /// Puts a value in place.
    ///
    /// If this request has read the value before, it must not have been changed by another one in
    /// between; if it has not, the last commit wins. For a value that depends on the one before,
    /// [`update`](Self::update) loses nothing and never conflicts. A value that is put where this request has read
    /// an equal one is not committed, unless a cache or a replica may have answered the read.
    ///
    /// # Errors
    ///
    /// [`SessionError::Encode`], [`SessionError::Key`], [`SessionError::TooLarge`],
    /// [`SessionError::Destroyed`] and [`SessionError::Sealed`]. Nothing was changed then.
    pub fn insert<T: Serialize>(
        &self,
        key: impl SessionKey<T>,
        value: T,
    ) -> Result<(), SessionError> {
        let name = key.into_name()?;
        let value = encode(&name, &value)?;
        self.visit.manager().check_value(value.len())?;
        self.visit.state.lock().changeable()?.put(name, Some(value));
        Ok(())
    }

    /// Computes a value from the one before, and returns it.
    ///
    /// The closure may run several times: here on the value that this request sees, and again on a
    /// newer one if another request was faster. It should have no effects of its own and must return
    /// the same for the same value. What is returned here is therefore a preview; the committed
    /// value is what [`get`](Self::get) returns after [`commit`](Self::commit).
    ///
    /// The closure may read this session, whenever it runs; it must not change it. One that holds a session is
    /// kept until its changes are committed or dropped, at the latest with the request; in a session that was
    /// [detached](Self::detach) and is never committed, it is kept for good.
    ///
    /// # Errors
    ///
    /// As [`insert`](Self::insert), [`SessionError::Decode`], and [`SessionError::UpdateRecursed`] for a closure that
    /// changes its own value.
    pub fn update<T, F>(&self, key: impl SessionKey<T>, compute: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let name = key.into_name()?;
        let apply: Arc<Update> = {
            let name = name.clone();
            Arc::new(move |old| encode(&name, &compute(decode_optional(&name, old)?)))
        };
        for _ in 0..MOST_TRIES {
            let old = {
                let mut state = self.visit.state.lock();
                state.changeable()?.read(&name)
            };
            // The closure is the application's: it may use this session, so no lock is held.
            let new = apply(old.as_deref())?;
            self.visit.manager().check_value(new.len())?;
            let value = decode(&name, &new)?;
            if self
                .visit
                .state
                .lock()
                .changeable()?
                .update(&name, &apply, old.as_ref(), new)
            {
                return Ok(value);
            }
        }
        Err(SessionError::UpdateRecursed {
            key: name.as_str().to_owned(),
        })
    }

    /// Removes a value without looking at it.
    ///
    /// # Errors
    ///
    /// [`SessionError::Key`], [`SessionError::Destroyed`] and [`SessionError::Sealed`].
    pub fn remove(&self, key: impl AnyKey) -> Result<(), SessionError> {
        let name = key.into_name()?;
        self.visit.state.lock().changeable()?.put(name, None);
        Ok(())
    }

    /// Removes a value and returns it.
    ///
    /// Of two requests that take the same value at the same time, one is answered with 409: a token
    /// for one use is used once.
    ///
    /// # Errors
    ///
    /// As [`remove`](Self::remove), and [`SessionError::Decode`], with the value left in place.
    pub fn take<T: DeserializeOwned>(
        &self,
        key: impl SessionKey<T>,
    ) -> Result<Option<T>, SessionError> {
        let name: Name = key.into_name()?;
        for _ in 0..MOST_TRIES {
            let Some(taken) = self.visit.state.lock().changeable()?.read(&name) else {
                return Ok(None);
            };
            // How a value is decoded is the application's: it may use this session, so no lock is held.
            let value = decode(&name, &taken)?;
            let mut state = self.visit.state.lock();
            let draft = state.changeable()?;
            if draft.peek(&name).as_ref() == Some(&taken) {
                draft.put(name, None);
                return Ok(Some(value));
            }
        }
        Err(SessionError::UpdateRecursed {
            key: name.as_str().to_owned(),
        })
    }

    /// Removes all values. Who is logged in stays so; see [`destroy`](Self::destroy) for a logout.
    ///
    /// # Errors
    ///
    /// [`SessionError::Destroyed`] and [`SessionError::Sealed`].
    pub fn clear(&self) -> Result<(), SessionError> {
        self.visit.state.lock().changeable()?.clear();
        Ok(())
    }

    /// Replaces the session's secret. To be called with every change of privileges that is not a
    /// [`login`](Self::login).
    ///
    /// # Errors
    ///
    /// [`SessionError::Destroyed`] and [`SessionError::Sealed`].
    pub fn rotate(&self) -> Result<(), SessionError> {
        self.visit.state.lock().rotatable()?.rotate();
        Ok(())
    }

    /// Ends the session: a logout. Its record is deleted and its cookie removed, also if the
    /// handler fails afterwards.
    ///
    /// What ends is the login that this request has seen: if somebody has logged in since, the answer is 409 and
    /// their session lives on. Another replacement of the secret saves nothing.
    ///
    /// The response leaves only after the store has confirmed the deletion; if it cannot, the
    /// answer is 503 and the session lives on. A panic that nobody has caught further in takes the request
    /// with it, logout and all, unless [`commit`](Self::commit) has carried it out before.
    ///
    /// # Errors
    ///
    /// [`SessionError::Sealed`]. Nothing if this request has destroyed the session before.
    pub fn destroy(&self) -> Result<(), SessionError> {
        // Outside of the lock: what else was changed is the application's in part.
        let dropped = self.visit.state.lock().destroy()?;
        drop(dropped);
        Ok(())
    }

    /// Ends the session as [`destroy`](Self::destroy) does, and begins another one in its place, without values
    /// and with nobody logged in: for a message that the next page shows ("you are logged out"), or for a login that
    /// is to keep nothing of what was before it.
    ///
    /// What is changed from here on belongs to the new session, which is stored if there is anything to store.
    /// Otherwise the cookie is removed.
    ///
    /// # Errors
    ///
    /// [`SessionError::Sealed`].
    pub fn regenerate(&self) -> Result<(), SessionError> {
        // Outside of the lock: what else was changed is the application's in part.
        let dropped = self.visit.state.lock().regenerate()?;
        drop(dropped);
        Ok(())
    }

    /// The session's id; `None` as long as nothing is stored for this visitor.
    #[must_use]
    pub fn id(&self) -> Option<SessionId> {
        Some(self.visit.state.lock().shown()?.id())
    }

    /// The version that this request sees below its own changes; `None` as long as nothing is
    /// stored for this visitor.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        Some(self.visit.state.lock().shown()?.version())
    }

    /// Commits the changes so far, to know inside the handler what became of them.
    ///
    /// Afterwards the session shows the committed values, right after this request's own changes.
    ///
    /// # Errors
    ///
    /// Any [`SessionError`]. The changes are dropped then; unless the error is a store's with an
    /// [unknown outcome](crate::StoreError::outcome_unknown), nothing was written.
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the changes are written entirely or not at all.
    pub async fn commit(&self) -> Result<(), SessionError> {
        self.visit.commit_now().await
    }

    /// The same session, for work that goes on when the response's head has left: a WebSocket, a
    /// stream, a task. `None` for visitors for whom nothing is stored.
    ///
    /// It shows what this one shows without uncommitted changes. What is changed in it needs a
    /// [`commit`](Self::commit) of its own, each time; what was never committed is lost when it is
    /// dropped, and reported by an event. No cookie can follow the response, so [`login`](Self::login)
    /// and [`rotate`](Self::rotate) are refused, and if a request does either, what is detached ends
    /// with the secret that it knew.
    ///
    /// ```
    /// # use tenure_core::{Session, SessionError};
    /// async fn behind_the_response(session: Session) -> Result<(), SessionError> {
    ///     let Some(session) = session.detach() else { return Ok(()) };
    ///     session.update("messages", |n: Option<u32>| n.unwrap_or(0) + 1)?;
    ///     session.commit().await
    /// }
    /// ```
    #[must_use]
    pub fn detach(&self) -> Option<Self> {
        Some(Self::new(Arc::new(self.visit.detached()?)))
    }

    /// Reads the session anew from the primary store, past any cache, and puts the changes so far on
    /// top.
    ///
    /// # Consistency
    ///
    /// A linearizable read: what was committed anywhere before this call is seen.
    ///
    /// # Errors
    ///
    /// [`SessionError::Gone`] if the session has ended, [`SessionError::Superseded`] if its secret was
    /// replaced, [`SessionError::Store`].
    pub async fn refresh(&self) -> Result<(), SessionError> {
        self.visit.refresh().await
    }
}

/// How often an update is computed anew because its value was changed meanwhile. Another task of the same
/// request does that once or twice; a closure that does it itself, for ever.
const MOST_TRIES: u32 = 64;

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session")
            .field(&self.visit.state.lock().standing)
            .finish()
    }
}
