//! Requests without HTTP: straight into a session manager.

use tenure_core::{Finish, Session, SessionHandle, SessionManager};

/// A visitor who carries one cookie from request to request. Clones begin with the same cookie.
#[derive(Clone, Debug)]
pub struct Visitor {
    manager: SessionManager,
    cookie: Option<String>,
}

impl Visitor {
    /// Somebody who has never been here.
    #[must_use]
    pub const fn new(manager: SessionManager) -> Self {
        Self {
            manager,
            cookie: None,
        }
    }

    /// Somebody who has logged in, which must succeed.
    pub async fn logged_in(manager: &SessionManager, user: &str) -> Self {
        let mut visitor = Self::new(manager.clone());
        visitor
            .request(async |session| session.login(user).expect("a login"))
            .await;
        visitor
    }

    /// The same visitor at another node.
    #[must_use]
    pub fn at(&self, manager: &SessionManager) -> Self {
        Self {
            manager: manager.clone(),
            cookie: self.cookie.clone(),
        }
    }

    /// Begins a request.
    #[must_use]
    pub fn open(&self) -> SessionHandle {
        self.manager.open(self.fields())
    }

    /// Begins a request that has come through a layer before.
    #[must_use]
    pub fn open_inside(&self, outer: &SessionHandle) -> SessionHandle {
        self.manager.open_inside(Some(outer), self.fields())
    }

    fn fields(&self) -> impl Iterator<Item = String> {
        let name = self.manager.cookie_name();
        let cookie = self.cookie.iter();
        cookie.map(move |value| format!("{name}={value}"))
    }

    /// Begins a request and loads the session.
    pub async fn load(&self) -> (SessionHandle, Session) {
        let handle = self.open();
        let session = handle.load().await.expect("a session");
        (handle, session)
    }

    /// As whom a request finds the visitor logged in.
    pub async fn user(&self) -> Option<String> {
        let (_, session) = self.load().await;
        Some(session.principal()?.as_str().to_owned())
    }

    /// Ends a request that succeeded and keeps its cookie.
    pub async fn finish(&mut self, handle: &SessionHandle) -> Finish {
        self.finish_with(handle, 200).await
    }

    /// Ends a request with that status and keeps its cookie.
    pub async fn finish_with(&mut self, handle: &SessionHandle, status: u16) -> Finish {
        let finish = handle.finish(status).await;
        if let Some(text) = &finish.set_cookie {
            let (pair, attributes) = text.split_once(';').expect("attributes");
            let (_, value) = pair.split_once('=').expect("a value");
            self.cookie = (!attributes.contains("Max-Age=0")).then(|| value.to_owned());
        }
        finish
    }

    /// One whole request that must succeed.
    pub async fn request<T>(&mut self, handler: impl AsyncFnOnce(&Session) -> T) -> T {
        let (handle, session) = self.load().await;
        let result = handler(&session).await;
        let finish = self.finish(&handle).await;
        assert!(finish.refusal.is_none(), "{finish:?}");
        result
    }
}
