use std::time::Duration;

use tenure_core::{
    CONDEMNED_PER_CALL, Confirm, Epoch, RESERVED_FOR, Reservation, Reserve, SessionIndex,
};

use super::{
    Fixture,
    account::{Account, refusing, sibling, sorted},
};
use crate::records;

/// A reservation is admitted, and is not a login yet.
pub async fn a_reservation_is_admitted_and_is_no_login_yet(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let asked = account.asked(records::random_login());
    let (epoch, condemned) = account.admitted(&asked).await;
    assert_eq!(epoch, Epoch::default(), "nobody has ended anything");
    assert!(condemned.is_empty(), "nobody has condemned anything");
    account.holds(&[], &[]).await;
}

/// A place that was reserved and not confirmed is free after [`RESERVED_FOR`].
pub async fn a_reservation_that_is_not_confirmed_lapses(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (crashed, epoch) = account.reserved().await;
    let next = account.asked_within(records::random_login(), refusing(1));
    let _ = account.full(&next).await;
    fixture.clock().advance(RESERVED_FOR);
    account.admitted(&next).await;
    let late = account.confirm(account.confirmation(crashed, epoch)).await;
    assert_eq!(late, Confirm::Displaced, "its place was given away");
    account.holds(&[], &[]).await;
}

/// Until then it is taken.
pub async fn a_reservation_holds_its_place_as_long_as_promised(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (slow, epoch) = account.reserved().await;
    fixture
        .clock()
        .advance(RESERVED_FOR - Duration::from_millis(1));
    let next = account.asked_within(records::random_login(), refusing(1));
    let _ = account.full(&next).await;
    account.confirmed(slow, epoch, account.session_end()).await;
    account.holds(&[slow], &[]).await;
}

/// A reservation that is made again takes one place.
pub async fn a_repeated_reservation_counts_once(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let first = account.asked_within(records::random_login(), refusing(2));
    let second = account.asked_within(records::random_login(), refusing(2));
    let third = account.asked_within(records::random_login(), refusing(2));
    for asked in [&first, &first, &second, &first, &second] {
        account.admitted(asked).await;
    }
    let _ = account.full(&third).await;
}

/// A reservation that arrives after its own confirmation leaves the login entered.
pub async fn a_late_reservation_leaves_its_login_entered(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let asked = account.asked_within(records::random_login(), refusing(1));
    let (epoch, _) = account.admitted(&asked).await;
    account
        .confirmed(asked.login, epoch, account.session_end())
        .await;
    account.admitted(&asked).await;
    fixture.clock().advance(RESERVED_FOR);
    account.admitted(&asked).await;
    account.holds(&[asked.login], &[]).await;
}

/// A login that was condemned cannot be reserved again, whoever sends it.
pub async fn a_condemned_login_cannot_be_reserved(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    account.condemn(login).await;
    let outcome = account.reserve(&account.asked(login)).await;
    assert_eq!(outcome, Reserve::Displaced);
    account.holds(&[], &[login]).await;
}

/// A fence that was taken in this epoch admits.
pub async fn a_fence_of_this_epoch_admits(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    for _ in 0..2 {
        let fence = account.standing().await.epoch;
        let asked = Reservation {
            fence: Some(fence),
            ..account.asked(records::random_login())
        };
        let (epoch, _) = account.admitted(&asked).await;
        assert_eq!(epoch, fence, "nothing was ended in between");
        let _ = account.end(account.ending()).await;
    }
}

/// A fence that was taken before an ending does not, and takes no place.
pub async fn a_fence_of_an_earlier_epoch_is_revoked(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    for _ in 0..2 {
        let fence = account.standing().await.epoch;
        let ended = account.end(account.ending()).await;
        let late = Reservation {
            fence: Some(fence),
            ..account.asked(records::random_login())
        };
        assert_eq!(account.reserve(&late).await, Reserve::Revoked);
        let confirmation = account.confirmation(late.login, ended.epoch);
        let outcome = account.confirm(confirmation).await;
        assert_eq!(outcome, Confirm::Displaced, "it was not reserved");
    }
}

/// Whoever reserves is told what others have condemned and not settled.
pub async fn a_reservation_tells_what_is_condemned(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let left = account.logged_in().await;
    account.condemn(left).await;
    let asked = account.asked(records::random_login());
    let (_, condemned) = account.admitted(&asked).await;
    assert_eq!(condemned, [left], "what a reservation tells to be ended");
}

/// Of many condemned logins, up to [`CONDEMNED_PER_CALL`] are told at a time, and the rest when those are
/// settled.
pub async fn many_condemned_logins_are_told_little_by_little(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let all = account.crowd(CONDEMNED_PER_CALL * 2 + 50).await;
    let ending = account.ending();
    let mut told = account.end(ending).await.condemned;
    assert_eq!(told.len(), CONDEMNED_PER_CALL, "what an ending tells");
    account.settle(&told).await;
    let asked = account.asked(records::random_login());
    let (_, more) = account.admitted(&asked).await;
    assert_eq!(more.len(), CONDEMNED_PER_CALL, "what a reservation tells");
    let listed = account.page(None, 10).await.condemned;
    assert_eq!(listed.len(), CONDEMNED_PER_CALL, "what a listing tells");
    account.settle(&more).await;
    told.extend(more);
    let rest = account.end(ending).await.condemned;
    assert_eq!(rest.len(), 50, "what is still condemned");
    account.settle(&rest).await;
    told.extend(rest);
    assert!(sorted(told) == all, "not all were told, or one twice");
    account.holds(&[], &[]).await;
}

/// One principal's logins are no business of another's, although both have logged in to the same session.
pub async fn principals_do_not_meet(fixture: impl Fixture<Store: SessionIndex>) {
    let (one, other) = (Account::new(&fixture), Account::new(&fixture));
    let login = one.logged_in().await;
    other.logged_in_as(login).await;
    other.logged_in_as(sibling(login)).await;
    let _ = one.end(one.ending()).await;
    one.holds(&[], &[login]).await;
    other.holds(&[login, sibling(login)], &[]).await;
    one.settle(&[login]).await;
    other.holds(&[login, sibling(login)], &[]).await;
    assert_eq!(other.standing().await.epoch, Epoch::default());
    let asked = one.asked_within(records::random_login(), refusing(1));
    one.admitted(&asked).await;
}
