//! What a request did to its session, in a form that can be done again on a newer state.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{Merges, SessionError, guarded};
use crate::{
    Actor, Client, Epoch, LoginStamp, Operator, Principal, Retention, Values,
    model::{Edits, Name},
};

/// The ordered log of a request's changes.
///
/// Replaying it is a pure function of the log and the values it is replayed on. That is what lets a
/// commit that came too late be *rebased*, as `git rebase` does with a branch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    log: Vec<Change>,
    pub(crate) login: Option<NewLogin>,
    /// Whether whoever is logged in is to be so no more; not along with a login.
    pub(crate) logs_out: bool,
    /// Whether the secret is to be replaced.
    pub(crate) rotates: bool,
}

/// Who logs in with a request, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct NewLogin {
    pub(crate) principal: Principal,
    pub(crate) retention: Retention,
    pub(crate) stamp: LoginStamp,
    /// Who acts in the principal's name, if somebody does.
    pub(crate) actor: Option<Actor>,
    /// The same with what they say about it, for the audit trail.
    pub(crate) operator: Option<Operator>,
    /// What is known of the browser, if that is kept.
    pub(crate) client: Option<Arc<Client>>,
    /// Whether the user has authenticated just now; otherwise what was known of that stays, with the lifetimes.
    pub(crate) is_fresh: bool,
    /// The epoch in which the application's checks began, or in which the login was admitted first.
    pub(crate) fence: Option<Epoch>,
    /// The same of who acts.
    pub(crate) actor_fence: Option<Epoch>,
    /// That of the principal in which it takes place; known when the index has admitted it.
    pub(crate) epoch: Epoch,
    /// That of all sessions in which it takes place; as the epoch.
    pub(crate) gate: Epoch,
}

impl NewLogin {
    /// The login of somebody who has authenticated just now, and of whom no more than that is known.
    pub(crate) fn new(principal: Principal, stamp: LoginStamp) -> Self {
        Self {
            principal,
            retention: Retention::Ordinary,
            stamp,
            actor: None,
            operator: None,
            client: None,
            is_fresh: true,
            fence: None,
            actor_fence: None,
            epoch: Epoch::default(),
            gate: Epoch::default(),
        }
    }
}

#[derive(Clone)]
enum Change {
    /// Sets or removes a value, whatever it was before or if it still is what was seen.
    Put {
        name: Name,
        value: Option<Bytes>,
        seen: Seen,
    },
    /// Computes a value from the one before.
    Update { name: Name, apply: Arc<Update> },
    /// Removes all values.
    Clear,
}

/// What the request had read under a name before it put something there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing: the new value does not depend on the old one.
    Nothing,
    /// This stored value, or that there was none.
    Stored(Option<Bytes>),
}

/// Computes a value's new bytes from its old ones.
pub(crate) type Update = dyn Fn(Option<&[u8]>) -> Result<Bytes, SessionError> + Send + Sync;

impl Changes {
    pub(crate) const fn is_empty(&self) -> bool {
        self.log.is_empty() && self.login.is_none() && !self.logs_out && !self.rotates
    }

    /// How many changes of values there are.
    pub(super) const fn steps(&self) -> usize {
        self.log.len()
    }

    pub(crate) fn put(&mut self, name: Name, value: Option<Bytes>, seen: Seen) {
        self.log.push(Change::Put { name, value, seen });
    }

    pub(crate) fn update(&mut self, name: Name, apply: Arc<Update>) {
        self.log.push(Change::Update { name, apply });
    }

    pub(crate) fn clear(&mut self) {
        self.log.push(Change::Clear);
    }

    /// Does it all again on `stored`.
    ///
    /// Fails with a conflict if a value that the request had read before replacing it is another one
    /// in `stored`, and no merge settles it; `merges` also says whether the later commit just wins.
    ///
    /// Runs code of the application, so no lock is held that a session would take.
    pub(crate) fn replay(&self, stored: &Values, merges: &Merges) -> Result<Edits, SessionError> {
        let mut edits = Edits::default();
        for change in &self.log {
            match change {
                Change::Clear => edits.clear(),
                Change::Update { name, apply } => {
                    let old = edits.get(stored, name);
                    let value = guarded(name, || apply(old.as_deref()))?;
                    edits.set(name.clone(), Some(value));
                }
                Change::Put { name, value, seen } => {
                    let theirs = stored.get(name.as_str());
                    let value = match seen {
                        Seen::Stored(base) if *base != theirs => {
                            merges.settle(name, base.as_ref(), value.as_ref(), theirs.as_ref())?
                        }
                        Seen::Stored(_) | Seen::Nothing => value.clone(),
                    };
                    edits.set(name.clone(), value);
                }
            }
        }
        Ok(edits)
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { name, value, .. } if value.is_some() => write!(f, "Insert({name:?})"),
            Self::Put { name, .. } => write!(f, "Remove({name:?})"),
            Self::Update { name, .. } => write!(f, "Update({name:?})"),
            Self::Clear => f.write_str("Clear"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        changes::codec::{decode_optional, encode},
        model::IntoName,
    };

    fn name(text: &str) -> Name {
        text.into_name().unwrap()
    }

    fn number(value: i64) -> Bytes {
        encode(&name("n"), &value).unwrap()
    }

    fn add(amount: i64) -> Arc<Update> {
        Arc::new(move |old| {
            let old: Option<i64> = decode_optional(&name("n"), old)?;
            encode(&name("n"), &(old.unwrap_or(0) + amount))
        })
    }

    /// One step of a generated log.
    #[derive(Clone, Debug)]
    enum Step {
        Insert(String, i64),
        Remove(String),
        Add(String, i64),
    }

    fn steps(keys: &'static str) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (keys, -9..9_i64).prop_map(|(key, value)| Step::Insert(key, value)),
            keys.prop_map(Step::Remove),
            (keys, -9..9_i64).prop_map(|(key, amount)| Step::Add(key, amount)),
        ];
        proptest::collection::vec(step, 0..8)
    }

    fn values() -> impl Strategy<Value = Values> {
        proptest::collection::btree_map("[a-f]", -9..9_i64, 0..6).prop_map(|map| {
            let mut edits = Edits::default();
            for (key, value) in map {
                edits.set(name(&key), Some(number(value)));
            }
            Values::default().with(&edits)
        })
    }

    fn changes(steps: &[Step]) -> Changes {
        let mut changes = Changes::default();
        for step in steps {
            match step {
                Step::Insert(key, value) => {
                    changes.put(name(key), Some(number(*value)), Seen::Nothing);
                }
                Step::Remove(key) => changes.put(name(key), None, Seen::Nothing),
                Step::Add(key, amount) => changes.update(name(key), add(*amount)),
            }
        }
        changes
    }

    fn applied(changes: &Changes, onto: &Values) -> Values {
        onto.with(&changes.replay(onto, &Merges::default()).unwrap())
    }

    proptest! {
        #[test]
        fn replaying_on_any_base_is_deterministic(steps in steps("[a-f]"), base in values()) {
            let changes = changes(&steps);
            let once = applied(&changes, &base);
            prop_assert_eq!(once, applied(&changes, &base));
        }

        #[test]
        fn rebases_of_disjoint_keys_commute(ours in steps("[a-c]"), theirs in steps("[d-f]"), base in values()) {
            let (ours, theirs) = (changes(&ours), changes(&theirs));
            prop_assert_eq!(
                applied(&ours, &applied(&theirs, &base)),
                applied(&theirs, &applied(&ours, &base))
            );
        }

        #[test]
        fn updates_of_one_key_lose_nothing_in_any_order(amounts in proptest::collection::vec(-99..99_i64, 0..20)) {
            let end = amounts.iter().fold(Values::default(), |values, amount| {
                applied(&changes(&[Step::Add("n".to_owned(), *amount)]), &values)
            });
            let sum = (!amounts.is_empty()).then(|| number(amounts.iter().sum()));
            prop_assert_eq!(end.get("n"), sum);
        }
    }

    #[test]
    fn a_value_read_and_then_replaced_conflicts_if_it_was_changed_in_between() {
        let mut changes = Changes::default();
        changes.put(name("n"), Some(number(2)), Seen::Stored(Some(number(1))));
        let stored = |value| {
            let mut edits = Edits::default();
            edits.set(name("n"), Some(number(value)));
            Values::default().with(&edits)
        };
        assert_eq!(applied(&changes, &stored(1)), stored(2));
        for changed in [stored(7), Values::default()] {
            let error = changes.replay(&changed, &Merges::default()).err().unwrap();
            assert!(matches!(error, SessionError::Conflict { key } if key == "n"));
        }
    }

    #[test]
    fn a_value_put_without_reading_it_wins_over_an_earlier_commit() {
        let theirs = applied(
            &changes(&[Step::Insert("a".to_owned(), 1)]),
            &Values::default(),
        );
        let ours = applied(&changes(&[Step::Insert("a".to_owned(), 2)]), &theirs);
        assert_eq!(ours.get("a"), Some(number(2)));
    }

    #[test]
    fn a_closure_that_panics_on_a_newer_value_fails_only_its_own_changes() {
        let mut changes = Changes::default();
        changes.update(
            name("n"),
            Arc::new(|_| panic!("no such value was expected")),
        );
        let error = changes
            .replay(&Values::default(), &Merges::default())
            .err()
            .unwrap();
        assert!(matches!(error, SessionError::ReplayPanicked { .. }));
    }
}
