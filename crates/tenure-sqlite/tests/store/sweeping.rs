//! Sessions that have ended leave the file, whatever happens, and no others do.

use std::time::Duration;

use futures_util::future::join_all;
use tenure_core::{
    Create, Ending, Epoch, LoginName, LoginSeen, Principal, SessionIndex, SessionStore, Touch,
    Whose,
};
use tenure_testing::records;

use crate::support::{Place, eventually, holds, quoted};

const OFTEN: Duration = Duration::from_millis(5);
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

#[tokio::test]
async fn a_store_with_nothing_to_do_removes_what_has_ended() {
    let place = Place::new();
    let store = place.builder().sweep_interval(OFTEN).open().await.unwrap();
    // More than one sweep takes.
    let last = place.live(&store).await;
    let many = (0..1100).map(|_| place.live(&store));
    join_all(many).await;
    assert_eq!(place.rows(), 1101);
    place.clock.set(last.lease_end());
    eventually("all are gone", || place.rows() == 0).await;
}

#[tokio::test]
async fn a_store_in_use_removes_what_has_ended_along_with_its_writes() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    for _ in 0..10 {
        place.live(&store).await;
    }
    let last = place.live(&store).await;
    place.clock.set(last.lease_end());
    for _ in 0..6 {
        place.live(&store).await;
    }
    assert_eq!(place.rows(), 6, "only those that live");
}

#[tokio::test]
async fn a_session_that_was_renewed_in_time_stays() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    let session = place.live(&store).await;
    let later = session.lease_end().after(Duration::from_secs(60));
    let whose = Whose::Login(session.login().stamp);
    let _ = store.renew(session.id(), whose, later).await.unwrap();
    place.clock.set(session.lease_end());
    // Looked at, and entered again.
    place.live(&store).await;
    holds(&store, &session.clone().with_lease_end(later)).await;
    place.clock.set(later);
    place.live(&store).await;
    assert_eq!(place.rows(), 2, "one has ended, two have begun since");
}

#[tokio::test]
async fn a_session_whose_lease_became_shorter_goes_when_that_ends() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    let session = place.live(&store).await;
    let sooner = place.clock_after(Duration::from_secs(60));
    let shorter = records::successor(&session).with_lease_end(sooner);
    let _ = store.commit(session.version(), shorter).await.unwrap();
    place.clock.set(sooner);
    place.live(&store).await;
    assert_eq!(place.rows(), 1);
}

/// tower-sessions' sweeper ends for good at its first error.
#[tokio::test]
async fn a_sweep_that_fails_is_made_again() {
    let place = Place::new();
    let store = place.builder().sweep_interval(OFTEN).open().await.unwrap();
    let session = place.live(&store).await;
    let other = place.other();
    other
        .execute_batch(
            "CREATE TABLE attempts (at INTEGER);
             CREATE TRIGGER fault BEFORE DELETE ON sessions BEGIN
                 INSERT INTO attempts VALUES (1);
                 SELECT raise(FAIL, 'by the test');
             END",
        )
        .unwrap();
    place.clock.set(session.lease_end());
    let attempts = || -> i64 {
        let count = "SELECT count(*) FROM attempts";
        place
            .other()
            .query_row(count, (), |row| row.get(0))
            .unwrap()
    };
    eventually("it has failed several times", || attempts() > 2).await;
    assert_eq!(place.rows(), 1);
    // Those who use the store do not notice.
    let next = place.live(&store).await;
    holds(&store, &next).await;
    other.execute_batch("DROP TRIGGER fault").unwrap();
    eventually("only the living one is there", || place.rows() == 1).await;
    holds(&store, &next).await;
}

#[tokio::test]
async fn a_sweep_that_makes_sqlite_roll_back_does_not_fail_the_write_beside_it() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    let session = place.live(&store).await;
    let sql = format!(
        "CREATE TRIGGER fault BEFORE DELETE ON sessions WHEN old.id = {} BEGIN
             SELECT raise(ROLLBACK, 'by the test');
         END",
        quoted(&session)
    );
    place.other().execute_batch(&sql).unwrap();
    place.clock.set(session.lease_end());
    let next = place.fresh();
    assert_eq!(store.create(next.clone()).await.unwrap(), Create::Created);
    holds(&store, &next).await;
}

#[tokio::test]
async fn a_sweep_waits_for_another_process_and_comes_again() {
    let place = Place::new();
    let session = place.live(&place.open().await).await;
    let other = place.other();
    let store = place
        .builder()
        .sweep_interval(OFTEN)
        .deadline(Duration::from_millis(50))
        .open()
        .await
        .unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    place.clock.set(session.lease_end());
    let refused = store.create(place.fresh()).await;
    assert!(refused.is_err(), "locked out, and so are the sweeps");
    assert_eq!(place.rows(), 1);
    other.execute_batch("COMMIT").unwrap();
    eventually("it is gone", || place.rows() == 0).await;
}

/// They may be a later version's, in the middle of a rolling deployment.
#[tokio::test]
async fn what_is_no_record_to_this_version_is_not_removed() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    let session = place.fresh();
    let mut newer = session.encode().to_vec();
    newer[0] = 2;
    let insert = "INSERT INTO sessions (id, sweep_at, record) VALUES (?1, 0, ?2)";
    let id = session.id();
    place
        .other()
        .execute(insert, (id.as_bytes(), newer))
        .unwrap();
    place.clock.set(session.absolute_end());
    place.live(&store).await;
    assert_eq!(place.rows(), 2);
    let when = "SELECT sweep_at FROM sessions WHERE id = ?1";
    let when: i64 = place
        .other()
        .query_row(when, [id.as_bytes()], |row| row.get(0))
        .unwrap();
    let day = Duration::from_secs(24 * 60 * 60);
    let tomorrow = session.absolute_end().after(day).as_millis();
    assert_eq!(
        when,
        i64::try_from(tomorrow).unwrap(),
        "looked at once a day"
    );
}

#[tokio::test]
async fn what_is_known_of_a_user_goes_when_it_concerns_no_session_any_more() {
    let place = Place::new();
    let store = place.builder().sweep_interval(NEVER).open().await.unwrap();
    let session = place.fresh();
    let user = session.principal().unwrap();
    let seen = LoginSeen {
        login: LoginName::of(&session).unwrap(),
        epoch: Epoch::default(),
        ends_at: session.absolute_end(),
    };
    assert_eq!(store.touch(user, seen).await.unwrap(), Touch::Entered);
    let blocked = Principal::new("blocked").unwrap();
    let ending = Ending {
        tag: 1,
        spares: None,
        blocks: true,
        kept_until: session.absolute_end(),
    };
    let ended = store.end(&blocked, ending).await.unwrap();
    place.clock.set(session.absolute_end());
    place.live(&store).await;
    let rows: (i64, i64) = place
        .other()
        .query_row(
            "SELECT (SELECT count(*) FROM rolls), (SELECT count(*) FROM logins)",
            (),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(rows, (1, 0), "a block stays until it is lifted");
    let standing = store.standing(&blocked).await.unwrap();
    assert_eq!(standing.blocked_in, Some(ended.epoch));
}
