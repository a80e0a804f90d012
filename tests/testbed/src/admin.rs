//! What the routes for operators do, the same on every adapter: without a session of their own.

use tenure_core::{SessionError, SessionManager};

use crate::action::Reply;

/// What a route does with the logins of others.
#[derive(Clone, Debug)]
pub(crate) enum Admin {
    EndAll { user: String },
    Block { user: String },
    Unblock { user: String },
    EndEveryone,
}

impl Admin {
    /// The action of a path, for adapters without a router. `None` if there is no such route.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/').map(str::to_owned);
        let name = segments.next()?;
        let mut user = || segments.next().filter(|segment| !segment.is_empty());
        let action = match &*name {
            "end-all" => Self::EndAll { user: user()? },
            "block" => Self::Block { user: user()? },
            "unblock" => Self::Unblock { user: user()? },
            "end-everyone" => Self::EndEveryone,
            _ => return None,
        };
        segments.next().is_none().then_some(action)
    }

    pub(crate) async fn perform(self, sessions: &SessionManager) -> Result<Reply, SessionError> {
        let index = sessions.index();
        let body = match self {
            Self::EndAll { user } => index.end_all(user).await?.count.to_string(),
            Self::Block { user } => index.block(user).await?.count.to_string(),
            Self::Unblock { user } => {
                index.unblock(user).await?;
                "unblocked".to_owned()
            }
            Self::EndEveryone => {
                index.end_everyone().await?;
                "ended".to_owned()
            }
        };
        Ok(Reply::text(body))
    }
}
