use std::{
    fmt,
    iter::successors,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use super::Session;
use crate::{ClientInfo, Finish, SessionError, SessionManager, manager::Visit};

/// A request's session, not loaded yet.
///
/// This is what adapters put into the request's extensions. A request that never asks it for the
/// session costs no store call. Clones are the same session.
///
/// The handles stand for the request: when the last one is dropped and there was no response
/// ([`finish`](Self::finish)), the request is over. What it had changed is dropped, and its [`Session`] refuses
/// further changes; [`detach`](Session::detach) gives one that may outlive it.
pub struct SessionHandle {
    visit: Arc<Visit>,
    /// Whether another layer has opened it and will finish it.
    is_joined: bool,
    /// The handle of the layer further out.
    outer: Option<Arc<Self>>,
}

impl SessionManager {
    /// Takes a request in. `cookie_fields` are the values of its `Cookie` header fields.
    ///
    /// Nothing is verified or loaded before somebody asks for the session.
    pub fn open<F>(&self, cookie_fields: impl IntoIterator<Item = F>) -> SessionHandle
    where
        F: AsRef<[u8]>,
    {
        self.open_inside(None, cookie_fields)
    }

    /// Takes a request in that has passed a layer before: `outer` is the handle which that one has left.
    ///
    /// If a layer of this same manager is among those around, however far out, the handle is one for *its*
    /// session: what the request changes is committed once, by that layer, and [`finish`] of this handle has
    /// nothing to do. Two sessions of one manager in one request would be two versions of one cookie, and
    /// the later of two `Set-Cookie` fields would undo the other.
    ///
    /// [`finish`]: SessionHandle::finish
    pub fn open_inside<F>(
        &self,
        outer: Option<&SessionHandle>,
        cookie_fields: impl IntoIterator<Item = F>,
    ) -> SessionHandle
    where
        F: AsRef<[u8]>,
    {
        let mut around = successors(outer, |handle| handle.outer.as_deref());
        let joined = around.find(|handle| handle.is_open_for(self));
        let visit = match joined {
            Some(handle) => Arc::clone(&handle.visit),
            None => Arc::new(Visit::open(self.clone(), cookie_fields)),
        };
        SessionHandle::new(visit, joined.is_some(), outer.cloned().map(Arc::new))
    }
}

impl SessionHandle {
    fn new(visit: Arc<Visit>, is_joined: bool, outer: Option<Arc<Self>>) -> Self {
        visit.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            visit,
            is_joined,
            outer,
        }
    }

    /// The session, loaded at the first call of the request.
    ///
    /// A visitor without a session gets an empty one, which is stored as soon as something is
    /// written to it. One whose record cannot be read, since it is damaged or a later version of tenure wrote
    /// it, gets a session in which nobody is logged in and whose values are errors: it can be
    /// [destroyed](Session::destroy), and a [login](Session::login) begins another one.
    ///
    /// # Errors
    ///
    /// [`SessionError::Store`] if the store failed or did not answer in time; the same again for
    /// the rest of the request. A store that fails is never taken for an empty session.
    ///
    /// # Cancellation
    ///
    /// Nothing happens if the future is dropped; the next call begins anew.
    pub async fn load(&self) -> Result<Session, SessionError> {
        self.visit.load().await?;
        Ok(Session::new(Arc::clone(&self.visit)))
    }

    /// Says what is known of the browser: the `User-Agent` field, and an address that the application trusts. For
    /// adapters, before the request is handled. As much of it is kept with the session as the manager's
    /// [`client_info`](crate::SessionManagerBuilder::client_info) says, when it begins or its user logs in.
    pub fn note_client(&self, user_agent: Option<&[u8]>, address: Option<IpAddr>) {
        let client_info = self.visit.manager().client_info();
        if client_info != ClientInfo::Off {
            self.visit
                .note_client(client_info.keep(user_agent, address));
        }
    }

    /// Not for a request that comes again after its response, as it may in actix.
    fn is_open_for(&self, manager: &SessionManager) -> bool {
        self.visit.manager().is_same(manager) && self.visit.state.lock().is_open()
    }

    /// The name of the session cookie.
    #[must_use]
    pub fn cookie_name(&self) -> &str {
        self.visit.manager().cookie_name()
    }

    /// Whether nobody has asked for the session. The response then needs nothing from
    /// [`finish`](Self::finish).
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.visit.is_untouched()
    }

    /// Makes the request fail, whatever response is made of it: [`finish`](Self::finish) refuses all
    /// whose status does not drop the changes anyway (see [`Session`]), and drops them. The first
    /// error counts.
    ///
    /// For adapters to frameworks in which a handler can be run although an extractor has failed, as
    /// if there were no session.
    pub fn fail(&self, error: SessionError) {
        self.visit.fail(error);
    }

    /// What [`finish`](Self::finish) would say, if it has nothing to wait for: the request has changed
    /// nothing, and its lease is not due. Changes are refused afterwards all the same.
    ///
    /// For adapters, which can so do without a future for most requests. `None` means that
    /// [`finish`](Self::finish) must be called.
    #[must_use]
    pub fn finish_at_once(&self, status: u16) -> Option<Finish> {
        if self.is_joined {
            return Some(Finish::default());
        }
        self.visit.finish_at_once(status)
    }

    /// Commits what the request has changed, and says what its response needs. For adapters, when
    /// the response's head is about to leave, with its [`outcome_status`](crate::outcome_status).
    ///
    /// # Cancellation
    ///
    /// If the future is dropped, the changes are written entirely or not at all.
    pub async fn finish(&self, status: u16) -> Finish {
        if self.is_joined {
            return Finish::default();
        }
        self.visit.finish(status).await
    }
}

impl Clone for SessionHandle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.visit), self.is_joined, self.outer.clone())
    }
}

impl Drop for SessionHandle {
    /// Closures of updates can hold the session that they are kept in: only who drops them frees it.
    fn drop(&mut self) {
        if self.visit.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.visit.abandon();
        }
    }
}

impl fmt::Debug for SessionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionHandle")
            .field(&self.visit.state.lock().standing)
            .finish()
    }
}
