//! What all requests share, and the store calls that they make.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::FutureExt;

use super::{
    combine::Terms,
    events,
    line::Lines,
    logins::{Admission, Audit, Index},
    recent::Recent,
};
use crate::{
    ClientInfo, Clock, Commit, CookieConfig, Create, Delete, Entropy, Freshness, Lineage, Load,
    Observer, Record, Renewal, Retention, SessionId, SessionSecret, StoreError, StoreErrorKind,
    Timestamp, Version, VersionUse, Whose,
    changes::{NewLogin, SessionError, drop_guarded},
    cookie::{CookieFinder, Token, TokenKeys},
    entropy::random,
    store::ErasedStore,
};

/// A manager's store, settings and lines.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) store: Box<dyn ErasedStore>,
    pub(super) cookie: CookieConfig,
    pub(super) cookie_finder: CookieFinder,
    pub(super) token_keys: TokenKeys,
    pub(super) terms: Terms,
    /// How long the store may take, in all, to load a session, and again to commit it.
    pub(super) deadline: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) lines: Lines,
    pub(super) version_use: VersionUse,
    pub(super) index: Option<Index>,
    pub(super) client_info: ClientInfo,
    pub(super) observer: Option<Box<dyn Observer>>,
    pub(super) audit: Option<Audit>,
    /// Until when sessions that are not there count as not there without asking. Ids are never used
    /// again, so one cannot come to be; a dead cookie costs one look-up a minute and node.
    pub(super) absent: Recent,
    /// To when leases were renewed last. Of many requests for which it is due, one renews.
    pub(super) renewed: Recent,
    /// When the index was told last of sessions that are only read.
    pub(super) touched: Recent,
}

/// A session that was stored. Its login does not count before it is confirmed.
pub(super) struct Created {
    pub(super) record: Record,
    pub(super) secret: SessionSecret,
    pub(super) admission: Option<Admission>,
}

/// What a response asks the store besides its own session's changes.
pub(super) enum Look {
    /// To renew the lease.
    Renew {
        lease_end: Timestamp,
        /// Whether the browser is to hear of it.
        is_cookie_due: bool,
    },
    /// For the present state, of which the browser's cookie does not speak.
    Reread,
}

impl Core {
    pub(super) async fn load(
        &self,
        id: SessionId,
        freshness: Freshness,
    ) -> Result<Load, SessionError> {
        let load = async {
            let found = self.store.load(id, freshness).await?;
            match &found {
                // The contract forbids it; a client or a proxy that mixes up replies does it.
                Load::Found(record) if record.id() != id => {
                    Err(StoreError::new(StoreErrorKind::Corrupt).into())
                }
                Load::Found(_) | Load::Expired(_) | Load::Absent => Ok(found),
            }
        };
        self.bounded("load", id, pin!(load)).await
    }

    /// Ends a session, if it still is theirs.
    pub(super) async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, SessionError> {
        let delete = async { Ok(self.store.delete(id, whose).await?) };
        self.bounded("delete", id, pin!(delete)).await
    }

    pub(super) fn draw_identity(&self) -> Result<(SessionId, Lineage), SessionError> {
        let id = SessionId::random(&*self.entropy)?;
        let tag = u64::from_be_bytes(random(&*self.entropy)?);
        Ok((id, Lineage::first(tag)))
    }

    /// Stores a session that begins, and returns it with its secret, which may both be others than those
    /// that were passed in.
    ///
    /// A creation whose outcome is unknown may still arrive at the store, whatever happens until then. So
    /// none is made twice under one id: another one is drawn, and another secret. What the first leaves
    /// behind is a record that nobody can open, and that ends with its lease.
    ///
    /// A login has a place in the index for the first of them, and needs one for each other, for which it gives up the
    /// one before.
    pub(super) async fn create(
        self: &Arc<Self>,
        mut record: Record,
        mut secret: SessionSecret,
        mut login: Option<NewLogin>,
        mut admission: Option<Admission>,
    ) -> Result<Created, SessionError> {
        let (mut collisions, mut has_retried) = (0, false);
        loop {
            if let Some(login) = &login {
                record = record.with_admission(login.epoch, login.gate);
            }
            match self.store.create(record.clone()).await {
                Ok(Create::Created) => {
                    return Ok(Created {
                        record,
                        secret,
                        admission,
                    });
                }
                Ok(Create::Exists) => {
                    events::id_collision(self, record.id());
                    collisions += 1;
                    if collisions == MOST_COLLISIONS {
                        return Err(SessionError::IdCollision);
                    }
                }
                Err(error) if error.outcome_unknown() && !has_retried => has_retried = true,
                Err(error) => {
                    let error = error.into();
                    if let Some(admission) = admission {
                        Box::pin(admission.give_up_after(&error)).await;
                    }
                    return Err(error);
                }
            }
            secret = SessionSecret::random(&*self.entropy)?;
            let (id, lineage) = self.draw_identity()?;
            record = record.begun_anew(id, lineage, secret.hash());
            if let Some(login) = &mut login {
                let given_up = admission.as_ref().map(|place| place.made.clone());
                admission = self.admit(login, id, given_up.as_ref()).await?;
            }
        }
    }

    /// Commits for a line, each of whose requests has a limit of its own. A store that panics is taken for
    /// one that does not answer, since the panic would strike requests that have nothing to do with it.
    pub(super) async fn commit(
        &self,
        expected: Version,
        record: Record,
    ) -> Result<Commit, StoreError> {
        let commit = AssertUnwindSafe(self.store.commit(expected, record));
        commit.catch_unwind().await.unwrap_or_else(|payload| {
            drop_guarded(payload);
            let panicked = "the store panicked";
            Err(StoreError::with_source(
                StoreErrorKind::Interrupted,
                panicked,
            ))
        })
    }

    /// Whether a session that a cookie names was found not to be there a moment ago.
    pub(super) fn is_known_absent(&self, id: SessionId) -> bool {
        let until = self.absent.get(id);
        until.is_some_and(|until| self.clock.now() < until)
    }

    pub(super) fn note_absent(&self, id: SessionId) {
        self.absent.note(id, self.clock.now().after(ABSENCE_KNOWN));
    }

    /// What a response that has read this record is to ask the store. `is_told` says whether the
    /// browser's cookie speaks of just this record.
    pub(super) fn look_due(&self, record: &Record, is_told: bool) -> Option<Look> {
        let lifetimes = self.terms.lifetimes_of(record);
        match lifetimes.renewal(record, self.clock.now()) {
            Some(lease_end) => Some(Look::Renew {
                lease_end,
                is_cookie_due: !is_told || self.is_persistent(record),
            }),
            None => (!is_told).then_some(Look::Reread),
        }
    }

    /// Renews the lease if it is time, and returns the record that the browser's cookie should
    /// speak of, if that is another one than it does.
    ///
    /// A cookie is never issued anew on the strength of what was loaded at the request's beginning:
    /// a login may have replaced the secret since, and this response would overwrite its cookie.
    /// A renewal's answer or a second look, past any cache, shows that. A fault costs the renewal, not the response:
    /// the session was read, and lives on for now.
    pub(super) async fn look_again(self: &Arc<Self>, look: Look, record: Record) -> Option<Record> {
        let id = record.id();
        match look {
            Look::Renew {
                lease_end,
                is_cookie_due,
            } => {
                let interval = self.terms.lifetimes_of(&record).renewal_interval();
                let recent = interval.min(RENEWAL_KNOWN);
                // Those of other lifetimes, from before a login, say nothing.
                let suffices = |at: Timestamp| at <= lease_end && lease_end.since(at) < recent;
                let claim = self.renewed.claim(id, lease_end, suffices)?;
                let whose = Whose::Login(record.login().stamp);
                let renew = async { Ok(self.store.renew(id, whose, lease_end).await?) };
                let renewed = self.bounded("renew", id, pin!(renew)).await.ok()?;
                claim.done();
                if matches!(renewed, Renewal::Renewed(_)) {
                    events::renewed(self, &record);
                    self.touch_behind(&record);
                }
                match renewed {
                    Renewal::Renewed(version) if version == record.version() && is_cookie_due => {
                        Some(record.with_lease_end(lease_end))
                    }
                    Renewal::Renewed(_) | Renewal::Superseded | Renewal::Gone => None,
                }
            }
            Look::Reread => match self.load(id, Freshness::Latest).await.ok()? {
                Load::Found(now) if now.secret_hash() == record.secret_hash() => Some(now),
                Load::Found(_) | Load::Expired(_) | Load::Absent => None,
            },
        }
    }

    pub(super) fn set_cookie(&self, record: &Record, secret: &SessionSecret) -> String {
        let token = Token {
            id: record.id(),
            secret: secret.clone(),
            version: record.version(),
        };
        let kept = self
            .is_persistent(record)
            .then(|| self.clock.now()..record.lease_end());
        self.cookie.set(&token.sign(&self.token_keys), kept)
    }

    /// Whether the browser's cookie has to speak of every commit: for the version, or since its own life
    /// is prolonged with the lease.
    pub(super) fn tells_each_commit(&self, record: &Record) -> bool {
        self.version_use != VersionUse::Unused || self.is_persistent(record)
    }

    /// Whether a cookie that speaks of `seen` need not be told of `record`.
    pub(super) fn is_told_enough(&self, record: &Record, seen: Version) -> bool {
        self.version_use == VersionUse::Unused || record.version() == seen
    }

    /// Whether the session's cookie outlives the browser's closing.
    fn is_persistent(&self, record: &Record) -> bool {
        self.cookie.is_persistent() || record.retention() == Retention::Remembered
    }

    /// Bounds the time that work on the store takes, and reports its faults. The work is passed on by
    /// reference, since a future that is handed from one `async fn` to another has room in both.
    pub(super) async fn bounded<T>(
        &self,
        verb: &'static str,
        id: SessionId,
        work: Pin<&mut impl Future<Output = Result<T, SessionError>>>,
    ) -> Result<T, SessionError> {
        let outcome = within(self.deadline, work).await.unwrap_or_else(too_late);
        if let Err(SessionError::Store(error)) = &outcome {
            events::store_failed(self, id, verb, error);
        }
        outcome
    }
}

/// Two live ids being equal by chance does not happen; three times in a row, the generator is broken.
const MOST_COLLISIONS: u32 = 3;

/// Long enough for those that had read the session before it was renewed. Not for ever, since what is stored
/// is what counts: a commit that comes late can take a lease back.
const RENEWAL_KNOWN: Duration = Duration::from_secs(5);

/// As long as an answer of a near cache lives at most.
const ABSENCE_KNOWN: Duration = Duration::from_secs(60);

/// `None` if the work took longer. Work that is done at once, as with a store in memory, never costs
/// a timer.
pub(super) async fn within<T>(
    deadline: Duration,
    mut work: Pin<&mut impl Future<Output = T>>,
) -> Option<T> {
    let first = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
    if let Poll::Ready(done) = first.await {
        return Some(done);
    }
    tokio::time::timeout(deadline, work).await.ok()
}

/// The outcome of work on the store that took longer than it may.
pub(super) fn too_late<T>() -> Result<T, SessionError> {
    Err(StoreError::new(StoreErrorKind::TimedOut).into())
}
