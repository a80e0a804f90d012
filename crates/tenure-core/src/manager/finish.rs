//! The end of a request's way: what its response needs.

use std::fmt;

use super::{Visit, core::Look, events, standing::Standing, state::State};
use crate::{Record, SessionSecret, changes::SessionError};

/// What a response needs besides what the application put into it.
#[derive(Clone, Default)]
#[non_exhaustive]
#[must_use = "the response must carry the cookie, and a refusal must replace it"]
pub struct Finish {
    /// Why the application's response must not be sent: its changes were not written.
    pub refusal: Option<SessionError>,
    /// The text of the one `Set-Cookie` field to add.
    pub set_cookie: Option<String>,
    /// Whether the response depends on the session, so that no shared cache may keep it; see
    /// [`private_cache_control`](crate::private_cache_control).
    pub is_personal: bool,
}

/// What is to be done about the browser's cookie.
enum CookieDue {
    Nothing,
    Field(String),
    /// Asking the store, for the cookie of this record.
    Look(Look, Record, SessionSecret),
}

impl Visit {
    /// What [`finish`](Self::finish) says, if there is nothing to write or to ask for it.
    pub(crate) fn finish_at_once(&self, status: u16) -> Option<Finish> {
        if self.failure.get().is_none() && self.state.lock().seal_untouched() {
            return Some(Finish::default());
        }
        // Without the turn, changes are on their way.
        let _turn = self.turn.try_lock().ok()?;
        let is_failure = is_failure(status);
        let (has_changes, rolled_back) = self.state.lock().seal(is_failure);
        drop(rolled_back);
        if has_changes || self.failure.get().is_some() {
            return None;
        }
        let set_cookie = match self.cookie_due(!is_failure) {
            CookieDue::Nothing => None,
            CookieDue::Field(field) => Some(field),
            CookieDue::Look(..) => return None,
        };
        Some(Finish {
            refusal: None,
            set_cookie,
            is_personal: true,
        })
    }

    /// Commits, and says what the response needs. Changes are refused from here on.
    pub(crate) async fn finish(&self, status: u16) -> Finish {
        if self.failure.get().is_none() && self.state.lock().seal_untouched() {
            return Finish::default();
        }
        let is_failure = is_failure(status);
        let hidden = self.failure.get().filter(|_| !is_failure);
        let is_failure = is_failure || hidden.is_some();
        let (_, rolled_back) = self.state.lock().seal(is_failure);
        drop(rolled_back);
        let refusal = self.commit().await.err().or_else(|| hidden.cloned());
        if let Some(error) = refusal.as_ref().filter(|error| error.status() == 500) {
            events::report_misuse(error);
        }
        let may_look = refusal.is_none() && !is_failure;
        let set_cookie = match self.cookie_due(may_look) {
            CookieDue::Nothing => None,
            CookieDue::Field(field) => Some(field),
            CookieDue::Look(look, record, secret) => {
                let core = self.core();
                let record = core.look_again(look, record).await;
                record.map(|record| core.set_cookie(&record, &secret))
            }
        };
        Finish {
            refusal,
            set_cookie,
            is_personal: true,
        }
    }

    /// Only a response that succeeded may look at the store again for its cookie.
    fn cookie_due(&self, may_look: bool) -> CookieDue {
        let core = self.core();
        match &*self.state.lock() {
            state if state.is_removal_due() => CookieDue::Field(core.cookie.remove()),
            State {
                standing: Standing::Holder(holding),
                ..
            } => {
                let (record, secret) = (&holding.record, &holding.secret);
                if holding.is_cookie_due {
                    return CookieDue::Field(core.set_cookie(record, secret));
                }
                let look = core.look_due(record, holding.is_told);
                look.filter(|_| may_look)
                    .map_or(CookieDue::Nothing, |look| {
                        CookieDue::Look(look, record.clone(), secret.clone())
                    })
            }
            State { .. } => CookieDue::Nothing,
        }
    }
}

/// The status that tells how a request went, to be given to [`finish`](crate::SessionHandle::finish).
///
/// It is the response's own, but for failed calls of gRPC: those are answered with 200, say so in the
/// field `grpc-status` of the response's head, and count as a 500 here. A call that fails after its head
/// has left says so in its trailers, when its changes are committed.
#[must_use]
pub fn outcome_status(status: u16, grpc_status: Option<impl AsRef<[u8]>>) -> u16 {
    match grpc_status {
        Some(code) if code.as_ref() != GRPC_OK => 500,
        Some(_) | None => status,
    }
}

/// Whether a response of that status takes back what its handler changed. 408 says that the server
/// stopped waiting for the handler, which was then dropped in the middle of its work.
const fn is_failure(status: u16) -> bool {
    status >= 500 || status == 408
}

impl fmt::Debug for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finish")
            .field("refusal", &self.refusal)
            .field("set_cookie", &self.set_cookie.as_ref().map(|_| ".."))
            .field("is_personal", &self.is_personal)
            .finish()
    }
}

const GRPC_OK: &[u8] = b"0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_of_grpc_counts_as_a_failure_and_nothing_else_changes() {
        for status in [200, 204, 404, 408, 503] {
            assert_eq!(outcome_status(status, None::<&str>), status);
            assert_eq!(outcome_status(status, Some("0")), status);
            for code in ["1", "10", "16", "00", "", "aborted"] {
                assert!(is_failure(outcome_status(status, Some(code))), "{code}");
            }
        }
    }
}
