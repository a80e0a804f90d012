//! What applications ask the login index.

use std::{fmt, pin::pin, sync::Arc};

use futures_util::future::try_join_all;

use super::{Core, SessionManager, admission::Sight, events, persistently};
use crate::{
    AuditAction, Client, EndReason, Epoch, LoginCursor, LoginName, Operator, Principal, Record,
    Retention, Timestamp, UserCursor, UserPage, changes::SessionError,
};

/// Who is logged in where: lists a user's logins and ends them, whichever node they were made on.
///
/// From [`SessionManager::index`]. Users are named as they are at their
/// [login](crate::Session::login). Use a name that never changes, and is never given to somebody else: not an
/// e-mail address.
///
/// # Consistency
///
/// A login that was made before an ending is ended by it, also if it was under way: its browser gets no cookie then.
/// What holds the session in a near cache learns of it as of every deletion, at the latest within the cache's
/// [`max_staleness`]. A request that is being handled goes on, and its commit is refused.
///
/// [`max_staleness`]: https://docs.rs/tenure-near-cache
///
/// # Errors
///
/// [`SessionError::NoIndex`] if the manager was built without one, [`SessionError::Principal`] for a name that is
/// none, and [`SessionError::Store`], after which what was asked for may have been done in part: the same call again
/// completes it, and so does whoever looks at the user's logins next.
#[derive(Clone)]
pub struct LoginIndex {
    core: Arc<Core>,
    by: Option<Operator>,
}

/// What to do about a login when its user has as many as they may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there is no third way")]
pub enum OnLimit {
    /// End the login whose session would end first, which is the oldest one; those of users who asked to be remembered
    /// come last. It is ended before the new one is stored, since at no time may there be more than the limit: if
    /// that fails then, as with a conflict, the oldest has ended all the same.
    EndOldest,
    /// Refuse the new one with [`LoginRefusal::TooMany`](crate::LoginRefusal::TooMany). Nothing of its request is
    /// written. A login whose response is lost on its way keeps its place until its idle timeout: where users cannot log
    /// out elsewhere, prefer [`EndOldest`](Self::EndOldest).
    Refuse,
}

/// What ending a user's logins came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndedLogins {
    /// How many sessions were ended.
    pub count: usize,
    /// The state of the user's logins that has begun: a [fence](crate::LoginOptions::fence) for one that is to
    /// follow in the same request, as after a new password.
    pub fence: Epoch,
}

/// A session of a user who is logged in, for pages such as "my devices".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Who is logged in.
    pub user: Principal,
    /// Who really acts in their name, if somebody does.
    pub actor: Option<Principal>,
    /// Which login it is, to [end](LoginIndex::end) it by.
    pub login: LoginName,
    /// When the session came into being.
    pub created_at: Timestamp,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// When it was last known to be in use. A session that is only read may have been in use up to 15 minutes later.
    pub seen_at: Timestamp,
    /// When it ends if it is not used.
    pub idle_end: Timestamp,
    /// When it ends in any case.
    pub absolute_end: Timestamp,
    /// Whether the user asked to be remembered.
    pub is_remembered: bool,
    /// What was [kept](crate::SessionManagerBuilder::client_info) of the browser when the user logged in.
    pub client: Client,
}

/// A part of a user's logins, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserLogins {
    /// The sessions, up to 50.
    pub sessions: Vec<SessionInfo>,
    /// Where the rest begins; `None` if there is none.
    pub next: Option<LoginCursor>,
}

impl SessionManager {
    /// Who is logged in where. Its calls say [`SessionError::NoIndex`] if the manager has no
    /// [login index](crate::SessionManagerBuilder::login_index).
    #[must_use]
    pub fn index(&self) -> LoginIndex {
        LoginIndex {
            core: Arc::clone(&self.core),
            by: None,
        }
    }
}

impl LoginIndex {
    /// The same, for what an operator does to others. Without it, ending a user's logins is what the user does.
    ///
    /// With an [audit trail](crate::SessionManagerBuilder::audit) it says who did what and why, and an operator has to
    /// give a reason.
    #[must_use]
    pub fn by(self, operator: Operator) -> Self {
        Self {
            by: Some(operator),
            ..self
        }
    }

    /// The present state of a user's logins, to be taken *before* their password is looked at, and given to
    /// [`login_with`](crate::Session::login_with): if the user's logins are ended in between, as with a new password,
    /// the login is refused. Can be kept in a session for logins of several steps.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn fence(&self, user: impl AsRef<str>) -> Result<Epoch, SessionError> {
        let (index, user) = (self.core.index()?, Principal::new(user)?);
        let standing = async { Ok(persistently(|| index.store.standing(&user)).await?) };
        let standing = self.core.bounded_index("standing", pin!(standing)).await?;
        Ok(standing.epoch)
    }

    /// A user's logins, up to 50 at a time, each looked up in the store. Those whose sessions have ended are left out,
    /// and forgotten by the index.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn logins_of(
        &self,
        user: impl AsRef<str>,
        after: Option<LoginCursor>,
    ) -> Result<UserLogins, SessionError> {
        let (core, user) = (&self.core, Principal::new(user)?);
        let index = core.index()?;
        let listing = async {
            let page = persistently(|| index.store.logins(&user, after, LOGINS_PER_PAGE)).await?;
            core.finish_ending(&user, page.condemned, EndReason::Revoked)
                .await?;
            let next = page.logins.last().copied();
            let next = next.filter(|_| page.logins.len() == LOGINS_PER_PAGE);
            let looks = page.logins.into_iter().map(|listed| async move {
                Ok::<_, SessionError>((listed.login, core.look_at(listed.login).await?))
            });
            let (mut sessions, mut dead) = (Vec::new(), Vec::new());
            for (login, sight) in try_join_all(looks).await? {
                match sight {
                    Sight::Live(record) => sessions.extend(SessionInfo::of(&record)),
                    Sight::Unreadable => {}
                    Sight::Dead => dead.push(login),
                }
            }
            if !dead.is_empty() {
                index.store.settle(&user, dead).await?;
            }
            Ok(UserLogins { sessions, next })
        };
        core.bounded_index("logins", pin!(listing)).await
    }

    /// Ends one of a user's logins, and says whether it was one that was to be ended. That of somebody else never is,
    /// whatever name a form brings.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn end(&self, user: impl AsRef<str>, login: LoginName) -> Result<bool, SessionError> {
        let (core, user) = (&self.core, Principal::new(user)?);
        let index = core.index()?;
        let reason = match self.by {
            None => EndReason::EndedByUser,
            Some(_) => EndReason::EndedByOperator,
        };
        let ending = async {
            let is_theirs = persistently(|| index.store.condemn(&user, login)).await?;
            if !is_theirs {
                return Ok(false);
            }
            Ok(core.finish_ending(&user, vec![login], reason).await? > 0)
        };
        let work = async { core.bounded_index("condemn", pin!(ending)).await };
        let (action, by) = (AuditAction::End, self.by.as_ref());
        core.audited(action, Some(&user), by, work, |is_ended| {
            u64::from(*is_ended)
        })
        .await
    }

    /// Logs a user out everywhere.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn end_all(&self, user: impl AsRef<str>) -> Result<EndedLogins, SessionError> {
        let action = AuditAction::EndAll;
        self.end_logins(user, action, EndReason::AllEnded).await
    }

    /// Logs a user out everywhere, and refuses logins from now on, those under way included, until
    /// [`unblock`](Self::unblock). For accounts that are disabled or deleted; the application's own check
    /// goes with it, since whoever may log in is its to know.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn block(&self, user: impl AsRef<str>) -> Result<EndedLogins, SessionError> {
        let action = AuditAction::Block;
        self.end_logins(user, action, EndReason::Blocked).await
    }

    /// Lets a user log in again. Nothing if they may.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn unblock(&self, user: impl AsRef<str>) -> Result<(), SessionError> {
        let (index, user) = (self.core.index()?, Principal::new(user)?);
        let unblocking = async {
            let standing = persistently(|| index.store.standing(&user)).await?;
            if let Some(blocked_in) = standing.blocked_in {
                persistently(|| index.store.unblock(&user, blocked_in)).await?;
            }
            Ok(())
        };
        let work = async { self.core.bounded_index("unblock", pin!(unblocking)).await };
        let (action, by) = (AuditAction::Unblock, self.by.as_ref());
        self.core
            .audited(action, Some(&user), by, work, |()| 0)
            .await
    }

    /// Ends all sessions there are, those included in which nobody is logged in: as if the cookies' keys had
    /// been replaced, but without a new configuration. Every node knows of it within 2 seconds; sessions that
    /// begin on it until then have ended, too. What is stored of them is left to its lease.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn end_everyone(&self) -> Result<(), SessionError> {
        self.core.index()?;
        let work = async {
            self.core.raise_gate().await?;
            events::everyone_ended(&self.core);
            Ok(())
        };
        let (action, by) = (AuditAction::EndEveryone, self.by.as_ref());
        self.core.audited(action, None, by, work, |()| 0).await
    }

    /// Some of the users who are, or were lately, logged in. For jobs, since a store may have to look at all that it
    /// holds, page by page: who comes or goes meanwhile may be left out, and one may come twice.
    ///
    /// # Errors
    ///
    /// See [`LoginIndex`].
    pub async fn users(&self, after: Option<UserCursor>) -> Result<UserPage, SessionError> {
        let index = self.core.index()?;
        let listing = async { Ok(persistently(|| index.store.users(after.clone())).await?) };
        self.core.bounded_index("users", pin!(listing)).await
    }

    async fn end_logins(
        &self,
        user: impl AsRef<str>,
        action: AuditAction,
        reason: EndReason,
    ) -> Result<EndedLogins, SessionError> {
        let user = Principal::new(user)?;
        self.core.index()?;
        let blocks = action == AuditAction::Block;
        let work = async {
            let ended = self.core.end_logins(&user, None, blocks, reason).await?;
            let (count, fence) = ended;
            Ok(EndedLogins { count, fence })
        };
        let by = self.by.as_ref();
        self.core
            .audited(action, Some(&user), by, work, |ended| ended.count as u64)
            .await
    }
}

impl SessionInfo {
    fn of(record: &Record) -> Option<Self> {
        Some(Self {
            user: record.principal()?.clone(),
            actor: record.actor().map(|actor| actor.user),
            login: LoginName::of(record)?,
            created_at: record.created_at(),
            authenticated_at: record.login().at,
            seen_at: record.seen_at(),
            idle_end: record.lease_end(),
            absolute_end: record.absolute_end(),
            is_remembered: record.retention() == Retention::Remembered,
            client: record.client(),
        })
    }
}

impl fmt::Debug for LoginIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginIndex")
            .field("index", &self.core.index)
            .finish_non_exhaustive()
    }
}

/// Each is looked up in the store.
const LOGINS_PER_PAGE: usize = 50;
