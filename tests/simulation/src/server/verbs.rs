//! What the server does for each verb: the store contract, in its simplest form.

use tenure_core::{Commit, Create, Load, Record, Renewal, SessionId, Timestamp, Version};

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
            Ask::Renew(id, lease_end) => Answer::Renew(self.renew(id, lease_end, cause)),
            Ask::Delete(id) => {
                if self.flaw != Some(Flaw::ForgetsDeletions) {
                    self.past.remove(id, cause);
                }
                Answer::Delete
            }
        }
    }

    fn create(&mut self, record: Record, cause: Cause) -> Create {
        match self.past.record(record.id()) {
            Some(stored) if stored.lineage().contains(record.version()) => Create::Created,
            Some(_) => Create::Exists,
            None => {
                self.past.write(record, cause);
                Create::Created
            }
        }
    }

    fn commit(&mut self, expected: Version, record: Record, cause: Cause) -> Commit {
        let is_careless = self.flaw == Some(Flaw::CommitsWithoutComparing);
        match self.past.live(record.id(), cause.at) {
            None if self.flaw != Some(Flaw::CommitsRevive) => return Commit::Gone,
            Some(stored) if stored.lineage().contains(record.version()) => {
                return Commit::Stored(stored.version());
            }
            Some(stored) if stored.version() != expected && !is_careless => {
                return Commit::Conflict(stored.clone());
            }
            None | Some(_) => {}
        }
        let version = record.version();
        if self.flaw != Some(Flaw::ForgetsCommits) {
            self.past.write(record, cause);
        }
        Commit::Stored(version)
    }

    fn renew(&mut self, id: SessionId, lease_end: Timestamp, cause: Cause) -> Renewal {
        let Some(stored) = self.past.live(id, cause.at).cloned() else {
            return Renewal::Gone;
        };
        let version = stored.version();
        let not_before = stored.lease_end();
        let renewed = stored.with_lease_end(lease_end.max(not_before));
        self.past.write(renewed, cause);
        Renewal::Renewed(version)
    }
}

impl Answer {
    /// Whether the call has changed something, which is to be reported.
    pub(super) const fn is_of_a_change(&self) -> bool {
        match self {
            Self::Create(Create::Created)
            | Self::Commit(Commit::Stored(_))
            | Self::Renew(Renewal::Renewed(_))
            | Self::Delete => true,
            Self::Load(_) | Self::Create(_) | Self::Commit(_) | Self::Renew(_) | Self::Prove => {
                false
            }
        }
    }
}
