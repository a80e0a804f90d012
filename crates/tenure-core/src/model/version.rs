//! Versions, and what comparing two of them proves.

/// Which of a session's states a record, a cookie or a cache entry holds.
///
/// The counter grows by one with each commit; the tag is random and chosen by the committer. Two
/// writers that start from the same state cannot produce the same version, so a fork shows, and a
/// retried commit recognises itself.
///
/// Equality is of both parts. There is no `Ord`: use [`Version::relation`], which knows forks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Version {
    counter: u64,
    tag: u64,
}

impl Version {
    /// Puts a version together from its two parts.
    #[must_use]
    pub const fn new(counter: u64, tag: u64) -> Self {
        Self { counter, tag }
    }

    /// How many commits made this state; 1 for a session that was just created.
    #[must_use]
    pub const fn counter(self) -> u64 {
        self.counter
    }

    /// What the committer drew to tell its commit from any other with the same counter.
    #[must_use]
    pub const fn tag(self) -> u64 {
        self.tag
    }

    /// How this version stands to `other`, as far as two versions alone can tell.
    #[must_use]
    pub const fn relation(self, other: Self) -> Relation {
        if self.counter > other.counter {
            Relation::Ahead
        } else if self.counter < other.counter {
            Relation::Behind
        } else if self.tag == other.tag {
            Relation::Same
        } else {
            Relation::Fork
        }
    }
}

/// How one version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "callers must handle every relation"
)]
pub enum Relation {
    /// The same commit made both.
    Same,
    /// Newer, and as far as known descended from the other.
    Ahead,
    /// Older. If this is what the *store* holds, it has lost acknowledged commits: a rollback.
    Behind,
    /// Two histories: the other version's commit is not among this one's ancestors.
    Fork,
}

/// A version together with the tags of the commits that led to it: the last
/// [`Lineage::REMEMBERED`], its own included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    counter: u64,
    /// Newest first; zero beyond the first commit.
    tags: [u64; Self::REMEMBERED],
}

impl Lineage {
    /// The lineage of a session that is just being created.
    #[must_use]
    pub const fn first(tag: u64) -> Self {
        let mut tags = [0; Self::REMEMBERED];
        tags[0] = tag;
        Self { counter: 1, tags }
    }

    /// The lineage after one more commit.
    #[must_use]
    pub fn next(mut self, tag: u64) -> Self {
        self.tags.rotate_right(1);
        self.tags[0] = tag;
        Self {
            counter: self.counter.saturating_add(1),
            tags: self.tags,
        }
    }

    pub(crate) const fn from_parts(counter: u64, tags: [u64; Self::REMEMBERED]) -> Self {
        Self { counter, tags }
    }

    pub(crate) const fn tags(&self) -> &[u64; Self::REMEMBERED] {
        &self.tags
    }

    /// The version at its head.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version::new(self.counter, self.tags[0])
    }

    /// How the head stands to `other`, looking through the remembered ancestors.
    ///
    /// A version that is older than the remembered ones is taken for an ancestor, since nothing
    /// shows the contrary.
    #[must_use]
    pub fn relation(&self, other: Version) -> Relation {
        let Some(behind) = self.counter.checked_sub(other.counter) else {
            return Relation::Behind;
        };
        let remembered = usize::try_from(behind).ok().and_then(|i| self.tags.get(i));
        match remembered {
            Some(tag) if *tag != other.tag => Relation::Fork,
            Some(_) if behind == 0 => Relation::Same,
            Some(_) | None => Relation::Ahead,
        }
    }

    /// Whether the commit that made `version` is known to be part of this history.
    ///
    /// This is how a store recognises a commit that is sent a second time.
    #[must_use]
    pub fn contains(&self, version: Version) -> bool {
        // There is no version 0; the slots before the first commit hold no tags.
        let counter = (version.counter > 0).then_some(version.counter);
        counter
            .and_then(|counter| self.counter.checked_sub(counter))
            .and_then(|behind| usize::try_from(behind).ok())
            .and_then(|behind| self.tags.get(behind))
            .is_some_and(|tag| *tag == version.tag)
    }

    /// Whether [`contains`](Self::contains) is certain of that version: the remembered tags reach back to it,
    /// or the history has not come so far.
    #[must_use]
    pub const fn is_certain_of(&self, version: Version) -> bool {
        match self.counter.checked_sub(version.counter) {
            Some(behind) => behind < Self::REMEMBERED as u64,
            None => true,
        }
    }

    /// How many tags a record keeps.
    ///
    /// Eight commits is more than the requests that one browser has in flight at a time (six
    /// connections to a host), so a fork is seen by the first of them that comes back.
    pub const REMEMBERED: usize = 8;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn history(tags: &[u64]) -> Lineage {
        let (first, rest) = tags.split_first().unwrap();
        rest.iter()
            .fold(Lineage::first(*first), |lineage, tag| lineage.next(*tag))
    }

    #[test]
    fn the_table_of_cookie_against_store_holds_row_by_row() {
        let stored = history(&[11, 12, 13]);
        let rows = [
            (Version::new(3, 13), Relation::Same),
            (Version::new(2, 12), Relation::Ahead),
            (Version::new(1, 11), Relation::Ahead),
            (Version::new(3, 99), Relation::Fork),
            (Version::new(2, 99), Relation::Fork),
            (Version::new(4, 14), Relation::Behind),
        ];
        for (cookie, relation) in rows {
            assert_eq!(stored.relation(cookie), relation, "{cookie:?}");
        }
    }

    #[test]
    fn a_fork_beyond_the_remembered_tags_can_no_longer_be_seen() {
        let stored = history(&(1..=9).collect::<Vec<_>>());
        assert_eq!(stored.relation(Version::new(2, 99)), Relation::Fork);
        assert_eq!(stored.relation(Version::new(1, 99)), Relation::Ahead);
        assert!(!stored.contains(Version::new(1, 1)));
        assert!(stored.contains(Version::new(2, 2)));
    }

    proptest! {
        #[test]
        fn relations_of_two_versions_mirror_each_other(
            a in (1_u64..5, 1_u64..5), b in (1_u64..5, 1_u64..5),
        ) {
            let (a, b) = (Version::new(a.0, a.1), Version::new(b.0, b.1));
            let mirrored = match b.relation(a) {
                Relation::Ahead => Relation::Behind,
                Relation::Behind => Relation::Ahead,
                same => same,
            };
            prop_assert_eq!(a.relation(b), mirrored);
            prop_assert_eq!(a.relation(b) == Relation::Same, a == b);
        }

        #[test]
        fn a_lineage_agrees_with_its_head_and_knows_all_remembered_ancestors(
            tags in proptest::collection::vec(1_u64..1000, 1..20), other in (1_u64..25, 1_u64..1000),
        ) {
            let lineage = history(&tags);
            let other = Version::new(other.0, other.1);
            for (index, tag) in tags.iter().enumerate() {
                let ancestor = Version::new(index as u64 + 1, *tag);
                let remembered = tags.len() - index <= Lineage::REMEMBERED;
                prop_assert_eq!(lineage.contains(ancestor), remembered);
                prop_assert_eq!(lineage.is_certain_of(ancestor), remembered);
                let expected = if index + 1 == tags.len() { Relation::Same } else { Relation::Ahead };
                prop_assert_eq!(lineage.relation(ancestor), expected);
            }
            // A lineage sees everything that the bare version sees, and forks of ancestors besides.
            match lineage.version().relation(other) {
                Relation::Ahead => prop_assert!(matches!(lineage.relation(other), Relation::Ahead | Relation::Fork)),
                relation => prop_assert_eq!(lineage.relation(other), relation),
            }
        }
    }
}
