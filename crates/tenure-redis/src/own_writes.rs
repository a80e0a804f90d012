//! Which pushes tell of a connection's own writes: pure accounting.
//!
//! Redis tells a tracking connection of its own writes as of everybody else's: one push for each write
//! that changed something, directly behind its reply. (It can leave them out, with `NOLOOP`. But then it
//! also says nothing of sessions that go *because* of a command of this connection without being its
//! object: those that a full tracking table forgets, and those that are evicted to make room.)
//!
//! A push names a session, not who changed it. So pushes are counted, per session: as many as own writes
//! brought are own, and whatever does not fit the count is somebody else's change. Which of them is taken
//! for an own one does not matter. A change by others that lies *behind* an own write brings its push
//! behind the own one, when the own write's place is taken; one that lies *before* it is part of what the
//! write has left, and its place in the count, if it took one, is missed by the own push, which is then
//! reported. So a count can err only by reporting too much.
//!
//! The driver hands a reply to the task that waits for it, and a push to us, so a push is often here
//! before it is known what the write came to. It is held until then, but not beyond the next proof.

use std::collections::{HashMap, hash_map::Entry};

use tenure_core::SessionId;

/// The accounts of one connection. A new connection begins with new ones: what the old one owed does
/// not come any more.
#[derive(Debug, Default)]
pub(crate) struct OwnWrites {
    accounts: HashMap<SessionId, Account>,
}

/// Whether a session is to be reported as changed.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Nothing,
    Changed,
}

/// What became of an own write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It changed something, so it brings a push.
    Wrote,
    /// It changed nothing, or nobody knows. If it brings a push all the same, that counts as somebody
    /// else's.
    NotKnownToHaveWritten,
}

#[derive(Debug, Default)]
struct Account {
    /// Own writes that were sent and have not ended.
    under_way: u32,
    /// Pushes that have come meanwhile and may be theirs; never more than those.
    held: u32,
    /// Whether a held push has not been reported.
    is_untold: bool,
    /// Pushes of own writes that have ended, which have not come yet.
    due: u32,
    /// Those among them that must come before the proof that is under way.
    overdue: u32,
}

impl OwnWrites {
    /// Takes in that a write is about to be sent.
    pub(crate) fn begin(&mut self, id: SessionId) {
        self.accounts.entry(id).or_default().under_way += 1;
    }

    /// Takes in what became of it: also if its caller has left.
    pub(crate) fn end(&mut self, id: SessionId, outcome: Outcome) -> Report {
        let Entry::Occupied(mut account) = self.accounts.entry(id) else {
            return Report::Nothing;
        };
        let report = account.get_mut().end(outcome);
        if account.get().is_settled() {
            account.remove();
        }
        report
    }

    /// Takes in a push.
    pub(crate) fn pushed(&mut self, id: SessionId) -> Report {
        let Entry::Occupied(mut account) = self.accounts.entry(id) else {
            return Report::Changed;
        };
        let report = account.get_mut().pushed();
        if account.get().is_settled() {
            account.remove();
        }
        report
    }

    /// Notes what must have come before the answer to a proof that is about to be sent.
    pub(crate) fn ask_for_proof(&mut self) {
        for account in self.accounts.values_mut() {
            account.overdue = account.due;
        }
    }

    /// Takes in that a proof was answered: nothing is held beyond it, and what has not come by now never
    /// will. Calls `report` for each session about which either is the case.
    pub(crate) fn prove(&mut self, mut report: impl FnMut(SessionId)) {
        self.accounts.retain(|id, account| {
            if account.prove() == Report::Changed {
                report(*id);
            }
            !account.is_settled()
        });
    }
}

impl Account {
    fn end(&mut self, outcome: Outcome) -> Report {
        self.under_way -= 1;
        match (outcome, self.held) {
            (Outcome::Wrote, 0) => self.due += 1,
            (Outcome::Wrote, _) => self.held -= 1,
            (Outcome::NotKnownToHaveWritten, _) => {}
        }
        let has_foreign = self.held > self.under_way;
        self.held = self.held.min(self.under_way);
        let report = Report::when(has_foreign && self.is_untold);
        self.is_untold &= self.held > 0 && !has_foreign;
        report
    }

    fn pushed(&mut self) -> Report {
        if self.due > 0 {
            self.due -= 1;
            self.overdue = self.overdue.saturating_sub(1);
        } else if self.held < self.under_way {
            self.held += 1;
            self.is_untold = true;
        } else {
            // More than can be own; the held ones are told of with it.
            self.is_untold = false;
            return Report::Changed;
        }
        Report::Nothing
    }

    fn prove(&mut self) -> Report {
        let report = Report::when(self.is_untold || self.overdue > 0);
        self.is_untold = false;
        self.due -= self.overdue;
        self.overdue = 0;
        report
    }

    const fn is_settled(&self) -> bool {
        self.under_way == 0 && self.due == 0
    }
}

impl Report {
    const fn when(is_changed: bool) -> Self {
        if is_changed {
            Self::Changed
        } else {
            Self::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    const ID: SessionId = SessionId::from_bytes([7; 16]);

    /// The accounts and one session.
    #[derive(Default)]
    struct Ledger(OwnWrites);

    impl Ledger {
        fn begin(&mut self) {
            self.0.begin(ID);
        }

        fn end(&mut self, outcome: Outcome) -> Report {
            self.0.end(ID, outcome)
        }

        fn pushed(&mut self) -> Report {
            self.0.pushed(ID)
        }

        fn proof(&mut self) -> Report {
            self.0.ask_for_proof();
            self.answer()
        }

        fn answer(&mut self) -> Report {
            let mut report = Nothing;
            self.0.prove(|_| report = Changed);
            report
        }

        fn is_empty(&self) -> bool {
            self.0.accounts.is_empty()
        }
    }

    use Outcome::{NotKnownToHaveWritten, Wrote};
    use Report::{Changed, Nothing};

    #[test]
    fn the_one_push_of_an_own_write_is_no_report_before_or_after_it_has_ended() {
        let mut ledger = Ledger::default();
        ledger.begin();
        assert_eq!(ledger.pushed(), Nothing);
        assert_eq!(ledger.end(Wrote), Nothing);
        assert!(ledger.is_empty());
        ledger.begin();
        assert_eq!(ledger.end(Wrote), Nothing);
        assert_eq!(ledger.pushed(), Nothing);
        assert!(ledger.is_empty());
        assert_eq!(ledger.pushed(), Changed, "the next one is foreign");
    }

    #[test]
    fn a_push_too_many_is_a_report_at_once() {
        let mut ledger = Ledger::default();
        ledger.begin();
        assert_eq!(ledger.pushed(), Nothing);
        assert_eq!(ledger.pushed(), Changed);
        assert_eq!(ledger.end(Wrote), Nothing, "it has been told");
        assert_eq!(ledger.pushed(), Changed);
    }

    #[test]
    fn the_push_of_a_write_that_changed_nothing_was_somebody_else_s() {
        let mut ledger = Ledger::default();
        ledger.begin();
        ledger.begin();
        assert_eq!(ledger.pushed(), Nothing);
        assert_eq!(ledger.end(NotKnownToHaveWritten), Nothing, "the other's?");
        assert_eq!(ledger.end(NotKnownToHaveWritten), Changed);
        assert!(ledger.is_empty());
    }

    #[test]
    fn a_held_push_is_reported_with_the_next_proof_and_keeps_its_place() {
        let mut ledger = Ledger::default();
        ledger.begin();
        assert_eq!(ledger.pushed(), Nothing);
        assert_eq!(ledger.proof(), Changed);
        assert_eq!(ledger.proof(), Nothing, "once");
        assert_eq!(ledger.end(Wrote), Nothing);
        assert_eq!(ledger.pushed(), Changed, "its own push has come before");
    }

    #[test]
    fn a_push_that_does_not_come_before_a_proof_is_not_waited_for() {
        let mut ledger = Ledger::default();
        ledger.begin();
        assert_eq!(ledger.end(Wrote), Nothing);
        ledger.0.ask_for_proof();
        ledger.begin();
        assert_eq!(ledger.end(Wrote), Nothing);
        assert_eq!(ledger.answer(), Changed);
        assert_eq!(ledger.pushed(), Nothing, "that of the later write");
        assert!(ledger.is_empty());
    }

    /// A server with one session, a connection to it, and a cache of one entry that keeps to the rules of
    /// the near cache. Values stand for versions, steps for time.
    #[derive(Default)]
    struct World {
        step: usize,
        value: u64,
        is_tracked: bool,
        /// The value after each step.
        history: Vec<u64>,
        sent: VecDeque<Call>,
        stream: VecDeque<Item>,
        answered: Vec<(Call, u64, Outcome)>,
        ledger: Ledger,
        /// Counts what may have changed the session, as seen by the cache.
        changes: u64,
        entry: Option<(u64, usize)>,
        proven: usize,
        dropped: Vec<usize>,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Write,
        Load,
        Proof,
    }

    #[derive(Clone, Copy)]
    struct Call {
        kind: Kind,
        asked: usize,
        changes: u64,
    }

    enum Item {
        Reply(Call, u64, Outcome),
        Push,
    }

    impl World {
        fn send(&mut self, kind: Kind) {
            match kind {
                Kind::Write => self.ledger.begin(),
                Kind::Proof => self.ledger.0.ask_for_proof(),
                Kind::Load => {}
            }
            self.sent.push_back(Call {
                kind,
                asked: self.step,
                changes: self.changes,
            });
        }

        /// The server takes the next command, or `foreign` changes the session.
        fn carry_out(&mut self, writes: bool) {
            let Some(call) = self.sent.pop_front() else {
                return;
            };
            let writes = writes && call.kind == Kind::Write;
            self.value += u64::from(writes);
            self.is_tracked |= call.kind != Kind::Proof;
            let outcome = if writes { Wrote } else { NotKnownToHaveWritten };
            self.stream
                .push_back(Item::Reply(call, self.value, outcome));
            if writes {
                self.stream.push_back(Item::Push);
            }
        }

        fn change_elsewhere(&mut self, by: u64) {
            self.value += by;
            if std::mem::take(&mut self.is_tracked) {
                self.stream.push_back(Item::Push);
            }
        }

        /// The driver takes the next item of the stream.
        fn receive(&mut self) {
            match self.stream.pop_front() {
                Some(Item::Push) => {
                    let report = self.ledger.pushed();
                    self.take_in(report);
                }
                Some(Item::Reply(call, value, outcome)) => {
                    self.answered.push((call, value, outcome));
                }
                None => {}
            }
        }

        /// The task that has waited for an answer goes on.
        fn wake(&mut self, choice: usize) {
            if self.answered.is_empty() {
                return;
            }
            let (call, value, outcome) = self.answered.swap_remove(choice % self.answered.len());
            if self.dropped.contains(&call.asked) {
                return;
            }
            match call.kind {
                Kind::Proof => {
                    let report = self.ledger.answer();
                    self.take_in(report);
                    self.proven = self.proven.max(call.asked);
                    return;
                }
                Kind::Write => {
                    let report = self.ledger.end(outcome);
                    self.take_in(report);
                }
                Kind::Load => {}
            }
            let is_clean = self.changes == call.changes;
            if outcome == Wrote {
                self.changes += 1;
            }
            if is_clean {
                let newer = self.entry.filter(|(old, _)| *old > value);
                self.entry = Some(newer.unwrap_or((value, call.asked)));
            } else if outcome == Wrote {
                self.entry = None;
            }
        }

        /// The caller of a write leaves.
        fn leave(&mut self) {
            let mut under_way = (self.sent.iter().copied())
                .chain(self.stream.iter().filter_map(|item| match item {
                    Item::Reply(call, ..) => Some(*call),
                    Item::Push => None,
                }))
                .chain(self.answered.iter().map(|(call, ..)| *call));
            let gone = under_way
                .rfind(|call| call.kind == Kind::Write && !self.dropped.contains(&call.asked));
            if let Some(call) = gone {
                self.dropped.push(call.asked);
                let report = self.ledger.end(NotKnownToHaveWritten);
                self.take_in(report);
                self.changes += 1;
                self.entry = None;
            }
        }

        fn take_in(&mut self, report: Report) {
            if report == Changed {
                self.changes += 1;
                self.entry = None;
            }
        }

        fn act(&mut self, action: u8) {
            match action % 16 {
                0 | 1 => self.send(Kind::Write),
                2 => self.send(Kind::Load),
                3 => self.send(Kind::Proof),
                4 | 5 => self.carry_out(true),
                6 => self.carry_out(false),
                7 => self.change_elsewhere(1),
                8 => self.change_elsewhere(0),
                9 => self.leave(),
                10..=12 => self.receive(),
                _ => self.wake(usize::from(action / 16)),
            }
            self.history.push(self.value);
            self.step += 1;
        }

        fn drain(&mut self) {
            while !(self.sent.is_empty() && self.stream.is_empty() && self.answered.is_empty()) {
                // Receive and wake first, so that a push is never lost behind a call.
                for action in [4, 10, 10, 15] {
                    self.act(action);
                }
            }
        }

        /// Whether the entry is as new as it is proven to be.
        fn keeps_its_promise(&self) -> bool {
            self.entry.is_none_or(|(value, asked)| {
                let since = asked.max(self.proven);
                since == 0 || value >= self.history[since - 1]
            })
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn no_order_of_writes_changes_and_answers_leaves_what_is_proven_and_old(
            actions in proptest::collection::vec(any::<u8>(), 1..120)
        ) {
            let mut world = World::default();
            for action in actions {
                world.act(action);
                prop_assert!(world.keeps_its_promise());
            }
            world.drain();
            world.send(Kind::Proof);
            world.drain();
            prop_assert!(world.entry.is_none_or(|(value, _)| value == world.value));
            prop_assert!(world.ledger.is_empty());
        }

        #[test]
        fn own_writes_alone_are_never_reported(
            actions in proptest::collection::vec(any::<u8>(), 1..120)
        ) {
            let mut world = World::default();
            for action in actions.into_iter().filter(|action| !matches!(action % 16, 3 | 7..=9)) {
                let changes = world.changes;
                let answers = world.answered.len();
                world.act(action);
                // Only the end of an own write counts as a change.
                let ended = u64::from(world.answered.len() < answers);
                prop_assert!(world.changes <= changes + ended);
            }
            world.drain();
            prop_assert!(world.ledger.is_empty());
        }
    }
}
