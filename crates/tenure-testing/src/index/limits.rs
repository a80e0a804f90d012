use tenure_core::{
    CONDEMNED_PER_CALL, Confirm, Confirmation, LoginName, Reservation, SessionIndex,
};

use super::{
    Fixture,
    account::{Account, MINUTE, evicting, refusing, sorted},
};
use crate::records;

/// At a limit that refuses, a reservation is told the confirmed logins, the oldest first.
pub async fn a_full_index_tells_the_confirmed_logins(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let later = account.logged_in_until(account.in_time(20 * MINUTE)).await;
    let sooner = account.logged_in_until(account.in_time(10 * MINUTE)).await;
    account.reserved().await;
    let asked = account.asked_within(records::random_login(), refusing(3));
    assert_eq!(account.full(&asked).await, [sooner, later], "what is told");
}

/// Of very many, it is told up to [`CONDEMNED_PER_CALL`] more than the limit.
pub async fn a_full_index_tells_not_more_than_is_of_use(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let all = account.crowd(CONDEMNED_PER_CALL + 30).await;
    let asked = account.asked_within(records::random_login(), refusing(10));
    let told = account.full(&asked).await;
    assert_eq!(told, all[..CONDEMNED_PER_CALL + 10], "what is told");
}

/// A reservation that was refused takes no place and displaces nobody.
pub async fn a_refused_reservation_takes_no_place(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let refused = account.asked_within(records::random_login(), refusing(1));
    let _ = account.full(&refused).await;
    account.holds(&[login], &[]).await;
    let epoch = account.standing().await.epoch;
    let outcome = account
        .confirm(account.confirmation(refused.login, epoch))
        .await;
    assert_eq!(outcome, Confirm::Displaced, "it was not reserved");
    let wider = account.asked_within(records::random_login(), refusing(2));
    account.admitted(&wider).await;
}

/// Logins that are only reserved count.
pub async fn reservations_count_towards_the_limit(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    account.logged_in().await;
    account.reserved().await;
    let asked = account.asked_within(records::random_login(), refusing(2));
    let _ = account.full(&asked).await;
    let asked = account.asked_within(records::random_login(), refusing(3));
    account.admitted(&asked).await;
}

/// Logins that are condemned do not.
pub async fn condemned_logins_do_not_count(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    account.condemn(login).await;
    let asked = account.asked_within(records::random_login(), refusing(1));
    let (_, condemned) = account.admitted(&asked).await;
    assert_eq!(condemned, [login]);
}

/// At a limit that evicts, the login makes room whose session ends first, whenever it was made.
pub async fn the_login_that_ends_first_makes_room(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let mut logins = Vec::new();
    for minutes in [20, 10, 30] {
        let ends_at = account.in_time(minutes * MINUTE);
        logins.push(account.logged_in_until(ends_at).await);
    }
    let asked = account.asked_within(records::random_login(), evicting(3));
    let (_, condemned) = account.admitted(&asked).await;
    assert_eq!(condemned, [logins[1]], "who makes room");
    account.holds(&[logins[0], logins[2]], &[logins[1]]).await;
}

/// Confirmed logins make room before reserved ones.
pub async fn confirmed_logins_make_room_before_reserved_ones(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (reserved, epoch) = account.reserved().await;
    let login = account.logged_in().await;
    let asked = account.asked_within(records::random_login(), evicting(2));
    let (_, condemned) = account.admitted(&asked).await;
    assert_eq!(condemned, [login], "who makes room");
    account
        .confirmed(reserved, epoch, account.session_end())
        .await;
}

/// A reserved login that has made room is not confirmed.
pub async fn a_reserved_login_that_made_room_is_not_confirmed(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let (first, epoch) = account.reserved().await;
    let second = account.asked_within(records::random_login(), evicting(1));
    let (_, condemned) = account.admitted(&second).await;
    assert_eq!(condemned, [first], "who makes room");
    let outcome = account.confirm(account.confirmation(first, epoch)).await;
    assert_eq!(outcome, Confirm::Displaced);
    account
        .confirmed(second.login, epoch, account.session_end())
        .await;
    account.holds(&[second.login], &[first]).await;
}

/// Where the limit was lowered, as many make room as are too many, and all of them are told.
pub async fn under_a_lower_limit_as_many_make_room_as_are_too_many(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let all = account.crowd(CONDEMNED_PER_CALL + 20).await;
    let asked = account.asked_within(records::random_login(), evicting(3));
    let (_, condemned) = account.admitted(&asked).await;
    let (gone, left) = all.split_at(all.len() - 2);
    assert_eq!(sorted(condemned), gone, "who makes room");
    assert_eq!(account.logins().await, left, "who stays");
}

/// A login that replaces another, in the same session, counts with it as one, and takes its place when it is
/// confirmed.
pub async fn a_login_that_replaces_another_counts_with_it_as_one(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    for limit in [refusing(1), evicting(1)] {
        let account = Account::new(&fixture);
        let old = account.logged_in().await;
        let again = Reservation {
            replaces: Some(old),
            ..account.asked_within(again_in(old), limit)
        };
        let (epoch, condemned) = account.admitted(&again).await;
        assert!(condemned.is_empty(), "what is replaced is not ended");
        account.holds(&[old], &[]).await;
        let third = account.asked_within(records::random_login(), refusing(1));
        let _ = account.full(&third).await;
        let confirmation = Confirmation {
            replaces: Some(old),
            ..account.confirmation(again.login, epoch)
        };
        assert_eq!(account.confirm(confirmation).await, Confirm::Confirmed);
        account.holds(&[again.login], &[]).await;
    }
}

/// A login that would replace one that is not there counts as one more.
pub async fn what_is_not_there_makes_no_room_by_being_replaced(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let condemned = account.logged_in().await;
    account.condemn(condemned).await;
    for replaced in [records::random_login(), again_in(login), condemned] {
        let asked = Reservation {
            replaces: Some(replaced),
            ..account.asked_within(records::random_login(), refusing(1))
        };
        assert_eq!(account.full(&asked).await, [login], "what is told");
    }
}

/// Logins that the caller has found dead make room.
pub async fn dead_logins_make_room(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (dead, live) = (account.logged_in().await, account.logged_in().await);
    let asked = account.asked_within(records::random_login(), refusing(2));
    let told = account.full(&asked).await;
    assert_eq!(sorted(told), sorted(vec![dead, live]));
    let asked = Reservation {
        dead: vec![dead],
        ..asked
    };
    let (_, condemned) = account.admitted(&asked).await;
    assert!(condemned.is_empty(), "a dead login needs no ending");
    account.holds(&[live], &[]).await;
}

/// A login that is only reserved is not dead, whatever the caller says: its session may not be stored yet.
pub async fn a_reserved_login_is_never_dead(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (reserved, epoch) = account.reserved().await;
    let asked = Reservation {
        dead: vec![reserved],
        ..account.asked_within(records::random_login(), refusing(1))
    };
    let _ = account.full(&asked).await;
    account
        .confirmed(reserved, epoch, account.session_end())
        .await;
}

/// A login whose session has reached its absolute end takes no place.
pub async fn logins_whose_sessions_have_ended_make_room(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    account.logged_in_until(account.in_time(MINUTE)).await;
    let longer = account.logged_in().await;
    let asked = account.asked_within(records::random_login(), refusing(2));
    fixture
        .clock()
        .advance(MINUTE - std::time::Duration::from_millis(1));
    let _ = account.full(&asked).await;
    fixture.clock().advance(std::time::Duration::from_millis(1));
    let (_, condemned) = account.admitted(&asked).await;
    assert!(condemned.is_empty(), "what has ended needs no ending");
    account.holds(&[longer], &[]).await;
}

/// The next login in the same session.
fn again_in(login: LoginName) -> LoginName {
    LoginName::new(login.session(), records::random_login().stamp())
}
