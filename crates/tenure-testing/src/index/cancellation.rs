use tenure_core::{Confirm, Reserve, SessionIndex, Touch};

use super::{
    Fixture,
    account::{Account, refusing, sorted},
};
use crate::{
    conformance::{POLLS, poll_at_most},
    records,
};

/// A dropped reservation took its place or did not; made again, it is admitted, and counts once.
pub async fn a_dropped_reservation_has_happened_or_not(fixture: impl Fixture<Store: SessionIndex>) {
    for polls in POLLS {
        let account = Account::new(&fixture);
        let bystander = account.logged_in().await;
        let asked = account.asked_within(records::random_login(), refusing(2));
        let dropped = account.index().reserve(&account.user, asked.clone());
        let _ = poll_at_most(polls, dropped).await;
        account.holds(&[bystander], &[]).await;
        account.admitted(&asked).await;
        let next = account.asked_within(records::random_login(), refusing(2));
        let _ = account.full(&next).await;
    }
}

/// A dropped confirmation has happened or not; made again, it is confirmed.
pub async fn a_dropped_confirmation_has_happened_or_not(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let mut logins = Vec::new();
    for polls in POLLS {
        let (login, epoch) = account.reserved().await;
        let confirmation = account.confirmation(login, epoch);
        let dropped = account.index().confirm(&account.user, confirmation);
        let outcome = poll_at_most(polls, dropped).await;
        let listed = account.logins().await;
        assert!(outcome.is_none() || listed.contains(&login));
        assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
        logins.push(login);
        account.holds(&logins, &[]).await;
    }
}

/// A dropped ending has condemned all or none; made again, it has condemned all, once.
pub async fn a_dropped_ending_has_happened_or_not(fixture: impl Fixture<Store: SessionIndex>) {
    for polls in POLLS {
        let account = Account::new(&fixture);
        let logins = [account.logged_in().await, account.logged_in().await];
        let before = account.standing().await.epoch;
        let ending = account.ending();
        let dropped = account.index().end(&account.user, ending);
        let outcome = poll_at_most(polls, dropped).await;
        let has_begun = account.standing().await.epoch > before;
        assert!(has_begun || outcome.is_none());
        if has_begun {
            account.holds(&[], &logins).await;
        } else {
            account.holds(&logins, &[]).await;
        }
        let ended = account.end(ending).await;
        assert_eq!(sorted(ended.condemned), sorted(logins.to_vec()));
        account.holds(&[], &logins).await;
    }
}

/// A dropped settling has dropped all entries or none; made again, they are gone.
pub async fn a_dropped_settling_has_happened_or_not(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let bystander = account.logged_in().await;
    for polls in POLLS {
        let logins = [account.logged_in().await, account.logged_in().await];
        let dropped = account.index().settle(&account.user, logins.to_vec());
        let outcome = poll_at_most(polls, dropped).await;
        if account.logins().await.contains(&logins[0]) {
            assert!(outcome.is_none(), "it had been answered");
            account.holds(&[bystander, logins[0], logins[1]], &[]).await;
        } else {
            account.holds(&[bystander], &[]).await;
        }
        account.settle(&logins).await;
        account.holds(&[bystander], &[]).await;
    }
}

/// Other dropped verbs leave the index usable, and have happened or not.
pub async fn a_dropped_call_leaves_the_index_usable(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let mut logins = vec![account.logged_in().await];
    let mut condemned = Vec::new();
    for polls in POLLS {
        let _ = poll_at_most(polls, account.index().standing(&account.user)).await;
        let _ = poll_at_most(polls, account.index().logins(&account.user, None, 5)).await;
        let _ = poll_at_most(polls, account.index().users(None)).await;
        let _ = poll_at_most(polls, account.index().gate()).await;
        let seen = account.seen(records::random_login(), Default::default());
        let _ = poll_at_most(polls, account.index().touch(&account.user, seen)).await;
        let touched = account.touch(seen.login, seen.epoch).await;
        assert!(matches!(touched, Touch::Entered | Touch::Known));
        logins.push(seen.login);
        account.holds(&logins, &condemned).await;
        let victim = logins.remove(0);
        let dropped = account.index().condemn(&account.user, victim);
        let _ = poll_at_most(polls, dropped).await;
        account.condemn(victim).await;
        condemned.push(victim);
        account.holds(&logins, &condemned).await;
    }
    let asked = account.asked(records::random_login());
    let outcome = account.reserve(&asked).await;
    assert!(matches!(outcome, Reserve::Admitted { .. }));
}
