//! What happens when two requests replaced the same value after reading it.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    SessionError,
    codec::{decode_optional, encode},
    guarded,
};
use crate::model::Name;

/// What to do about a true conflict: a value that a request read and then replaced, and that another
/// request replaced in between. Never applied to `update`, which is replayed instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnConflict {
    /// The later request fails with [`SessionError::Conflict`], and nothing of it is written.
    #[default]
    Refuse,
    /// The later commit replaces the value, and the earlier one is lost. For applications that
    /// mean it.
    LastCommitWins,
}

/// The rules for true conflicts: three-way merges for some keys, a policy for the others.
#[derive(Clone, Default)]
pub(crate) struct Merges {
    pub(crate) policy: OnConflict,
    by_name: HashMap<Name, Arc<Merge>>,
}

/// From what was read, what is to be written, and what is there now, makes what shall be there.
type Merge = dyn Fn(Option<&[u8]>, Option<&[u8]>, Option<&[u8]>) -> Result<Option<Bytes>, SessionError>
    + Send
    + Sync;

impl Merges {
    /// No merges, and no conflicts either.
    pub(crate) fn last_commit_wins() -> Self {
        Self {
            policy: OnConflict::LastCommitWins,
            ..Self::default()
        }
    }

    pub(crate) fn add<T: Serialize + DeserializeOwned>(
        &mut self,
        name: Name,
        merge: impl Fn(Option<T>, Option<T>, Option<T>) -> Option<T> + Send + Sync + 'static,
    ) {
        let key = name.clone();
        let erased = move |base: Option<&[u8]>, ours: Option<&[u8]>, theirs: Option<&[u8]>| {
            let [base, ours, theirs] =
                [base, ours, theirs].map(|side| decode_optional(&name, side));
            let merged = merge(base?, ours?, theirs?);
            merged.map(|value| encode(&name, &value)).transpose()
        };
        self.by_name.insert(key, Arc::new(erased));
    }

    pub(crate) fn settle(
        &self,
        name: &Name,
        base: Option<&Bytes>,
        ours: Option<&Bytes>,
        theirs: Option<&Bytes>,
    ) -> Result<Option<Bytes>, SessionError> {
        if let Some(merge) = self.by_name.get(name) {
            let [base, ours, theirs] = [base, ours, theirs].map(|side| side.map(|side| &side[..]));
            return guarded(name, || merge(base, ours, theirs));
        }
        match self.policy {
            OnConflict::LastCommitWins => Ok(ours.cloned()),
            OnConflict::Refuse => Err(SessionError::Conflict {
                key: name.as_str().to_owned(),
            }),
        }
    }
}

impl fmt::Debug for Merges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merges")
            .field("policy", &self.policy)
            .field("merged_keys", &self.by_name.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::IntoName;

    #[test]
    fn a_three_way_merge_sees_all_three_sides() {
        let name = "n".into_name().unwrap();
        let number = |value: i64| encode(&name, &value).unwrap();
        let mut merges = Merges::default();
        merges.add(
            name.clone(),
            |base: Option<i64>, ours: Option<i64>, theirs: Option<i64>| {
                Some(ours? + theirs? - base?)
            },
        );
        let merged = merges.settle(
            &name,
            Some(&number(10)),
            Some(&number(12)),
            Some(&number(15)),
        );
        assert_eq!(merged.unwrap(), Some(number(17)));
        let removed = merges.settle(&name, Some(&number(10)), Some(&number(12)), None);
        assert_eq!(removed.unwrap(), None);
    }

    #[test]
    fn a_merge_that_panics_fails_only_its_own_changes() {
        let name = "n".into_name().unwrap();
        let number = encode(&name, &1).unwrap();
        let mut merges = Merges::default();
        let bug = |_: Option<i64>, _: Option<i64>, _: Option<i64>| -> Option<i64> {
            panic!("a bug in the merge")
        };
        merges.add(name.clone(), bug);
        let error = merges.settle(&name, None, Some(&number), Some(&number));
        assert!(matches!(error, Err(SessionError::ReplayPanicked { .. })));
    }
}
