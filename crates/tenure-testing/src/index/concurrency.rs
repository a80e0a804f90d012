use std::{future::Future, sync::Arc};

use tenure_core::{Confirm, Epoch, LoginName, Principal, Reserve, SessionIndex, Touch};

use super::{
    Fixture,
    account::{Account, IndexFixture, evicting, no_fault, refusing, sorted},
};
use crate::{
    conformance::{TASKS, at_once},
    records,
};

/// However many logins are made at a time, a limit that refuses admits as many as there are places.
pub async fn of_concurrent_logins_as_many_are_admitted_as_there_are_places(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let fixture = Arc::new(fixture);
    for most in [1, 3, 7] {
        let user = records::random_principal();
        let outcomes = each_in_a_task(&fixture, &user, move |account| async move {
            let asked = account.asked_within(records::random_login(), refusing(most));
            match account.reserve(&asked).await {
                Reserve::Admitted { epoch, .. } => {
                    let confirmation = account.confirmation(asked.login, epoch);
                    Some((asked.login, account.confirm(confirmation).await))
                }
                Reserve::Full(_) => None,
                other => panic!("a reservation was answered with {other:?}"),
            }
        })
        .await;
        let admitted: Vec<_> = outcomes.into_iter().flatten().collect();
        assert_eq!(admitted.len(), most as usize, "of {TASKS} logins");
        let all_confirmed = admitted.iter().all(|(_, at)| *at == Confirm::Confirmed);
        assert!(all_confirmed, "nobody has displaced them");
        let admitted: Vec<_> = admitted.iter().map(|(login, _)| *login).collect();
        account(&fixture, &user).holds(&admitted, &[]).await;
    }
}

/// However many logins are made at a time, a limit that evicts leaves as many as there are places, and each of the
/// others is condemned.
pub async fn of_concurrent_logins_as_many_are_left_as_there_are_places(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let fixture = Arc::new(fixture);
    for most in [1, 3, 7] {
        let user = records::random_principal();
        let logins = each_in_a_task(&fixture, &user, move |account| async move {
            let asked = account.asked_within(records::random_login(), evicting(most));
            let (epoch, _) = account.admitted(&asked).await;
            let confirmation = account.confirmation(asked.login, epoch);
            (asked.login, account.confirm(confirmation).await)
        })
        .await;
        let account = account(&fixture, &user);
        let left = account.logins().await;
        assert_eq!(left.len(), most as usize, "of {TASKS} logins");
        for login in &left {
            let outcome = logins.iter().find(|(name, _)| name == login);
            let is_confirmed = outcome.is_some_and(|(_, outcome)| *outcome == Confirm::Confirmed);
            assert!(is_confirmed, "a login is listed that was not confirmed");
        }
        let gone = logins.iter().map(|(login, _)| *login);
        let gone = sorted(gone.filter(|login| !left.contains(login)).collect());
        assert_eq!(account.condemned().await, gone, "those that made room");
    }
}

/// After an ending, no login is entered that was reserved before it, however the two fall together; and each is
/// either entered or condemned.
pub async fn no_login_slips_through_an_ending(fixture: impl Fixture<Store: SessionIndex>) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let user = records::random_principal();
        let outcomes = at_once(&fixture, {
            let user = user.clone();
            move |fixture, number| {
                let user = user.clone();
                async move {
                    let account = account(&fixture, &user);
                    if number == TASKS / 2 {
                        let ended = account.end(account.ending()).await;
                        return Step::Ended(ended.epoch);
                    }
                    let (login, epoch) = account.reserved().await;
                    tokio::task::yield_now().await;
                    let confirmation = account.confirmation(login, epoch);
                    Step::LoggedIn(login, epoch, account.confirm(confirmation).await)
                }
            }
        })
        .await;
        let ended = outcomes.iter().find_map(|step| match step {
            Step::Ended(epoch) => Some(*epoch),
            Step::LoggedIn(..) => None,
        });
        let ended = ended.unwrap_or_default();
        let account = account(&fixture, &user);
        let (listed, condemned) = (account.logins().await, account.condemned().await);
        for step in &outcomes {
            let Step::LoggedIn(login, epoch, outcome) = step else {
                continue;
            };
            let is_listed = listed.contains(login);
            assert!(
                is_listed != condemned.contains(login),
                "a login is lost, or in two states"
            );
            assert_eq!(is_listed, *epoch >= ended, "whether a login is entered");
            let is_confirmed = *outcome == Confirm::Confirmed;
            assert!(is_confirmed || !is_listed, "it was not confirmed");
        }
    }
}

/// An ending that arrives several times at once begins one epoch.
pub async fn an_ending_that_is_sent_twice_at_once_happens_once(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let user = records::random_principal();
        let login = account(&fixture, &user).logged_in().await;
        let ending = account(&fixture, &user).ending();
        let epochs = each_in_a_task(&fixture, &user, move |account| async move {
            account.end(ending).await.epoch
        })
        .await;
        let account = account(&fixture, &user);
        let epoch = account.standing().await.epoch;
        assert!(epochs.iter().all(|told| *told == epoch), "{epochs:?}");
        account.holds(&[], &[login]).await;
    }
}

/// A lost login that is used by many at once is entered once.
pub async fn a_lost_login_used_by_many_is_entered_once(fixture: impl Fixture<Store: SessionIndex>) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let user = records::random_principal();
        let login = records::random_login();
        let outcomes = each_in_a_task(&fixture, &user, move |account| async move {
            account.touch(login, Epoch::default()).await
        })
        .await;
        let entered = outcomes.iter().filter(|touch| **touch == Touch::Entered);
        assert_eq!(entered.count(), 1, "{outcomes:?}");
        account(&fixture, &user).holds(&[login], &[]).await;
    }
}

/// The gate is where the highest of many calls has raised it.
pub async fn of_concurrent_raises_of_the_gate_the_highest_counts(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let fixture = Arc::new(fixture);
    for _ in 0..ROUNDS {
        let gate = no_fault("gate", fixture.store().gate().await).as_u64();
        at_once(&fixture, move |fixture, number| async move {
            let to = Epoch::from_u64(gate + 1 + (number as u64 * 7) % TASKS as u64);
            let raised = no_fault("raise_gate", fixture.store().raise_gate(to).await);
            assert!(raised >= to, "it is not as high as it was raised");
        })
        .await;
        let highest = Epoch::from_u64(gate + TASKS as u64);
        assert!(no_fault("gate", fixture.store().gate().await) >= highest);
    }
}

enum Step {
    Ended(Epoch),
    LoggedIn(LoginName, Epoch, Confirm),
}

fn account<F: IndexFixture>(fixture: &Arc<F>, user: &Principal) -> Account<Arc<F>> {
    Account {
        fixture: Arc::clone(fixture),
        user: user.clone(),
    }
}

/// The same by one principal in many tasks at once.
async fn each_in_a_task<F, M, T>(fixture: &Arc<F>, user: &Principal, task: M) -> Vec<T::Output>
where
    F: IndexFixture,
    M: Fn(Account<Arc<F>>) -> T,
    T: Future<Output: Send> + Send + 'static,
{
    at_once(fixture, |fixture, _| task(account(&fixture, user))).await
}

const ROUNDS: usize = 8;
