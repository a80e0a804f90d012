use tenure_core::{Ending, LoginSeen, Reservation, SessionIndex, Touch};

use super::{
    Fixture,
    account::{Account, DAY, HOUR, MINUTE, no_fault, pass_by},
};
use crate::records;

/// What was condemned, and the epoch, are kept for as long as was asked for.
pub async fn an_ending_is_kept_as_long_as_asked_for(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let login = account.logged_in_until(account.in_time(MINUTE)).await;
    let ended = account.end(account.ending()).await;
    fixture.clock().advance(30 * DAY - MINUTE);
    pass_by(&fixture).await;
    account.holds(&[], &[login]).await;
    assert_eq!(account.standing().await.epoch, ended.epoch);
}

/// A later call that asks for less shortens nothing, and one that asks for more prolongs it.
pub async fn the_longest_time_asked_for_counts(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let short = |tag| Ending {
        kept_until: account.in_time(HOUR),
        ..Ending {
            tag,
            ..account.ending()
        }
    };
    let first = account.end(short(1)).await;
    let asked = Reservation {
        kept_until: account.in_time(3 * DAY),
        ..account.asked(records::random_login())
    };
    account.admitted(&asked).await;
    let second = account.end(short(2)).await;
    assert!(second.epoch > first.epoch);
    fixture.clock().advance(3 * DAY - MINUTE);
    pass_by(&fixture).await;
    assert_eq!(account.standing().await.epoch, second.epoch);
}

/// A login is kept until its session's end, whatever was asked for when it was reserved.
pub async fn a_login_is_kept_until_its_session_s_end(fixture: impl Fixture<Store: SessionIndex>) {
    let account = Account::new(&fixture);
    let asked = Reservation {
        kept_until: account.in_time(MINUTE),
        ..account.asked(records::random_login())
    };
    let (epoch, _) = account.admitted(&asked).await;
    account
        .confirmed(asked.login, epoch, account.in_time(DAY))
        .await;
    fixture.clock().advance(DAY - MINUTE);
    pass_by(&fixture).await;
    account.holds(&[asked.login], &[]).await;
}

/// One that was entered again by its use, too.
pub async fn a_login_entered_again_is_kept_until_its_session_s_end(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let seen = LoginSeen {
        ends_at: account.in_time(2 * DAY),
        ..account.seen(records::random_login(), Default::default())
    };
    let touched = account.index().touch(&account.user, seen).await;
    assert_eq!(no_fault("touch", touched), Touch::Entered);
    fixture.clock().advance(2 * DAY - MINUTE);
    pass_by(&fixture).await;
    account.holds(&[seen.login], &[]).await;
}

/// What was condemned stays so for as long as its session may live, although nobody says how long that is.
pub async fn a_condemned_login_is_kept_as_long_as_it_would_have_been(
    fixture: impl Fixture<Store: SessionIndex>,
) {
    let account = Account::new(&fixture);
    let login = account.logged_in_until(account.in_time(DAY)).await;
    account.condemn(login).await;
    fixture.clock().advance(DAY - MINUTE);
    pass_by(&fixture).await;
    account.holds(&[], &[login]).await;
}
