//! The session as one request sees it: what was loaded, with the request's own changes on top.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    Merges, SessionError,
    log::{Changes, Login, Seen, Update},
};
use crate::{
    Values,
    model::{Edits, Name},
};

/// A request's uncommitted changes, and what it has read.
#[derive(Default)]
pub(crate) struct Draft {
    /// The values below the changes.
    base: Values,
    changes: Changes,
    /// What `changes` come to on `base`.
    edits: Edits,
    /// Stored values that the request has read, as it saw them.
    reads: Vec<(Name, Option<Bytes>)>,
}

impl Draft {
    pub(crate) fn new(base: Values) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    pub(crate) const fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    pub(crate) const fn login(&self) -> Option<&Login> {
        self.changes.login.as_ref()
    }

    /// Reads a value and remembers having read it, if it is a stored one and not the request's own.
    pub(crate) fn read(&mut self, name: &Name) -> Option<Bytes> {
        let value = self.peek(name);
        if !self.is_own(name) {
            match self.reads.iter_mut().find(|(read, _)| read == name) {
                Some((_, seen)) => seen.clone_from(&value),
                None => self.reads.push((name.clone(), value.clone())),
            }
        }
        value
    }

    /// Reads a value whose content will not influence the request.
    pub(crate) fn peek(&self, name: &Name) -> Option<Bytes> {
        self.edits.get(&self.base, name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let view = self.base.with(&self.edits);
        view.iter().map(|(name, _)| name.to_owned()).collect()
    }

    pub(crate) fn put(&mut self, name: Name, value: Option<Bytes>) {
        let read = self.reads.iter().find(|(read, _)| *read == name);
        let seen = read.map_or(Seen::Nothing, |(_, seen)| Seen::Stored(seen.clone()));
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
        self.changes.update(name.clone(), Arc::clone(apply));
        self.edits.set(name.clone(), Some(new));
        true
    }

    pub(crate) fn clear(&mut self) {
        self.changes.clear();
        self.edits.clear();
    }

    pub(crate) fn log_in(&mut self, login: Login) {
        self.changes.login = Some(login);
        self.changes.rotates = true;
    }

    pub(crate) fn rotate(&mut self) {
        self.changes.rotates = true;
    }

    /// Takes the changes out, leaving what was below them.
    pub(crate) fn take(&mut self) -> (Changes, Edits) {
        (
            std::mem::take(&mut self.changes),
            std::mem::take(&mut self.edits),
        )
    }

    /// Puts the draft onto values that are known to contain what this request has committed, so that
    /// what it wrote itself does not count as a change by others.
    pub(crate) fn settle(&mut self, base: Values) -> Result<(), SessionError> {
        for (name, seen) in &mut self.reads {
            *seen = base.get(name.as_str());
        }
        self.rebase(base)
    }

    /// Puts the draft onto newer values.
    pub(crate) fn rebase(&mut self, base: Values) -> Result<(), SessionError> {
        // Conflicts are judged when the changes are committed; here the newer value is only shown.
        self.edits = self.changes.replay(&base, &Merges::last_commit_wins())?;
        self.base = base;
        Ok(())
    }

    fn is_own(&self, name: &Name) -> bool {
        self.edits.cleared || self.edits.entries.contains_key(name)
    }
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Draft")
            .field("changes", &self.changes)
            .finish_non_exhaustive()
    }
}
