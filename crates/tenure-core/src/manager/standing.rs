//! How a request stands to a stored session.

use super::combine::Terms;
use crate::{
    Record, SecretHash, SessionId, SessionSecret, Timestamp, Whose, changes::SessionError,
};

/// How the request stands to a stored session.
#[derive(Debug, Default)]
pub(crate) enum Standing {
    /// There is none: no cookie, or one that is worth nothing.
    #[default]
    Stranger,
    /// The cookie is genuine, but its session is not there.
    Lost,
    /// The cookie's secret has been replaced. Within the grace, the cookie that replaces it is probably on its
    /// way to the browser; whether it was over counts at the time at which the request found out.
    Superseded {
        may_begin: bool,
        /// The login that the request held until then. A rotation does not save it from a logout.
        held: Option<(SessionId, Whose)>,
    },
    /// The cookie is genuine, but what is stored of its session cannot be read: it is damaged, or a later
    /// version of tenure has written it. It can be ended, and a login begins another one.
    Unreadable {
        id: SessionId,
        secret: SecretHash,
        error: SessionError,
    },
    /// The cookie opened this session.
    Holder(Holding),
    /// The session ended while this request was under way, by another one.
    Ended,
    /// This request destroyed the session.
    Destroyed,
}

#[derive(Debug)]
pub(crate) struct Holding {
    /// The stored record.
    pub(crate) record: Record,
    pub(super) secret: SessionSecret,
    /// Whether the browser's cookie says all that: this version, under the signing key.
    pub(super) is_told: bool,
    /// Whether this request made the version, so that its response brings the cookie.
    pub(super) is_cookie_due: bool,
}

impl Standing {
    pub(super) fn holder(record: Record, secret: SessionSecret, is_told: bool) -> Self {
        Self::Holder(Holding {
            record,
            secret,
            is_told,
            is_cookie_due: false,
        })
    }
}

impl Standing {
    /// How a request stands that finds the secret replaced which it has held.
    pub(super) fn superseded(&self) -> Self {
        let held = match self {
            Self::Holder(holding) => {
                let record = &holding.record;
                Some((record.id(), Whose::Login(record.login().stamp)))
            }
            Self::Superseded { held, .. } => *held,
            _ => None,
        };
        Self::Superseded {
            may_begin: false,
            held,
        }
    }
}

impl Terms {
    pub(super) fn superseded_by(&self, record: &Record, now: Timestamp) -> Standing {
        Standing::Superseded {
            may_begin: now >= record.rotated_at().after(self.rotation_grace),
            held: None,
        }
    }
}
