//! The session as one request sees it: what was loaded, with the request's own changes on top.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    Merges, SessionError,
    log::{Changes, NewLogin, Seen, Update},
};
use crate::{
    Values,
    model::{Edits, Name},
};

/// A request's uncommitted changes, and what it has read.
#[derive(Default)]
pub(crate) struct Draft {
    /// The stored values below the changes.
    base: Values,
    /// Whether they were what the primary held at some time during the request. What a cache or a replica
    /// answers may be older.
    is_current: bool,
    /// What the request's last commit made of its values where others, in the same commit, have made
    /// something else of them since: a request sees its own increment, and not the next one's.
    own: Edits,
    changes: Changes,
    /// What `changes` come to on what is below them.
    edits: Edits,
    /// Whether any of them changes what was there, as far as the request has seen.
    is_effective: bool,
    /// Whether a commit has to replay them although nobody has changed the session since: they could not be
    /// replayed on what is below them now, or were made on the strength of values from before it.
    needs_replay: bool,
    /// Values that the request has read, as it saw them when it last looked. A commit does not move them:
    /// whoever replaces a value on the strength of an older one has a conflict.
    reads: Vec<(Name, Option<Bytes>)>,
    /// Which of its own uncommitted values it has read: read values, once they are committed.
    own_reads: Vec<Name>,
}

impl Draft {
    pub(crate) fn new(base: Values, is_current: bool) -> Self {
        Self {
            base,
            is_current,
            ..Self::default()
        }
    }

    pub(crate) const fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Whether the changes, all together, change nothing of what the store holds, and so need no commit. Where
    /// others do change something, those that do not go along: a replay has to know of them.
    pub(crate) const fn changes_nothing(&self) -> bool {
        let is_idle = !self.is_effective && self.changes.login.is_none() && !self.changes.rotates;
        is_idle && self.is_current
    }

    pub(crate) const fn rotates(&self) -> bool {
        self.changes.rotates
    }

    pub(crate) const fn login(&self) -> Option<&NewLogin> {
        self.changes.login.as_ref()
    }

    /// Whether what the changes come to can be written over what is stored, if that is what is below them.
    pub(crate) fn is_exact(&self) -> bool {
        self.own.entries.is_empty() && !self.needs_replay
    }

    /// Reads a value and remembers having read it, if it is a stored one and not the request's own.
    pub(crate) fn read(&mut self, name: &Name) -> Option<Bytes> {
        let value = self.peek(name);
        if self.is_own(name) {
            if !self.own_reads.contains(name) {
                self.own_reads.push(name.clone());
            }
        } else {
            match self.reads.iter_mut().find(|(read, _)| read == name) {
                Some((_, seen)) => seen.clone_from(&value),
                None => self.reads.push((name.clone(), value.clone())),
            }
        }
        value
    }

    /// Reads a value whose content will not influence the request.
    pub(crate) fn peek(&self, name: &Name) -> Option<Bytes> {
        match self.edits.entries.get(name) {
            Some(edited) => edited.clone(),
            None if self.edits.cleared => None,
            None => self.own.get(&self.base, name),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let view = self.below().with(&self.edits);
        view.iter().map(|(name, _)| name.to_owned()).collect()
    }

    /// Puts a value in place, or removes it.
    pub(crate) fn put(&mut self, name: Name, value: Option<Bytes>) {
        let read = self.reads.iter().find(|(read, _)| *read == name);
        let seen = read.map_or(Seen::Nothing, |(_, seen)| Seen::Stored(seen.clone()));
        if let Seen::Stored(seen) = &seen {
            let below = self.own.get(&self.base, &name);
            let is_there = *seen == value && below == value && !self.is_own(&name);
            self.is_effective |= !is_there;
            self.needs_replay |= *seen != below;
        } else {
            self.is_effective = true;
        }
        self.changes.put(name.clone(), value.clone(), seen);
        self.edits.set(name, value);
    }

    /// Records an update that made `new` out of `old`; refuses if `old` is no longer what is there.
    pub(crate) fn update(
        &mut self,
        name: &Name,
        apply: &Arc<Update>,
        old: Option<&Bytes>,
        new: Bytes,
    ) -> bool {
        if self.peek(name).as_ref() != old {
            return false;
        }
        self.is_effective = true;
        self.changes.update(name.clone(), Arc::clone(apply));
        self.edits.set(name.clone(), Some(new));
        true
    }

    /// Removes all values, of which there may be none.
    pub(crate) fn clear(&mut self) {
        self.is_effective |= !self.below().is_empty();
        self.changes.clear();
        self.edits.clear();
    }

    pub(crate) fn log_in(&mut self, login: NewLogin) {
        self.changes.login = Some(login);
        self.changes.logs_out = false;
        self.changes.rotates = true;
    }

    pub(crate) fn log_out(&mut self) {
        self.changes.login = None;
        self.changes.logs_out = true;
        self.changes.rotates = true;
    }

    /// Whether nobody is to be logged in any more.
    pub(crate) const fn logs_out(&self) -> bool {
        self.changes.logs_out
    }

    pub(crate) fn rotate(&mut self) {
        self.changes.rotates = true;
    }

    /// Takes the changes out, leaving what was below them.
    pub(crate) fn take(&mut self) -> (Changes, Edits) {
        self.needs_replay = false;
        self.is_effective = false;
        // Whatever becomes of them, what is below is not what is stored any more.
        self.is_current = false;
        (
            std::mem::take(&mut self.changes),
            std::mem::take(&mut self.edits),
        )
    }

    /// Takes the changes out where they change nothing, so that what is below them stays what it is.
    pub(crate) fn take_unchanged(&mut self) -> Changes {
        let is_current = self.is_current;
        let (changes, _) = self.take();
        self.is_current = is_current;
        changes
    }

    /// What has to be replayed to put the draft onto other values, with [`put_onto`](Self::put_onto).
    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Puts the draft onto newer values, on which its changes come to `edits`, if they can be replayed there.
    /// Refuses if there are other changes by now than those that were replayed.
    pub(crate) fn put_onto(
        &mut self,
        below: &Below,
        replayed: &Changes,
        edits: Option<Edits>,
    ) -> bool {
        if self.changes.steps() != replayed.steps() {
            return false;
        }
        self.put_unseen(below);
        if let Some(edits) = edits {
            self.edits = edits;
            self.needs_replay = replayed.steps() > 0;
        }
        true
    }

    /// Puts the draft onto newer values without showing what its changes come to there.
    pub(crate) fn put_unseen(&mut self, below: &Below) {
        for name in std::mem::take(&mut self.own_reads) {
            if !self.reads.iter().any(|(read, _)| *read == name) {
                self.reads.push((name, None));
            }
        }
        // What the request wrote itself does not count as a change by others.
        for (name, seen) in &mut self.reads {
            match below.committed.entries.get(name) {
                Some(value) => seen.clone_from(value),
                None if below.committed.cleared => *seen = None,
                None => {}
            }
        }
        self.base = below.base.clone();
        self.own = below.own();
        self.is_current = true;
        self.needs_replay = true;
    }

    fn below(&self) -> Values {
        if self.own.entries.is_empty() {
            self.base.clone()
        } else {
            self.base.with(&self.own)
        }
    }

    fn is_own(&self, name: &Name) -> bool {
        self.edits.cleared || self.edits.entries.contains_key(name)
    }
}

/// Newer values to put a draft onto.
#[derive(Debug)]
pub(crate) struct Below {
    /// What is stored.
    pub(crate) base: Values,
    /// What this request has committed, if it is a commit that this is about.
    pub(crate) committed: Edits,
}

impl Below {
    /// What changes that are not committed yet come to on these values.
    pub(crate) fn replay(&self, changes: &Changes) -> Result<Edits, SessionError> {
        // Conflicts are judged when the changes are committed; here the newer values are only shown.
        let merges = Merges::last_commit_wins();
        let own = self.own();
        if own.entries.is_empty() {
            return changes.replay(&self.base, &merges);
        }
        changes.replay(&self.base.with(&own), &merges)
    }

    fn own(&self) -> Edits {
        let entries = self.committed.entries.iter();
        let differing = entries.filter(|(name, value)| self.base.get(name.as_str()) != **value);
        Edits {
            cleared: false,
            entries: differing
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        }
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
