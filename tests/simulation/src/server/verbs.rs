//! What the server does for each verb: the store contract, in its simplest form.

use tenure_core::{
    Commit, Create, Delete, Load, Record, Renewal, SessionId, Timestamp, Version, Whose,
};

use super::{Answer, Ask, Cause, Flaw, Server};

impl Server {
    pub(super) fn carry_out(&mut self, number: usize) -> Answer {
        let call = &self.calls[number];
        let cause = Cause {
            step: self.step,
            at: self.now(),
            actor: call.actor,
            call: Some(number),
        };
        match call.ask.clone() {
            Ask::Prove => Answer::Prove,
            Ask::Load(id, _) => Answer::Load(match self.past.record(id) {
                Some(record) => Load::judge(record.clone(), cause.at),
                None => Load::Absent,
            }),
            Ask::Create(record) => Answer::Create(self.create(record, cause)),
            Ask::Commit(expected, record) => Answer::Commit(self.commit(expected, record, cause)),
            Ask::Renew(id, whose, lease_end) => {
                Answer::Renew(self.renew(id, whose, lease_end, cause))
            }
            Ask::Delete(id, whose) => Answer::Delete(self.delete(id, whose, cause)),
        }
    }

    fn create(&mut self, record: Record, cause: Cause) -> Create {
        if self.past.record(record.id()).is_some() {
            return Create::Exists;
        }
        self.past.write(record, cause);
        Create::Created
    }

    fn commit(&mut self, expected: Version, record: Record, cause: Cause) -> Commit {
        let is_careless = self.flaw == Some(Flaw::CommitsWithoutComparing);
        match self.past.live(record.id(), cause.at) {
            None if self.flaw != Some(Flaw::CommitsRevive) => return Commit::Gone,
            Some(stored) if stored.version() == record.version() => return Commit::Stored,
            Some(stored) if stored.lineage().contains(record.version()) => {
                return Commit::Overtaken(stored.clone());
            }
            Some(stored) if stored.version() != expected && !is_careless => {
                return Commit::Conflict(stored.clone());
            }
            None | Some(_) => {}
        }
        if self.flaw != Some(Flaw::ForgetsCommits) {
            self.past.write(record, cause);
        }
        Commit::Stored
    }

    fn renew(
        &mut self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
        cause: Cause,
    ) -> Renewal {
        let Some(stored) = self.past.live(id, cause.at).cloned() else {
            return Renewal::Gone;
        };
        if !whose.is(&stored) {
            return Renewal::Superseded;
        }
        let version = stored.version();
        let renewed = stored.clone().with_lease_end(lease_end);
        if renewed.lease_end() > stored.lease_end() {
            let seen_at = cause.at.max(stored.seen_at());
            self.past.write(renewed.with_seen_at(seen_at), cause);
        }
        Renewal::Renewed(version)
    }

    fn delete(&mut self, id: SessionId, whose: Whose, cause: Cause) -> Delete {
        match self.past.record(id) {
            None => Delete::Absent,
            Some(stored) if !whose.is(stored) && self.flaw != Some(Flaw::DeletesAnybodys) => {
                Delete::Superseded
            }
            Some(_) => {
                if self.flaw != Some(Flaw::ForgetsDeletions) {
                    self.past.remove(id, cause);
                }
                Delete::Deleted
            }
        }
    }
}

impl Answer {
    /// Whether the call has changed something, which is to be reported.
    pub(super) const fn is_of_a_change(&self) -> bool {
        match self {
            Self::Create(Create::Created)
            | Self::Commit(Commit::Stored)
            | Self::Renew(Renewal::Renewed(_))
            | Self::Delete(Delete::Deleted) => true,
            Self::Load(_)
            | Self::Create(_)
            | Self::Commit(_)
            | Self::Renew(_)
            | Self::Delete(_)
            | Self::Prove => false,
        }
    }
}
