//! What clauses are made of: one principal's calls to the index, and what has to come of them.

use std::{ops::Deref, time::Duration};

use tenure_core::{
    Clock, Confirm, Confirmation, Ended, Ending, Epoch, LoginCursor, LoginLimit, LoginName,
    LoginPage, LoginSeen, LoginStamp, Principal, Reservation, Reserve, SessionIndex, SessionStore,
    StoreError, Timestamp, Touch, UserStanding,
};

use super::Fixture;
use crate::records;

/// A fixture whose store has an index.
pub(super) trait IndexFixture: Fixture<Store: SessionIndex> {}

impl<F: Fixture<Store: SessionIndex>> IndexFixture for F {}

/// A principal of this clause's own, and a handle to the fixture.
pub(super) struct Account<H> {
    pub(super) fixture: H,
    pub(super) user: Principal,
}

impl<H: Deref<Target = F>, F: IndexFixture> Account<H> {
    pub(super) fn new(fixture: H) -> Self {
        Self {
            fixture,
            user: records::random_principal(),
        }
    }

    pub(super) fn index(&self) -> &F::Store {
        self.fixture.store()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.fixture.clock().now()
    }

    pub(super) fn in_time(&self, span: Duration) -> Timestamp {
        self.now().after(span)
    }

    /// The absolute end of sessions that begin now.
    pub(super) fn session_end(&self) -> Timestamp {
        self.in_time(DAY)
    }

    pub(super) fn kept_until(&self) -> Timestamp {
        self.in_time(30 * DAY)
    }

    pub(super) fn asked(&self, login: LoginName) -> Reservation {
        Reservation {
            login,
            replaces: None,
            limit: None,
            fence: None,
            dead: Vec::new(),
            kept_until: self.kept_until(),
        }
    }

    pub(super) fn asked_within(&self, login: LoginName, limit: LoginLimit) -> Reservation {
        Reservation {
            limit: Some(limit),
            ..self.asked(login)
        }
    }

    pub(super) async fn reserve(&self, reservation: &Reservation) -> Reserve {
        let outcome = self.index().reserve(&self.user, reservation.clone()).await;
        no_fault("reserve", outcome)
    }

    /// Asserts that it is admitted. Returns the epoch, and what it tells to be ended.
    pub(super) async fn admitted(&self, reservation: &Reservation) -> (Epoch, Vec<LoginName>) {
        match self.reserve(reservation).await {
            Reserve::Admitted { epoch, condemned } => (epoch, condemned),
            other => panic!("a reservation that there is room for was answered with {other:?}"),
        }
    }

    /// Asserts that it is full, and returns which logins it tells.
    pub(super) async fn full(&self, reservation: &Reservation) -> Vec<LoginName> {
        match self.reserve(reservation).await {
            Reserve::Full(logins) => logins,
            other => panic!("a reservation beyond the limit was answered with {other:?}"),
        }
    }

    /// A new login that is only reserved.
    pub(super) async fn reserved(&self) -> (LoginName, Epoch) {
        let login = records::random_login();
        let (epoch, _) = self.admitted(&self.asked(login)).await;
        (login, epoch)
    }

    pub(super) fn confirmation(&self, login: LoginName, epoch: Epoch) -> Confirmation {
        Confirmation {
            login,
            replaces: None,
            epoch,
            ends_at: self.session_end(),
        }
    }

    pub(super) async fn confirm(&self, confirmation: Confirmation) -> Confirm {
        let outcome = self.index().confirm(&self.user, confirmation).await;
        no_fault("confirm", outcome)
    }

    pub(super) async fn confirmed(&self, login: LoginName, epoch: Epoch, ends_at: Timestamp) {
        let confirmation = Confirmation {
            ends_at,
            ..self.confirmation(login, epoch)
        };
        let outcome = self.confirm(confirmation).await;
        assert_eq!(outcome, Confirm::Confirmed, "a login that was reserved");
    }

    /// A new login, whose session ends in a day.
    pub(super) async fn logged_in(&self) -> LoginName {
        self.logged_in_until(self.session_end()).await
    }

    pub(super) async fn logged_in_until(&self, ends_at: Timestamp) -> LoginName {
        let (login, epoch) = self.reserved().await;
        self.confirmed(login, epoch, ends_at).await;
        login
    }

    /// A new login by this name.
    pub(super) async fn logged_in_as(&self, login: LoginName) {
        let (epoch, _) = self.admitted(&self.asked(login)).await;
        self.confirmed(login, epoch, self.session_end()).await;
    }

    pub(super) fn ending(&self) -> Ending {
        Ending {
            tag: records::random_login().stamp().as_u64(),
            spares: None,
            blocks: false,
            kept_until: self.kept_until(),
        }
    }

    pub(super) async fn end(&self, ending: Ending) -> Ended {
        no_fault("end", self.index().end(&self.user, ending).await)
    }

    pub(super) async fn block(&self) -> Epoch {
        let ending = Ending {
            blocks: true,
            ..self.ending()
        };
        self.end(ending).await.epoch
    }

    pub(super) async fn unblock(&self, blocked_in: Epoch) {
        no_fault(
            "unblock",
            self.index().unblock(&self.user, blocked_in).await,
        );
    }

    /// Condemns a login that is entered, reserved or condemned.
    pub(super) async fn condemn(&self, login: LoginName) {
        assert!(self.is_condemned(login).await, "a login that was theirs");
    }

    pub(super) async fn is_condemned(&self, login: LoginName) -> bool {
        no_fault("condemn", self.index().condemn(&self.user, login).await)
    }

    pub(super) async fn settle(&self, logins: &[LoginName]) {
        let settled = self.index().settle(&self.user, logins.to_vec()).await;
        no_fault("settle", settled);
    }

    pub(super) fn seen(&self, login: LoginName, epoch: Epoch) -> LoginSeen {
        LoginSeen {
            login,
            epoch,
            ends_at: self.session_end(),
        }
    }

    pub(super) async fn touch(&self, login: LoginName, epoch: Epoch) -> Touch {
        let seen = self.seen(login, epoch);
        no_fault("touch", self.index().touch(&self.user, seen).await)
    }

    /// Logins that end together, entered in the cheapest way.
    pub(super) async fn crowd(&self, many: usize) -> Vec<LoginName> {
        let epoch = self.standing().await.epoch;
        let mut logins = Vec::with_capacity(many);
        for _ in 0..many {
            let login = records::random_login();
            let touched = self.touch(login, epoch).await;
            assert_eq!(touched, Touch::Entered, "a login that was not entered");
            logins.push(login);
        }
        logins.sort_unstable();
        logins
    }

    pub(super) async fn standing(&self) -> UserStanding {
        no_fault("standing", self.index().standing(&self.user).await)
    }

    pub(super) async fn page(&self, after: Option<LoginCursor>, most: usize) -> LoginPage {
        no_fault("logins", self.index().logins(&self.user, after, most).await)
    }

    /// All confirmed logins, as the index lists them, page by page.
    pub(super) async fn listed_by(&self, most: usize) -> Vec<LoginCursor> {
        let mut listed = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(after, most).await;
            assert!(page.logins.len() <= most, "a page is too long");
            after = page.logins.last().copied();
            listed.extend(page.logins);
            if after.is_none() {
                return listed;
            }
        }
    }

    /// The names of all confirmed logins, sorted.
    pub(super) async fn logins(&self) -> Vec<LoginName> {
        let listed = self.listed_by(100).await;
        sorted(listed.iter().map(|listed| listed.login).collect())
    }

    /// What a listing tells to be ended, sorted.
    pub(super) async fn condemned(&self) -> Vec<LoginName> {
        sorted(self.page(None, 1).await.condemned)
    }

    /// Asserts that exactly these are entered, and exactly those condemned.
    pub(super) async fn holds(&self, confirmed: &[LoginName], condemned: &[LoginName]) {
        self.agrees("confirmed", &self.logins().await, confirmed);
        self.agrees("condemned", &self.condemned().await, condemned);
    }

    fn agrees(&self, what: &str, found: &[LoginName], expected: &[LoginName]) {
        let expected = sorted(expected.to_vec());
        let missing = expected.iter().filter(|login| !found.contains(login));
        let missing = missing.count();
        assert!(
            found == expected,
            "{} logins are {what}, expected were {}, of which {missing} are missing",
            found.len(),
            expected.len()
        );
    }
}

/// Another login of the same session.
pub(super) fn sibling(login: LoginName) -> LoginName {
    LoginName::new(
        login.session(),
        LoginStamp::from_u64(login.stamp().as_u64() ^ 2),
    )
}

/// A login by which somebody acts in the principal's name.
pub(super) fn acting(login: LoginName) -> LoginName {
    LoginName::new(
        login.session(),
        LoginStamp::from_u64(login.stamp().as_u64() | 1),
    )
}

pub(super) fn sorted(mut logins: Vec<LoginName>) -> Vec<LoginName> {
    logins.sort_unstable();
    logins
}

/// So many, and no more.
pub(super) const fn refusing(most: u32) -> LoginLimit {
    LoginLimit {
        most,
        evicts: false,
    }
}

/// So many, of which the oldest make room.
pub(super) const fn evicting(most: u32) -> LoginLimit {
    LoginLimit { most, evicts: true }
}

pub(super) fn no_fault<T>(verb: &str, result: Result<T, StoreError>) -> T {
    match result {
        Ok(outcome) => outcome,
        Err(error) => panic!("{verb} failed: {error:?}"),
    }
}

/// Traffic of others, by which a store may find out that something is over.
pub(super) async fn pass_by(fixture: &impl IndexFixture) {
    for _ in 0..40 {
        let login = Account::new(fixture).logged_in().await;
        let record = records::fresh_under(login.session(), fixture.clock().now());
        let _ = no_fault("create", fixture.store().create(record).await);
    }
}

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
