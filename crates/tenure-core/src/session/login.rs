use crate::{Epoch, Retention};

/// How somebody logs in; see [`Session::login_with`](crate::Session::login_with).
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "options do nothing by themselves"]
pub struct LoginOptions {
    pub(super) retention: Retention,
    pub(super) fence: Option<Epoch>,
}

impl LoginOptions {
    /// Those of [`login`](crate::Session::login).
    pub fn new() -> Self {
        Self::default()
    }

    /// The user has asked to be remembered, as with [`login_remembered`](crate::Session::login_remembered).
    pub const fn remembered(mut self) -> Self {
        self.retention = Retention::Remembered;
        self
    }

    /// Refuses the login if the user's logins were ended since: with
    /// [`LoginRefusal::Revoked`](crate::LoginRefusal::Revoked), when it is committed. Take it with
    /// [`fence`](crate::LoginIndex::fence) before the password is looked at.
    pub const fn fence(mut self, fence: Epoch) -> Self {
        self.fence = Some(fence);
        self
    }
}
