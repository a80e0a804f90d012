use tenure_core::{Confirm, Ending, Reserve, SessionIndex, UserStanding};

use super::{
    Fixture,
    account::{Account, DAY, MINUTE, pass_by},
};
use crate::records;

/// Who is blocked cannot log in, and it is known since when.
pub async fn a_blocked_principal_cannot_log_in(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in().await;
    let epoch = account.block().await;
    let expected = UserStanding {
        epoch,
        blocked_in: Some(epoch),
    };
    assert_eq!(account.standing().await, expected);
    let asked = account.asked(records::random_login());
    assert_eq!(account.reserve(&asked).await, Reserve::Blocked);
    account.holds(&[], &[login]).await;
}

/// Nor can they complete a login that was under way.
pub async fn a_block_ends_logins_under_way(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let (login, epoch) = account.reserved().await;
    account.block().await;
    let outcome = account.confirm(account.confirmation(login, epoch)).await;
    assert_eq!(outcome, Confirm::Revoked);
}

/// After the block they can log in again, in its epoch.
pub async fn a_block_is_lifted(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let epoch = account.block().await;
    for _ in 0..2 {
        account.unblock(epoch).await;
        assert_eq!(account.standing().await.blocked_in, None);
        assert_eq!(account.standing().await.epoch, epoch);
    }
    account.logged_in().await;
}

/// A lifting of an earlier block that comes late leaves a later one in place.
pub async fn a_late_unblock_leaves_a_later_block(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let first = account.block().await;
    account.unblock(first).await;
    let second = account.block().await;
    account.unblock(first).await;
    assert_eq!(account.standing().await.blocked_in, Some(second));
    let third = account.block().await;
    account.unblock(second).await;
    assert_eq!(account.standing().await.blocked_in, Some(third));
    let asked = account.asked(records::random_login());
    assert_eq!(account.reserve(&asked).await, Reserve::Blocked);
}

/// A block that arrives again after it was lifted blocks nobody.
pub async fn a_late_block_blocks_nobody(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let ending = Ending {
        blocks: true,
        ..account.ending()
    };
    let epoch = account.end(ending).await.epoch;
    account.unblock(epoch).await;
    let login = account.logged_in().await;
    assert_eq!(account.end(ending).await.epoch, epoch);
    account.logged_in().await;
    assert!(account.logins().await.contains(&login), "it was ended");
}

/// An ending that does not block leaves a block in place.
pub async fn a_later_ending_leaves_the_block(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let blocked_in = account.block().await;
    let ended = account.end(account.ending()).await;
    assert!(ended.epoch > blocked_in);
    assert_eq!(account.standing().await.blocked_in, Some(blocked_in));
}

/// A block lasts until it is lifted, however long that is.
pub async fn a_block_lasts_until_it_is_lifted(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let ending = Ending {
        blocks: true,
        kept_until: account.in_time(MINUTE),
        ..account.ending()
    };
    let epoch = account.end(ending).await.epoch;
    for _ in 0..3 {
        fixture.clock().advance(DAY);
        pass_by(&fixture).await;
        assert_eq!(account.standing().await.blocked_in, Some(epoch));
    }
    account.unblock(epoch).await;
    account.logged_in().await;
}
