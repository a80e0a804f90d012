//! What is known of one session.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use super::Terms;
use crate::{
    history::{Cookie, Effect, History, Operation, Outcome, Route},
    token::{Secret, SessionName},
};

/// The requests that named a session, or began it.
#[derive(Debug)]
pub(super) struct Story<'a> {
    pub(super) history: &'a History,
    pub(super) terms: Terms,
    pub(super) session: SessionName,
    /// With their places in the history.
    pub(super) operations: Vec<(usize, &'a Operation)>,
    successions: HashMap<Secret, Succession>,
}

/// A secret that was replaced, as an answer said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Succession {
    pub(super) next: Secret,
    is_login: bool,
    pub(super) by: usize,
    pub(super) returned: Duration,
}

/// What an answer tells of the session whose cookie was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The cookie opened it.
    Open,
    /// The cookie opened nothing.
    Closed,
}

impl<'a> Story<'a> {
    pub(super) fn all(history: &'a History, terms: Terms) -> BTreeMap<SessionName, Self> {
        let mut stories = BTreeMap::new();
        for (at, operation) in history.operations.iter().enumerate() {
            let sent = operation.sent.map(|token| token.session);
            let received = operation.received().map(|token| token.session);
            for session in [sent, received.filter(|_| received != sent)] {
                let Some(session) = session else { continue };
                let story = stories.entry(session).or_insert_with(|| Self {
                    history,
                    terms,
                    session,
                    operations: Vec::new(),
                    successions: HashMap::new(),
                });
                story.operations.push((at, operation));
            }
        }
        for story in stories.values_mut() {
            story.trace_secrets();
        }
        stories
    }

    fn trace_secrets(&mut self) {
        for &(by, operation) in &self.operations {
            let (Some(sent), Some(received)) = (operation.sent, operation.received()) else {
                continue;
            };
            let is_succession = operation.route.rotates()
                && operation.effect() == Effect::Happened
                && sent.session == received.session
                && sent.secret != received.secret;
            if is_succession {
                let succession = Succession {
                    next: received.secret,
                    is_login: matches!(operation.route, Route::Login { .. }),
                    by,
                    returned: operation.returned,
                };
                self.successions.entry(sent.secret).or_insert(succession);
            }
        }
    }

    /// Those that acted on this session, and not on another one that they began.
    pub(super) fn acts(&self) -> impl Iterator<Item = (usize, &'a Operation)> {
        let mine = |operation: &Operation| operation.session() == Some(self.session);
        self.operations
            .iter()
            .copied()
            .filter(move |(_, operation)| mine(operation))
    }

    /// Those that presented a cookie of this session, with its secret.
    pub(super) fn visits(&self) -> impl Iterator<Item = (usize, &'a Operation, Secret)> {
        self.operations.iter().filter_map(|&(at, operation)| {
            let sent = operation.sent?;
            (sent.session == self.session).then_some((at, operation, sent.secret))
        })
    }

    /// What was acknowledged before this time has to be seen by that request.
    pub(super) fn horizon(&self, operation: &Operation) -> Duration {
        // An increment that is not committed before it prints tells what it has read.
        let is_cached = operation.route.is_cached() || operation.route == Route::Incr;
        let staleness = self.terms.staleness * u32::from(is_cached);
        operation.invoked.saturating_sub(staleness)
    }

    pub(super) fn succession(&self, secret: Secret) -> Option<Succession> {
        self.successions.get(&secret).copied()
    }

    /// Those that led from one secret to the other, if that is how the one became the other.
    fn successions(&self, early: Secret, late: Secret) -> Option<Vec<Succession>> {
        let mut successions: Vec<Succession> = Vec::new();
        let mut secret = early;
        // Bounded, since a history with a circle is one that must be reported and not hang.
        while secret != late && successions.len() < self.successions.len() {
            let succession = self.succession(secret)?;
            secret = succession.next;
            successions.push(succession);
        }
        (secret == late).then_some(successions)
    }

    /// Whether the secret may have been replaced by a request that began before that time.
    pub(super) fn may_be_replaced(&self, secret: Secret, before: Duration) -> bool {
        self.visits().any(|(_, operation, presented)| {
            presented == secret
                && operation.route.rotates()
                && operation.invoked < before
                && match operation.effect() {
                    Effect::Happened => operation.session() == Some(self.session),
                    Effect::Unknown => true,
                    Effect::Refused => false,
                }
        })
    }

    /// Whether there may be a good reason for this request to find the session closed.
    pub(super) fn excuses(&self, operation: &Operation) -> bool {
        let Some(sent) = operation.sent else {
            return true;
        };
        let until = operation.returned;
        self.may_be_replaced(sent.secret, until)
            || self.may_have_ended(sent.secret, until)
            || self.may_have_expired(operation)
    }

    /// Whether a logout that began before that time may have ended the session for this secret, or somebody who ended
    /// all logins of a user who has logged in to it.
    fn may_have_ended(&self, secret: Secret, before: Duration) -> bool {
        let may_be_swept = self.logins().any(|(_, login, user)| {
            self.sweeps(user).any(|(_, sweep)| {
                let is_later = sweep.effect() == Effect::Happened && sweep.returned < login.invoked;
                sweep.invoked < before && !is_later
            })
        });
        may_be_swept || self.may_have_logged_out(secret, before)
    }

    /// Those that logged in to the session, or tried to.
    fn logins(&self) -> impl Iterator<Item = (usize, &'a Operation, &'a str)> {
        self.operations.iter().filter_map(|&(at, operation)| {
            let Route::Login { user, .. } = &operation.route else {
                return None;
            };
            Some((at, operation, user.as_str()))
        })
    }

    /// Those that ended, or may have ended, all logins of that user.
    fn sweeps(&self, user: &str) -> impl Iterator<Item = (usize, &'a Operation)> {
        let all = self.history.operations.iter().enumerate();
        all.filter(move |(_, operation)| {
            let is_one = matches!(&operation.route, Route::EndAll { user: ended } if ended == user);
            is_one && operation.effect() != Effect::Refused
        })
    }

    /// An ending of all logins of a user before that time, after which this secret is certain to open nothing: it came
    /// from a login of that user, or was drawn later without another login.
    pub(super) fn swept(&self, secret: Secret, before: Duration) -> Option<(usize, &'a Operation)> {
        self.logins().find_map(|(_, login, user)| {
            let received = login.received()?;
            let is_its = received.session == self.session
                && self
                    .successions(received.secret, secret)?
                    .iter()
                    .all(|succession| !succession.is_login);
            let mut sweeps = self.sweeps(user).filter(|(_, sweep)| {
                sweep.effect() == Effect::Happened
                    && login.returned <= sweep.invoked
                    && sweep.returned < before
            });
            sweeps.next().filter(|_| is_its)
        })
    }

    fn may_have_logged_out(&self, secret: Secret, before: Duration) -> bool {
        self.visits().any(|(_, operation, presented)| {
            operation.route == Route::Logout
                && operation.invoked < before
                && operation.effect() != Effect::Refused
                && !self.is_worthless(operation, presented, secret)
        })
    }

    /// Whether a logout with one secret could not end the session that has the other.
    ///
    /// If it had been before the secret was replaced, there would have been nothing to replace. After a
    /// login it is worth nothing; after a rotation alone, one that was under way still ends the session.
    fn is_worthless(&self, logout: &Operation, presented: Secret, secret: Secret) -> bool {
        let Some(successions) = self.successions(presented, secret) else {
            return false;
        };
        let came_late = successions
            .first()
            .is_some_and(|first| logout.invoked > first.returned + self.terms.staleness);
        came_late || successions.iter().any(|succession| succession.is_login)
    }

    fn may_have_expired(&self, operation: &Operation) -> bool {
        let active = self.acts().filter(|(_, other)| {
            other.route.writes()
                && other.effect() == Effect::Happened
                && other.returned <= operation.invoked
        });
        let last = active.map(|(_, other)| other.invoked).max();
        let lease = self.terms.idle * 4 / 5;
        last.is_none_or(|last| operation.returned > last + lease)
    }

    /// What the answer tells of the session, so far as its kind alone says it.
    pub(super) fn shown(&self, operation: &Operation) -> Option<Shown> {
        let Outcome::Reply {
            status,
            body,
            cookie,
        } = &operation.outcome
        else {
            return None;
        };
        match (cookie, &operation.route) {
            (Cookie::Set(token), _) if token.session == self.session => return Some(Shown::Open),
            (Cookie::Set(_), _) => return Some(Shown::Closed),
            (_, Route::Logout) if *status == 200 => return None,
            (Cookie::Removed, _) => return Some(Shown::Closed),
            (Cookie::Untouched | Cookie::Garbled, _) => {}
        }
        let (shown, printed) = match (status, &operation.route) {
            (200, Route::Version) => (Some(Shown::Closed), body != "0"),
            // Nothing may be what the session holds: `counts` and `values` know what it must.
            (200, Route::Read | Route::Refresh) => (None, body != "0"),
            (200, Route::WhoAmI | Route::Get(_)) => (None, body != "-"),
            // For whoever has no session, there is nothing to rotate; who has one gets a cookie.
            (200, Route::Rotate) => (Some(Shown::Closed), false),
            (200, route) => (None, route.writes()),
            // The one route that can be refused for the sake of a value.
            (409, Route::IncrNaive) => (None, false),
            (409, _) => (Some(Shown::Closed), false),
            _ => (None, false),
        };
        if printed { Some(Shown::Open) } else { shown }
    }
}
