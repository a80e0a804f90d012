use tenure_core::{Confirm, Ending, SessionIndex, Touch};

use super::{
    Fixture,
    account::{Account, HOUR, sibling, sorted},
};
use crate::records;

/// An ending condemns all logins, and nobody is logged in any more.
pub async fn an_ending_condemns_all_logins(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let first = account.logged_in().await;
    let second = account.logged_in().await;
    let (reserved, _) = account.reserved().await;
    let ended = account.end(account.ending()).await;
    let expected = sorted(vec![first, second, reserved]);
    assert_eq!(sorted(ended.condemned), expected, "what is condemned");
    account.holds(&[], &expected).await;
    assert_eq!(account.standing().await.epoch, ended.epoch);
    assert_eq!(account.standing().await.blocked_in, None);
}

/// An ending spares the login that it names, and it alone.
pub async fn an_ending_spares_one_login(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let own = account.logged_in().await;
    account.logged_in_as(sibling(own)).await;
    let (reserved, epoch) = account.reserved().await;
    let ending = Ending {
        spares: Some(own),
        ..account.ending()
    };
    let ended = account.end(ending).await;
    assert_eq!(
        sorted(ended.condemned),
        sorted(vec![sibling(own), reserved])
    );
    account.holds(&[own], &[sibling(own), reserved]).await;
    let late = account.confirm(account.confirmation(reserved, epoch)).await;
    assert_eq!(late, Confirm::Revoked);
}

/// An ending that arrives again ends nothing that came after it, and tells what is still condemned.
pub async fn a_repeated_ending_ends_nothing_new(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let before = [account.logged_in().await, account.logged_in().await];
    let ending = account.ending();
    let first = account.end(ending).await;
    let after = account.logged_in().await;
    let again = account.end(ending).await;
    assert_eq!(again.epoch, first.epoch, "no new epoch has begun");
    assert_eq!(sorted(again.condemned), sorted(before.to_vec()));
    account.holds(&[after], &before).await;
    account.settle(&before[..1]).await;
    let again = account.end(ending).await;
    assert_eq!(again.condemned, before[1..], "what is still condemned");
}

/// Nor does one that others have followed: the last eight are remembered.
pub async fn a_late_ending_ends_nothing_new(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let late = account.ending();
    let _ = account.end(late).await;
    for _ in 1..tenure_core::LoginRoll::MOST_ENDINGS {
        let _ = account.end(account.ending()).await;
    }
    let epoch = account.standing().await.epoch;
    let login = account.logged_in().await;
    assert_eq!(account.end(late).await.epoch, epoch);
    account.holds(&[login], &[]).await;
}

/// Each ending begins an epoch that is later than all before it, also when the clock is set back.
pub async fn epochs_only_grow(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let mut last = account.standing().await.epoch;
    for step in 0..4 {
        let ended = account.end(account.ending()).await;
        assert!(ended.epoch > last, "an epoch is not later than the last");
        last = ended.epoch;
        if step == 1 {
            let earlier = account.now().as_millis() - 3_600_000;
            fixture
                .clock()
                .set(tenure_core::Timestamp::from_millis(earlier));
        }
    }
}

/// An epoch is never before the present, so that it is later than those that the index may have lost.
pub async fn an_epoch_is_later_than_any_that_was_lost(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    for _ in 0..3 {
        let ended = account.end(account.ending()).await;
        let now = account.now().as_millis();
        assert!(
            ended.epoch.as_u64() >= now,
            "an epoch that began a counter anew"
        );
        fixture.clock().advance(HOUR);
    }
}

/// Of somebody who is not logged in, an ending begins an epoch all the same: logins under way end with it.
pub async fn an_ending_of_no_logins_begins_an_epoch(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let before = account.standing().await.epoch;
    let ended = account.end(account.ending()).await;
    assert!(ended.condemned.is_empty());
    assert!(account.standing().await.epoch > before);
}

/// One login is condemned, and stays so until it is settled.
pub async fn one_login_is_condemned(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, other) = (account.logged_in().await, account.logged_in().await);
    account.logged_in_as(sibling(login)).await;
    for _ in 0..2 {
        account.condemn(login).await;
        account.holds(&[other, sibling(login)], &[login]).await;
    }
    account.settle(&[login]).await;
    account.holds(&[other, sibling(login)], &[]).await;
    assert!(!account.is_condemned(login).await, "it is over");
    account.holds(&[other, sibling(login)], &[]).await;
}

/// A login that is not a principal's is not condemned on their behalf, and that is said.
pub async fn a_login_that_is_not_theirs_is_not_condemned(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let other = Account::new(&fixture);
    let login = other.logged_in().await;
    account.logged_in_as(sibling(login)).await;
    assert!(!account.is_condemned(login).await, "it is another's");
    assert!(!account.is_condemned(records::random_login()).await);
    account.holds(&[sibling(login)], &[]).await;
    other.holds(&[login], &[]).await;
    let (reserved, _) = account.reserved().await;
    assert!(account.is_condemned(reserved).await, "reserved is enough");
}

/// Logins are settled that are condemned or entered: exactly those that are named.
pub async fn exactly_the_named_logins_are_settled(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (dead, condemned) = (account.logged_in().await, account.logged_in().await);
    account.logged_in_as(sibling(dead)).await;
    account.logged_in_as(sibling(condemned)).await;
    account.condemn(condemned).await;
    account.condemn(sibling(condemned)).await;
    let unknown = records::random_login();
    for _ in 0..2 {
        account.settle(&[dead, unknown, condemned]).await;
        account.holds(&[sibling(dead)], &[sibling(condemned)]).await;
    }
    account.settle(&[]).await;
}

/// A reserved login is not settled: its session may not be stored yet.
pub async fn a_reserved_login_is_not_settled(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    account.settle(&[login]).await;
    account.confirmed(login, epoch, account.session_end()).await;
    account.holds(&[login], &[]).await;
}

/// Thousands of logins of one principal, which end together, are listed, ended and settled.
pub async fn thousands_of_logins_are_listed_ended_and_settled(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let all = account.crowd(2500).await;
    let listed = account.listed_by(400).await;
    let listed: Vec<_> = listed.iter().map(|listed| listed.login).collect();
    assert!(listed == all, "not all are listed, or not in order");
    let ending = account.ending();
    let ended = account.end(ending).await;
    assert!(account.logins().await.is_empty(), "all are condemned");
    assert_eq!(
        account.touch(all[2499], Default::default()).await,
        Touch::Ended
    );
    assert!(
        all.starts_with(&ended.condemned),
        "the first are told first"
    );
    account.settle(&all).await;
    assert!(account.end(ending).await.condemned.is_empty());
    account.holds(&[], &[]).await;
}
