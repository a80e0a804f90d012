use tenure_core::{Epoch, LoginCursor, SessionIndex, Touch};

use super::{Fixture, account::Account};
use crate::records;

/// A login that is entered or reserved is known.
pub async fn a_login_in_use_is_known(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let (reserved, epoch) = account.reserved().await;
    assert_eq!(account.touch(login, epoch).await, Touch::Known);
    assert_eq!(account.touch(reserved, epoch).await, Touch::Known);
    account.holds(&[login], &[]).await;
}

/// A login whose entry was lost is entered again by its use, with its session's end.
pub async fn a_lost_login_is_entered_again(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = records::random_login();
    let epoch = Epoch::from_u64(account.now().as_millis());
    assert_eq!(account.touch(login, epoch).await, Touch::Entered);
    assert_eq!(account.touch(login, epoch).await, Touch::Known);
    let ends_at = account.session_end();
    let listed = account.listed_by(10).await;
    assert!(listed == [LoginCursor { ends_at, login }], "what is listed");
    account.holds(&[login], &[]).await;
}

/// A login that is condemned has ended, also for who uses it.
pub async fn a_condemned_login_has_ended(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let epoch = account.standing().await.epoch;
    account.condemn(login).await;
    for _ in 0..2 {
        assert_eq!(account.touch(login, epoch).await, Touch::Ended);
    }
    account.holds(&[], &[login]).await;
}

/// A login of an epoch that is over has ended, although nobody remembers it.
pub async fn a_login_of_an_earlier_epoch_has_ended(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let epoch = account.standing().await.epoch;
    let ended = account.end(account.ending()).await;
    account.settle(&[login]).await;
    assert_eq!(account.touch(login, epoch).await, Touch::Ended);
    assert_eq!(account.standing().await.epoch, ended.epoch);
    account.holds(&[], &[]).await;
}

/// An index that has lost an epoch learns it from a login of that epoch, and never unlearns it.
pub async fn a_lost_epoch_is_learnt_from_a_login(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let now = account.now().as_millis();
    let [earlier, lost] = [1000, 5000].map(|ahead| Epoch::from_u64(now + ahead));
    let (first, second) = (records::random_login(), records::random_login());
    assert_eq!(account.touch(first, earlier).await, Touch::Entered);
    assert_eq!(account.standing().await.epoch, earlier);
    assert_eq!(account.touch(second, lost).await, Touch::Entered);
    assert_eq!(account.standing().await.epoch, lost);
    // Entered by then, so it is no proof of anything.
    assert_eq!(account.touch(first, earlier).await, Touch::Known);
    let revoked = records::random_login();
    assert_eq!(account.touch(revoked, earlier).await, Touch::Ended);
    assert_eq!(account.standing().await.epoch, lost);
    let ended = account.end(account.ending()).await;
    assert!(ended.epoch > lost, "the next epoch is later still");
}
