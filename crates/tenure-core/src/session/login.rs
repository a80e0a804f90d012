//! Who is logged in: what handlers see of it and do about it.

use super::Session;
use crate::{
    Actor, Client, Epoch, Operator, Principal, Record, Retention, SessionError, changes::NewLogin,
};

impl Session {
    /// Who is logged in, if anyone.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        let state = self.visit.state.lock();
        let logging_in = state.logging_in().map(|login| &login.principal);
        if state.is_logging_out() {
            return None;
        }
        logging_in.or_else(|| state.shown()?.principal()).cloned()
    }

    /// Logs somebody in with other options; see [`LoginOptions`].
    ///
    /// ```
    /// # use tenure_core::{LoginOptions, Session, SessionError, SessionManager};
    /// # async fn is_right(user: &str, password: &str) -> bool { true }
    /// async fn log_in(
    ///     sessions: SessionManager,
    ///     session: Session,
    ///     user: &str,
    ///     password: &str,
    /// ) -> Result<bool, SessionError> {
    ///     let fence = sessions.index().fence(user).await?;
    ///     if !is_right(user, password).await {
    ///         return Ok(false);
    ///     }
    ///     // Refused if the password was changed, and all logins ended, since the first line.
    ///     session.login_with(user, LoginOptions::new().fence(fence))?;
    ///     Ok(true)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login).
    pub fn login_with(
        &self,
        principal: impl AsRef<str>,
        options: LoginOptions,
    ) -> Result<(), SessionError> {
        let login = NewLogin {
            retention: options.retention,
            fence: options.fence,
            ..self.new_login(Principal::new(principal)?, false)?
        };
        self.visit.state.lock().bindable()?.log_in(login);
        Ok(())
    }

    /// Logs somebody in: binds the session to them, replaces its secret, and starts both of its
    /// clocks again.
    ///
    /// The values stay, so that a visitor's basket survives the login. Call [`clear`](Self::clear)
    /// first if somebody else may have been logged in before.
    ///
    /// # Security
    ///
    /// The new secret makes every cookie from before worthless, so that nobody who planted or saw
    /// one is logged in along with the user (session fixation, OWASP WSTG-SESS-03).
    ///
    /// # Errors
    ///
    /// [`SessionError::Principal`] for a name that is empty or longer than 255 bytes, which is
    /// answered with 500: check raw input with [`Principal::new`] first.
    /// [`SessionError::Destroyed`] and [`SessionError::Sealed`].
    pub fn login(&self, principal: impl AsRef<str>) -> Result<(), SessionError> {
        self.login_with(principal, LoginOptions::new())
    }

    /// Logs somebody in who asked to be remembered: as [`login`](Self::login), but the session has the
    /// manager's [remembered lifetimes](crate::SessionManagerBuilder::remembered_lifetimes), and its
    /// cookie outlives the browser's closing. Logging in again without it takes that back.
    ///
    /// # Security
    ///
    /// Whoever finds the device finds its user logged in. Before anything sensitive, ask those who
    /// [are remembered](Self::is_remembered) for their password once more.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login).
    pub fn login_remembered(&self, principal: impl AsRef<str>) -> Result<(), SessionError> {
        self.login_with(principal, LoginOptions::new().remembered())
    }

    fn new_login(&self, principal: Principal, is_acting: bool) -> Result<NewLogin, SessionError> {
        let stamp = self.visit.manager().draw_stamp(is_acting)?;
        Ok(NewLogin {
            client: self.visit.client(),
            ..NewLogin::new(principal, stamp)
        })
    }

    /// Logs an operator in as somebody else, to see what they see: as [`login`](Self::login) of `user`, and the session
    /// says who really [acts](Self::actor). It lasts for an hour at most, however long others last.
    ///
    /// It is in both logins' lists: it ends when the logins of either of them are ended, nobody who is blocked can
    /// do it, and no [limit](crate::SessionManagerBuilder::max_sessions) of the user counts it.
    /// [`stop_acting`](Self::stop_acting) brings the operator back.
    ///
    /// # Security
    ///
    /// Whether the operator may do so is the application's to check; what is done in the user's name is its to
    /// record, with the [actor](Self::actor). With an [audit trail](crate::SessionManagerBuilder::audit) the login
    /// itself is recorded, with the operator's reason.
    ///
    /// # Errors
    ///
    /// As [`login`](Self::login).
    pub fn login_as(&self, user: impl AsRef<str>, operator: Operator) -> Result<(), SessionError> {
        let (user, actor) = (Principal::new(user)?, Principal::new(&operator.name)?);
        // Nobody gets around the limit by acting in their own name.
        let is_acting = user != actor;
        let epoch = Epoch::default();
        let login = NewLogin {
            actor: is_acting.then_some(Actor { user: actor, epoch }),
            operator: is_acting.then_some(operator),
            ..self.new_login(user, is_acting)?
        };
        self.visit.state.lock().bindable()?.log_in(login);
        Ok(())
    }

    /// Ends what [`login_as`](Self::login_as) began: the operator is logged in as themselves again, without having
    /// to say who they are. The session ends when it would have ended. What it holds stays; call
    /// [`clear`](Self::clear) besides if that is the user's.
    ///
    /// # Errors
    ///
    /// [`SessionError::NobodyLoggedIn`] if nobody acts in another one's name; when it is committed,
    /// [`SessionError::LoginRefused`], as for any login of the operator's. [`destroy`](Self::destroy) ends the session in any
    /// case. [`SessionError::Destroyed`] and [`SessionError::Sealed`].
    pub fn stop_acting(&self) -> Result<(), SessionError> {
        self.visit.stop_acting()
    }

    /// Who really acts in the name of the [principal](Self::principal), if somebody does; see
    /// [`login_as`](Self::login_as).
    #[must_use]
    pub fn actor(&self) -> Option<Principal> {
        let state = self.visit.state.lock();
        if let Some(login) = state.logging_in() {
            return login.actor.as_ref().map(|actor| actor.user.clone());
        }
        if state.is_logging_out() {
            return None;
        }
        Some(state.shown()?.actor()?.user)
    }

    /// Whether the user has asked to be remembered; see [`login_remembered`](Self::login_remembered).
    #[must_use]
    pub fn is_remembered(&self) -> bool {
        let state = self.visit.state.lock();
        if state.is_logging_out() {
            return false;
        }
        let logging_in = state.logging_in().map(|login| login.retention);
        let retention = logging_in.or_else(|| Some(state.shown()?.retention()));
        retention == Some(Retention::Remembered)
    }

    /// Logs out whoever is logged in, and keeps the session with its values, under a new secret: a logout that leaves
    /// the basket. Its lifetimes begin again, as those of a session in which nobody is logged in.
    ///
    /// # Security
    ///
    /// What the session holds of the user is shown to whoever uses the browser next. [`destroy`](Self::destroy)
    /// is the logout that leaves nothing.
    ///
    /// # Errors
    ///
    /// As [`rotate`](Self::rotate).
    pub fn logout_keeping_values(&self) -> Result<(), SessionError> {
        self.visit.state.lock().rotatable()?.log_out();
        Ok(())
    }

    /// Ends all other logins of the user who is logged in, and returns how many sessions that were: after a new
    /// password, or from a page "my devices". Commits the changes so far. Ask for the password once more before it
    /// (OWASP ASVS 7.5.2).
    ///
    /// This session gets a new secret with the response, whose cookie no other login knows. Logins that are under way
    /// are refused.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit); [`SessionError::NoIndex`]; [`SessionError::NobodyLoggedIn`];
    /// [`SessionError::LoginRefused`] if this login was ended meanwhile by the same means. The others may have
    /// been ended all the same.
    pub async fn end_others(&self) -> Result<usize, SessionError> {
        self.visit.end_others().await
    }

    /// What was [kept](crate::SessionManagerBuilder::client_info) of the browser when the session began, or its user
    /// logged in; nothing as long as nothing is stored for this visitor.
    #[must_use]
    pub fn client_at_login(&self) -> Client {
        let state = self.visit.state.lock();
        state.shown().map(Record::client).unwrap_or_default()
    }
}

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
