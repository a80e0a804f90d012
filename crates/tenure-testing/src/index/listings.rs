use std::collections::BTreeSet;

use tenure_core::{Principal, SessionIndex, Timestamp};

use super::{
    Fixture,
    account::{Account, IndexFixture, MINUTE, no_fault},
};
use crate::records;

/// Logins are listed in the order of their sessions' ends, page by page.
pub async fn logins_are_listed_in_order_page_by_page(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let mut expected = Vec::new();
    for minutes in [5, 3, 8, 1, 7, 2, 6] {
        let ends_at = account.in_time(minutes * MINUTE);
        expected.push((ends_at, account.logged_in_until(ends_at).await));
    }
    expected.sort_unstable();
    for most in [1, 3, 7, usize::MAX] {
        let listed = account.listed_by(most).await;
        let listed: Vec<_> = listed.iter().map(|at| (at.ends_at, at.login)).collect();
        assert!(listed == expected, "in pages of {most}, something differs");
    }
}

/// Logins that end at the same time are all listed, each once.
pub async fn logins_that_end_together_are_all_listed(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let sooner = account.logged_in_until(account.in_time(MINUTE)).await;
    let mut expected = account.crowd(25).await;
    expected.insert(0, sooner);
    for most in [1, 4, 25] {
        let listed = account.listed_by(most).await;
        let listed: Vec<_> = listed.iter().map(|at| at.login).collect();
        assert!(listed == expected, "in pages of {most}, something differs");
    }
}

/// A listing goes on behind a login that has gone meanwhile.
pub async fn a_listing_goes_on_behind_a_login_that_has_gone(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let all = account.crowd(12).await;
    let first = account.page(None, 5).await.logins;
    account.settle(&all[..6]).await;
    let rest = account.page(first.last().copied(), 100).await.logins;
    let rest: Vec<_> = rest.iter().map(|at| at.login).collect();
    assert!(rest == all[6..], "what follows the gone login");
    let behind = account.page(None, 100).await.logins;
    assert_eq!(behind.len(), 6, "what is left");
    let after_the_last = account.page(behind.last().copied(), 100).await;
    assert!(after_the_last.logins.is_empty());
}

/// Of somebody unknown, nothing is listed; nor are none when none are asked for.
pub async fn nothing_is_listed_of_a_stranger(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    account.holds(&[], &[]).await;
    assert_eq!(account.standing().await, Default::default());
    let login = account.logged_in().await;
    account.condemn(account.logged_in().await).await;
    let page = account.page(None, 0).await;
    assert!(page.logins.is_empty(), "more than was asked for");
    assert_eq!(page.condemned.len(), 1, "what is to be ended, all the same");
    assert_eq!(account.logins().await, [login]);
}

/// Principals are listed, by names of any script and length.
pub async fn principals_are_listed_by_their_names(fixture: impl Fixture<Store: SessionIndex>) {
    let unique = records::random_principal();
    let names = [
        unique.as_str().to_owned(),
        format!("{}Ä日本👩‍💻", unique.as_str()),
        format!("*?[{{{}}}]:s", unique.as_str()),
        format!("{:x<255}", unique.as_str()),
        format!("{:y<255}", unique.as_str()),
    ];
    let mut expected = BTreeSet::new();
    for name in &names {
        let account = Account {
            user: principal(name),
            fixture: &fixture,
        };
        account.logged_in().await;
        assert!(expected.insert(account.user.as_str().to_owned()));
    }
    let listed = all_users(&fixture).await;
    let missing = expected.difference(&listed).count();
    assert_eq!(missing, 0, "principals that are not listed");
    for name in &names {
        let account = Account {
            user: principal(name),
            fixture: &fixture,
        };
        assert_eq!(account.logins().await.len(), 1, "they were mixed up");
    }
}

/// All principals are listed, however many there are.
pub async fn many_principals_are_all_listed(fixture: impl Fixture<Store: SessionIndex>) {
    let mut expected = BTreeSet::new();
    for _ in 0..500 {
        let account = Account::new(&fixture);
        account.reserved().await;
        expected.insert(account.user.as_str().to_owned());
    }
    let listed = all_users(&fixture).await;
    let missing = expected.difference(&listed).count();
    assert_eq!(missing, 0, "principals that are not listed");
}

/// Who has logged out of everything leaves no entry behind.
pub async fn who_has_logged_out_leaves_nothing_behind(fixture: impl Fixture<Store: SessionIndex>) {
    let (staying, leaving) = (Account::new(&fixture), Account::new(&fixture));
    let (stays, goes) = (staying.logged_in().await, leaving.logged_in().await);
    staying.condemn(stays).await;
    leaving.settle(&[goes]).await;
    let listed = all_users(&fixture).await;
    assert!(listed.contains(staying.user.as_str()), "there is an entry");
    assert!(!listed.contains(leaving.user.as_str()), "nothing is left");
}

/// Ends that are further away than any session lives are kept in order.
pub async fn the_farthest_ends_are_kept_in_order(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let far = Timestamp::from_millis(253_402_300_799_999);
    let last = account.logged_in_until(far).await;
    let before = account
        .logged_in_until(Timestamp::from_millis(far.as_millis() - 1))
        .await;
    let listed = account.listed_by(1).await;
    assert_eq!([listed[0].login, listed[1].login], [before, last]);
    assert_eq!(listed[1].ends_at, far, "the last day of the year 9999");
}

async fn all_users(fixture: &impl IndexFixture) -> BTreeSet<String> {
    let mut users = BTreeSet::new();
    let mut after = None;
    loop {
        let page = no_fault("users", fixture.store().users(after).await);
        users.extend(page.users.iter().map(|user| user.as_str().to_owned()));
        match page.next {
            Some(next) => after = Some(next),
            None => return users,
        }
    }
}

fn principal(name: &str) -> Principal {
    match Principal::new(name) {
        Ok(principal) => principal,
        Err(error) => panic!("{error}"),
    }
}
