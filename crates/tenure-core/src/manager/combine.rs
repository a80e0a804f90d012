//! What a commit writes: pure decisions on records and change sets.

use std::time::Duration;

use super::OnHistoryLoss;
use crate::{
    Lifetimes, Login, Record, Relation, Retention, SecretHash, Timestamp, Values, Version,
    changes::{Changes, Merges, NewLogin, SessionError},
    model::Edits,
};

/// What one request wants committed, and what it was based on.
#[derive(Debug)]
pub(crate) struct ChangeSet {
    pub(crate) changes: Changes,
    /// What the changes come to on the version they are based on.
    pub(crate) edits: Edits,
    pub(crate) base: Base,
    /// What the request's own secret hashes to.
    pub(crate) secret_hash: SecretHash,
    /// The hash of the secret that replaces it, if the changes rotate.
    pub(crate) rotation: Option<SecretHash>,
}

/// The state that a request's changes are based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) version: Version,
    /// Whether the request saw exactly what is stored under that version. It did not if its last commit
    /// went in together with those of others that changed the same values: then it saw its own.
    pub(crate) is_exact: bool,
}

/// The manager's settings that a commit is subject to.
#[derive(Debug)]
pub(crate) struct Terms {
    pub(crate) lifetimes: Lifetimes,
    pub(crate) remembered_lifetimes: Lifetimes,
    pub(crate) merges: Merges,
    pub(crate) max_record_bytes: usize,
    pub(crate) rotation_grace: Duration,
    pub(crate) on_history_loss: OnHistoryLoss,
}

/// Several change sets made one commit.
#[derive(Debug)]
pub(crate) struct Combined {
    /// The next version, to be committed on the one it was combined onto.
    pub(crate) record: Record,
    /// For each change set what it came to, or why it was left out.
    pub(crate) verdicts: Vec<Result<Edits, SessionError>>,
}

impl Terms {
    /// How long that session lives.
    pub(crate) fn lifetimes_of(&self, record: &Record) -> Lifetimes {
        match record.retention() {
            Retention::Ordinary => self.lifetimes,
            Retention::Remembered => self.remembered_lifetimes,
        }
    }

    /// Applies change sets one after the other to `stored`. One that cannot be applied fails alone.
    pub(crate) fn combine<'a>(
        &self,
        stored: &Record,
        sets: impl IntoIterator<Item = &'a ChangeSet>,
        tag: u64,
        now: Timestamp,
    ) -> Combined {
        let mut working = stored.clone();
        let mut is_pristine = true;
        let verdicts = sets
            .into_iter()
            .map(|set| {
                let edits;
                (working, edits) = self.apply(set, &working, is_pristine, now)?;
                is_pristine = false;
                Ok(edits)
            })
            .collect();
        Combined {
            record: working.next(tag),
            verdicts,
        }
    }

    /// The record of a session that begins with these changes, and what they came to, or `None` if they
    /// leave nothing to store.
    pub(crate) fn begin(
        &self,
        fresh: Record,
        changes: &Changes,
    ) -> Result<Option<(Record, Edits)>, SessionError> {
        let nothing = Values::default();
        // What the request had read belongs to another session, if to any: no conflict here.
        let edits = changes.replay(&nothing, &Merges::last_commit_wins())?;
        let now = fresh.created_at();
        let mut record = fresh.with_values(nothing.with(&edits));
        if let Some(login) = &changes.login {
            if !login.is_fresh {
                // Another login has taken the session over which this one was to keep.
                return Err(SessionError::Superseded);
            }
            record = self.log_in(record, login, now);
        }
        let is_worth_storing = !record.values().is_empty() || record.principal().is_some();
        is_worth_storing
            .then(|| Ok((self.within_limit(record)?, edits)))
            .transpose()
    }

    fn apply(
        &self,
        set: &ChangeSet,
        onto: &Record,
        is_pristine: bool,
        now: Timestamp,
    ) -> Result<(Record, Edits), SessionError> {
        let is_descended = matches!(
            onto.lineage().relation(set.base.version),
            Relation::Same | Relation::Ahead
        );
        if !is_descended && self.on_history_loss == OnHistoryLoss::EndSession {
            return Err(SessionError::HistoryLost);
        }
        if onto.secret_hash() != set.secret_hash {
            return Err(SessionError::Superseded);
        }
        let is_fast_forward =
            is_pristine && set.base.is_exact && onto.version() == set.base.version;
        let edits = if is_fast_forward {
            set.edits.clone()
        } else {
            set.changes.replay(onto.values(), &self.merges)?
        };
        let mut record = onto.clone().with_values(onto.values().with(&edits));
        record = match &set.changes.login {
            Some(login) => self.log_in(record, login, now),
            None if set.changes.logs_out => {
                let anonymous = record.without_login();
                anonymous.with_restarted_lifetimes(now, self.lifetimes)
            }
            None => self.prolong(record, now),
        };
        let seen_at = record.seen_at();
        record = record.with_seen_at(now.max(seen_at));
        if let Some(secret_hash) = set.rotation {
            record = record.with_secret(secret_hash, now);
        }
        Ok((self.within_limit(record)?, edits))
    }

    fn log_in(&self, record: Record, login: &NewLogin, now: Timestamp) -> Record {
        let at = if login.is_fresh {
            now
        } else {
            record.login().at
        };
        let gate = record.gate().max(login.gate);
        let made = Login::new(login.stamp, login.epoch, at);
        let record = record
            .with_login(login.principal.clone(), made)
            .with_gate(gate)
            .with_actor(login.actor.as_ref())
            .with_retention(login.retention);
        let record = match &login.client {
            Some(client) => record.with_client(client),
            None => record,
        };
        if !login.is_fresh {
            return self.prolong(record, now);
        }
        let lifetimes = self.lifetimes_of(&record);
        let lifetimes = match &login.actor {
            Some(_) => lifetimes.at_most(LONGEST_ACTING),
            None => lifetimes,
        };
        record.with_restarted_lifetimes(now, lifetimes)
    }

    /// Moves the end of the lease, never to an earlier time.
    fn prolong(&self, record: Record, now: Timestamp) -> Record {
        let lifetimes = self.lifetimes_of(&record);
        let lease_end = lifetimes.lease_end(now, record.absolute_end());
        let not_before = record.lease_end();
        record.with_lease_end(lease_end.max(not_before))
    }

    fn within_limit(&self, record: Record) -> Result<Record, SessionError> {
        let (bytes, limit) = (record.encoded_len(), self.max_record_bytes);
        if bytes > limit {
            return Err(SessionError::TooLarge { bytes, limit });
        }
        Ok(record)
    }
}

/// How long somebody may act in another one's name before they have to say so again.
const LONGEST_ACTING: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::{
        Epoch, Lineage, LoginStamp, Principal, SessionId,
        changes::{Seen, Update},
        model::{IntoName, Name},
    };

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const SECRET: SecretHash = SecretHash::from_bytes([1; 32]);

    fn terms() -> Terms {
        Terms {
            lifetimes: Lifetimes::default(),
            remembered_lifetimes: Lifetimes::REMEMBERED,
            merges: Merges::default(),
            max_record_bytes: 1000,
            rotation_grace: Duration::from_secs(30),
            on_history_loss: OnHistoryLoss::EndSession,
        }
    }

    fn stored() -> Record {
        let id = SessionId::from_bytes([1; 16]);
        Record::new(id, Lineage::first(1), SECRET, NOW, Lifetimes::default())
    }

    fn name(text: &str) -> Name {
        text.into_name().unwrap()
    }

    fn based_on(base: &Record, changes: Changes) -> ChangeSet {
        ChangeSet {
            edits: changes.replay(base.values(), &Merges::default()).unwrap(),
            changes,
            base: Base {
                version: base.version(),
                is_exact: true,
            },
            secret_hash: SECRET,
            rotation: None,
        }
    }

    /// Appends a byte to the value `n`.
    fn append(byte: u8) -> Changes {
        let mut changes = Changes::default();
        let apply: Arc<Update> =
            Arc::new(move |old| Ok([old.unwrap_or_default(), &[byte]].concat().into()));
        changes.update(name("n"), apply);
        changes
    }

    fn insert(key: &str, seen: Seen) -> Changes {
        let mut changes = Changes::default();
        changes.put(name(key), Some(Bytes::from_static(b"v")), seen);
        changes
    }

    #[test]
    fn all_updates_of_a_line_go_into_one_commit_in_their_order() {
        let base = stored();
        let sets = [1, 2, 3].map(|byte| based_on(&base, append(byte)));
        let combined = terms().combine(&base, &sets, 9, NOW);
        assert_eq!(combined.record.version(), Version::new(2, 9));
        assert_eq!(combined.record.values().get("n").unwrap(), [1, 2, 3][..]);
        let own: Vec<_> = combined
            .verdicts
            .into_iter()
            .map(|edits| edits.unwrap().entries[&name("n")].clone().unwrap())
            .collect();
        assert_eq!(own, [&[1][..], &[1, 2], &[1, 2, 3]]);
    }

    #[test]
    fn a_true_conflict_fails_alone() {
        let base = stored();
        let sets = [
            based_on(&base, insert("a", Seen::Nothing)),
            based_on(&base, insert("a", Seen::Stored(None))),
            based_on(&base, insert("b", Seen::Stored(None))),
        ];
        let combined = terms().combine(&base, &sets, 9, NOW);
        assert!(combined.verdicts[0].is_ok());
        assert!(matches!(
            combined.verdicts[1],
            Err(SessionError::Conflict { .. })
        ));
        assert!(combined.verdicts[2].is_ok());
        assert_eq!(combined.record.values().len(), 2);
    }

    #[test]
    fn a_rotation_shuts_out_those_who_come_after_it() {
        let base = stored();
        let mut rotating = based_on(&base, Changes::default());
        rotating.rotation = Some(SecretHash::from_bytes([2; 32]));
        let sets = [rotating, based_on(&base, append(1))];
        let combined = terms().combine(&base, &sets, 9, NOW);
        assert!(combined.verdicts[0].is_ok());
        assert!(matches!(
            combined.verdicts[1],
            Err(SessionError::Superseded)
        ));
    }

    #[test]
    fn changes_based_on_a_lost_history_are_refused() {
        let base = stored();
        let (ours, theirs) = (base.clone().next(2), base.next(3));
        for lost in [ours.clone().next(4), ours] {
            let set = based_on(&lost, append(1));
            let combined = terms().combine(&theirs, [&set], 9, NOW);
            assert!(matches!(
                combined.verdicts[0],
                Err(SessionError::HistoryLost)
            ));
            assert!(combined.record.values().is_empty());
        }
    }

    #[test]
    fn a_request_that_saw_a_state_in_between_is_replayed_even_on_the_same_version() {
        let base = stored();
        let mut set = based_on(&base, append(1));
        set.edits = Edits::default();
        set.base.is_exact = false;
        let combined = terms().combine(&base, [&set], 9, NOW);
        assert_eq!(combined.record.values().get("n").unwrap(), [1][..]);
    }

    #[test]
    fn what_would_outgrow_the_limit_is_left_out() {
        let base = stored();
        let mut large = Changes::default();
        large.put(name("l"), Some(vec![0; 1000].into()), Seen::Nothing);
        let sets = [based_on(&base, large), based_on(&base, append(1))];
        let combined = terms().combine(&base, &sets, 9, NOW);
        assert!(matches!(
            combined.verdicts[0],
            Err(SessionError::TooLarge { limit: 1000, .. })
        ));
        assert!(combined.verdicts[1].is_ok());
    }

    fn login(retention: Retention) -> Changes {
        let mut changes = Changes::default();
        changes.login = Some(NewLogin {
            retention,
            epoch: Epoch::from_u64(5),
            ..NewLogin::new(Principal::new("ada").unwrap(), LoginStamp::from_u64(7))
        });
        changes
    }

    #[test]
    fn s24_a_login_restarts_both_clocks_and_nothing_else_does() {
        let base = stored();
        let later = NOW.after(Duration::from_secs(600));
        let written = terms()
            .combine(&base, [&based_on(&base, append(1))], 9, later)
            .record;
        assert_eq!(written.absolute_end(), base.absolute_end());
        assert_eq!(
            written.lease_end(),
            later.after(Lifetimes::default().idle())
        );
        let login = login(Retention::Ordinary);
        let logged_in = terms()
            .combine(&base, [&based_on(&base, login)], 9, later)
            .record;
        assert_eq!(
            logged_in.absolute_end(),
            later.after(Lifetimes::default().absolute())
        );
        assert_eq!(logged_in.created_at(), base.created_at());
    }

    #[test]
    fn a_user_who_is_remembered_has_other_lifetimes_until_the_next_login() {
        let base = stored();
        let commit = |base: &Record, changes, now| {
            let set = based_on(base, changes);
            terms().combine(base, [&set], 9, now).record
        };
        let at_login = commit(&base, login(Retention::Remembered), NOW);
        let remembered = Lifetimes::REMEMBERED;
        assert_eq!(at_login.lease_end(), NOW.after(remembered.idle()));
        assert_eq!(at_login.absolute_end(), NOW.after(remembered.absolute()));
        let later = NOW.after(Duration::from_secs(600));
        let used = commit(&at_login, append(1), later);
        assert_eq!(used.lease_end(), later.after(remembered.idle()));
        let again = commit(&used, login(Retention::Ordinary), later);
        assert_eq!(again.retention(), Retention::Ordinary);
        assert_eq!(again.lease_end(), later.after(Lifetimes::default().idle()));

        let login = login(Retention::Remembered);
        let (fresh, _) = terms().begin(base, &login).unwrap().unwrap();
        assert_eq!(fresh.absolute_end(), NOW.after(remembered.absolute()));
    }

    #[test]
    fn changes_that_leave_nothing_begin_no_session() {
        let mut removal = Changes::default();
        removal.put(name("n"), None, Seen::Nothing);
        removal.clear();
        removal.rotates = true;
        assert_eq!(terms().begin(stored(), &removal).unwrap(), None);
        assert!(terms().begin(stored(), &append(1)).unwrap().is_some());
    }
}
