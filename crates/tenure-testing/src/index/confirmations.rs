use tenure_core::{Confirm, Confirmation, Epoch, LoginCursor, SessionIndex};

use super::{
    Fixture,
    account::{Account, MINUTE, sibling},
};
use crate::records;

/// A login that was reserved is confirmed, and listed with its session's end.
pub async fn a_confirmed_login_is_listed_with_its_session_s_end(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let ends_at = account.in_time(17 * MINUTE);
    let login = account.logged_in_until(ends_at).await;
    let listed = account.listed_by(10).await;
    assert!(listed == [LoginCursor { ends_at, login }], "what is listed");
    account.holds(&[login], &[]).await;
}

/// A confirmation that is made again has happened.
pub async fn a_repeated_confirmation_is_confirmed(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    let confirmation = account.confirmation(login, epoch);
    for _ in 0..3 {
        assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
    }
    account.holds(&[login], &[]).await;
}

/// A login that was not reserved is not confirmed.
pub async fn a_login_that_was_not_reserved_is_not_confirmed(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    let confirmation = account.confirmation(sibling(login), epoch);
    assert_eq!(account.confirm(confirmation).await, Confirm::Displaced);
    account.holds(&[], &[]).await;
}

/// A login that was reserved before an ending is not confirmed after it.
pub async fn a_login_reserved_before_an_ending_is_not_confirmed(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    let ended = account.end(account.ending()).await;
    assert_eq!(ended.condemned, [login], "what is only reserved, too");
    let confirmation = account.confirmation(login, epoch);
    for _ in 0..2 {
        assert_eq!(account.confirm(confirmation).await, Confirm::Revoked);
    }
    account.holds(&[], &[login]).await;
}

/// A reservation of an epoch that is over is given up when it is to be confirmed: its place is free.
pub async fn a_revoked_confirmation_gives_its_place_up(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    // The index had lost an epoch, and is told of it by somebody who remembers.
    let later = Epoch::from_u64(epoch.as_u64() + 5);
    let survivor = records::random_login();
    let _ = account.touch(survivor, later).await;
    let outcome = account.confirm(account.confirmation(login, epoch)).await;
    assert_eq!(outcome, Confirm::Revoked);
    account.holds(&[survivor], &[]).await;
    let asked = account.asked_within(records::random_login(), super::account::refusing(2));
    account.admitted(&asked).await;
}

/// A login that was condemned meanwhile is not confirmed, and stays condemned.
pub async fn a_login_condemned_meanwhile_is_not_confirmed(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    account.condemn(login).await;
    let confirmation = account.confirmation(login, epoch);
    assert_eq!(account.confirm(confirmation).await, Confirm::Displaced);
    account.holds(&[], &[login]).await;
}

/// A confirmation takes the place of exactly the login that it replaces, not of another one of the same
/// session, and of no login that is condemned.
pub async fn a_confirmation_replaces_exactly_one_login(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let old = account.logged_in().await;
    let beside = sibling(old);
    account.logged_in_as(beside).await;
    let (login, epoch) = account.reserved().await;
    let confirmation = Confirmation {
        replaces: Some(old),
        ..account.confirmation(login, epoch)
    };
    assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
    account.holds(&[beside, login], &[]).await;

    account.condemn(beside).await;
    let (login_after, epoch) = account.reserved().await;
    let confirmation = Confirmation {
        replaces: Some(beside),
        ..account.confirmation(login_after, epoch)
    };
    assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
    account.holds(&[login, login_after], &[beside]).await;
}

/// A login that is said to replace itself is entered all the same.
pub async fn a_login_does_not_replace_itself(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    let confirmation = Confirmation {
        replaces: Some(login),
        ..account.confirmation(login, epoch)
    };
    for _ in 0..2 {
        assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
        account.holds(&[login], &[]).await;
    }
}
