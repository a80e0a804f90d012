//! Ending logins: condemned in the index, deleted where they are stored, settled in the index.

use std::{pin::pin, sync::Arc};

use futures_util::future::try_join_all;

use super::{Core, LoggedIn, admission::whose, persistently};
use crate::{
    CONDEMNED_PER_CALL, Delete, EndReason, Ending, Epoch, LoginName, LoginSeen, Principal, Record,
    Timestamp, Touch, changes::SessionError, entropy::random,
};

use super::super::events;

impl Core {
    /// Begins a new epoch of a principal's logins, and ends all of them that were made before, but for one.
    /// Returns how many sessions were deleted, and the epoch.
    pub(in super::super) async fn end_logins(
        &self,
        user: &Principal,
        spares: Option<LoginName>,
        blocks: bool,
        reason: EndReason,
    ) -> Result<(usize, Epoch), SessionError> {
        let index = self.index()?;
        let ending = Ending {
            tag: u64::from_be_bytes(random(&*self.entropy)?),
            spares,
            blocks,
            kept_until: self.index_kept_until(),
        };
        let mut count = 0;
        loop {
            let end = || index.store.end(user, ending);
            let ended = async {
                let ended = persistently(end).await?;
                let (is_all, epoch) = (ended.condemned.len() < CONDEMNED_PER_CALL, ended.epoch);
                let deleted = self.finish_ending(user, ended.condemned, reason).await?;
                Ok((deleted, is_all.then_some(epoch)))
            };
            // Each round has its time, since there may be thousands.
            let (deleted, epoch) = self.bounded_index("end", pin!(ended)).await?;
            count += deleted;
            if let Some(epoch) = epoch {
                return Ok((count, epoch));
            }
        }
    }

    /// Deletes the sessions of condemned logins, each only if it still is that login's, and settles those. Returns how
    /// many there were.
    pub(super) async fn finish_ending(
        &self,
        user: &Principal,
        condemned: Vec<LoginName>,
        reason: EndReason,
    ) -> Result<usize, SessionError> {
        if condemned.is_empty() {
            return Ok(0);
        }
        let index = self.index()?;
        let deletions = condemned.iter().map(|login| async move {
            let delete = || self.store.delete(login.session(), whose(*login));
            let deletion = persistently(delete).await?;
            if deletion == Delete::Deleted {
                events::destroyed(self, login.session(), Some(user), reason);
            }
            Ok::<_, SessionError>(deletion)
        });
        let deletions = try_join_all(deletions).await?;
        index.store.settle(user, condemned).await?;
        let deleted = deletions.iter().filter(|it| **it == Delete::Deleted);
        Ok(deleted.count())
    }

    /// Tells the index, behind the response, that a session is in use: its entry may have been lost, as after a
    /// failover, and so may its own ending.
    pub(in super::super) fn touch_behind(self: &Arc<Self>, record: &Record) {
        let (Some(LoggedIn { user, login, .. }), Some(_)) = (LoggedIn::of(record), &self.index)
        else {
            return;
        };
        let (ends_at, actor) = (record.absolute_end(), record.actor());
        let places = [
            Some((user, record.login().epoch)),
            actor.map(|actor| (actor.user, actor.epoch)),
        ];
        let core = Arc::clone(self);
        self.behind(async move {
            for (user, epoch) in places.into_iter().flatten() {
                let seen = LoginSeen {
                    login,
                    epoch,
                    ends_at,
                };
                let touching = pin!(core.touch(&user, seen));
                // After a fault, the next one comes with the next renewal.
                if let Ok(Touch::Entered) = core.bounded_index("touch", touching).await {
                    events::login_entered_again(&core, login.session());
                }
            }
        });
    }

    /// Makes sure that a login still counts, and is entered.
    pub(in super::super) async fn check_in(
        &self,
        made: &LoggedIn,
        ends_at: Timestamp,
    ) -> Result<(), SessionError> {
        let seen = LoginSeen {
            login: made.login,
            epoch: made.epoch,
            ends_at,
        };
        let checking = async {
            match self.touch(&made.user, seen).await? {
                Touch::Known | Touch::Entered => Ok(()),
                Touch::Ended => Err(SessionError::Gone),
            }
        };
        self.bounded_index("touch", pin!(checking)).await
    }

    /// Touches a session that is not renewed any more, since its lease reaches to its absolute end, and that may be read
    /// for weeks: about once per interval of renewals and node.
    pub(in super::super) fn touch_what_is_only_read(self: &Arc<Self>, record: &Record) {
        if self.index.is_none() || record.lease_end() != record.absolute_end() {
            return;
        }
        let (now, interval) = (
            self.clock.now(),
            self.terms.lifetimes_of(record).renewal_interval(),
        );
        let is_due = record.principal().is_some() && now.since(record.seen_at()) >= interval;
        if is_due
            && let Some(claim) = self
                .touched
                .claim(record.id(), now, |at| now.since(at) < interval)
        {
            claim.done();
            self.touch_behind(record);
        }
    }

    /// Tells the index that a login is in use, and ends its session if it does not count any more.
    async fn touch(&self, user: &Principal, seen: LoginSeen) -> Result<Touch, SessionError> {
        let touched = self.index()?.store.touch(user, seen).await?;
        if touched == Touch::Ended {
            self.finish_ending(user, vec![seen.login], EndReason::Revoked)
                .await?;
        }
        Ok(touched)
    }

    /// Whether a commit is the first of a session's in this interval of its renewals: then it stands for a
    /// renewal, which sessions that are written all the time do not need.
    pub(in super::super) fn is_touch_due(&self, before: &Record, after: &Record) -> bool {
        let interval = self
            .terms
            .lifetimes_of(after)
            .renewal_interval()
            .as_millis();
        let interval_of = |time: Timestamp| u128::from(time.as_millis()) / interval.max(1);
        interval_of(before.seen_at()) != interval_of(after.seen_at())
    }

    /// Until when a session may live that begins now.
    pub(super) fn index_kept_until(&self) -> Timestamp {
        let terms = &self.terms;
        let longest = terms
            .lifetimes
            .absolute()
            .max(terms.remembered_lifetimes.absolute());
        self.clock.now().after(longest)
    }
}
