//! What observers and the audit trail are told of sessions.

#![expect(
    clippy::unwrap_used,
    reason = "a story that meets a surprise has failed"
)]

use std::{fs, time::Duration};

use tenure_core::{
    AuditAction, AuditEntry, AuditFile, AuditOutcome, EndReason, KeyRing, Lifetimes, LoginRefusal,
    MemoryStore, Observer, OnLimit, Operator, SessionError, SessionEvent, SessionEventKind,
    SessionManager, SessionManagerBuilder, verify_audit,
};
use tenure_testing::ManualClock;
use tenure_tests::{Notes, Trail, Visitor};

fn sessions(
    configure: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
) -> SessionManager {
    let store = MemoryStore::new();
    let builder = SessionManager::builder(store.clone(), KeyRing::generate().unwrap());
    configure(builder.login_index(store)).build().unwrap()
}

async fn is_logged_in(visitor: &Visitor) -> bool {
    visitor.load().await.1.principal().is_some()
}

#[tokio::test]
async fn an_observer_is_told_of_a_sessions_life() {
    use SessionEventKind::{Authenticated, Created, Ended, LoginRefused, Renewed, Rotated};
    let (notes, clock) = (Notes::default(), ManualClock::new());
    let store = MemoryStore::builder().clock(clock.clone()).build();
    let sessions = SessionManager::builder(store.clone(), KeyRing::generate().unwrap())
        .clock(clock.clone())
        .login_index(store)
        .max_sessions(1, OnLimit::Refuse)
        .observer(notes.clone())
        .build()
        .unwrap();
    let ada = || Some("ada".to_owned());
    let mut browser = Visitor::new(sessions.clone());
    browser
        .request(async |session| session.insert("basket", 1).unwrap())
        .await;
    assert_eq!(notes.take(), [(Created, None)]);
    browser
        .request(async |session| session.login("ada").unwrap())
        .await;
    assert_eq!(notes.take(), [(Rotated, None), (Authenticated, ada())]);
    clock.advance(Duration::from_secs(200));
    browser.request(async |_| {}).await;
    assert_eq!(notes.take(), [(Renewed, ada())]);
    let mut other = Visitor::new(sessions.clone());
    let (handle, session) = other.load().await;
    session.login("ada").unwrap();
    assert!(other.finish(&handle).await.refusal.is_some());
    assert_eq!(notes.take(), [(LoginRefused(LoginRefusal::TooMany), ada())]);
    sessions.index().end_all("ada").await.unwrap();
    assert_eq!(notes.take(), [(Ended(EndReason::AllEnded), ada())]);

    let mut browser = Visitor::logged_in(&sessions, "ada").await;
    browser
        .request(async |session| session.destroy().unwrap())
        .await;
    let told = notes.take();
    assert_eq!(told.last().unwrap(), &(Ended(EndReason::Logout), ada()));
    let idle = Visitor::logged_in(&sessions, "ada").await;
    notes.clear();
    clock.advance(Lifetimes::default().idle());
    assert!(!is_logged_in(&idle).await);
    assert_eq!(notes.take(), [(Ended(EndReason::Idle), None)]);
}

#[tokio::test]
async fn an_observer_that_panics_harms_nobody() {
    #[derive(Debug)]
    struct Clumsy;
    impl Observer for Clumsy {
        fn observe(&self, _: &SessionEvent<'_>) {
            std::panic::resume_unwind(Box::new("clumsy"));
        }
    }
    let sessions = sessions(|builder| builder.observer(Clumsy));
    assert!(is_logged_in(&Visitor::logged_in(&sessions, "ada").await).await);
    assert_eq!(sessions.index().end_all("ada").await.unwrap().count, 1);
}

#[tokio::test]
async fn the_audit_trail_says_before_and_after_who_did_what_to_whom_and_why() {
    let trail = Trail::default();
    let sessions = sessions(|builder| builder.audit(trail.clone()));
    let mut ada = Visitor::logged_in(&sessions, "ada").await;
    Visitor::logged_in(&sessions, "ada").await;
    ada.request(async |session| session.end_others().await.unwrap())
        .await;
    let operator = || {
        Operator::new("op", "ticket 7")
            .role("support")
            .address("192.0.2.1")
    };
    let index = sessions.index().by(operator());
    index.end_all("ada").await.unwrap();
    index.block("ada").await.unwrap();
    index.unblock("ada").await.unwrap();
    index.end_everyone().await.unwrap();
    let mut operating = Visitor::logged_in(&sessions, "op").await;
    operating
        .request(async |session| {
            session
                .login_as("ada", Operator::new("op", "ticket 7"))
                .unwrap()
        })
        .await;

    let entries = trail.entries();
    assert_eq!(verify_audit(&entries), None);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.action, entry.outcome, entry.user.as_deref()))
        .collect();
    use AuditAction::{ActAs, Block, EndAll, EndEveryone, EndOthers, Unblock};
    use AuditOutcome::{Done, Intended};
    let expected = [
        (EndOthers, 1, Some("ada")),
        (EndAll, 1, Some("ada")),
        (Block, 0, Some("ada")),
        (Unblock, 0, Some("ada")),
        (EndEveryone, 0, None),
        (ActAs, 1, Some("ada")),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .flat_map(|(action, count, user)| [(action, Intended, user), (action, Done(count), user)])
        .collect();
    assert_eq!(told, expected);
    assert_eq!(
        (entries[0].by.name.as_str(), entries[0].by.reason.as_str()),
        ("ada", "")
    );
    assert_eq!(entries[2].by, operator());
    assert_eq!(entries[10].by.name, "op");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    for lenient in [false, true] {
        let trail = Trail::default();
        let sessions = sessions(|builder| {
            builder
                .audit(trail.clone())
                .lets_users_end_unaudited(lenient)
        });
        let ada = Visitor::logged_in(&sessions, "ada").await;
        let login = sessions
            .index()
            .logins_of("ada", None)
            .await
            .unwrap()
            .sessions[0]
            .login;
        trail.fill();
        let index = sessions.index().by(Operator::new("op", "ticket 7"));
        for refused in [
            index.end("ada", login).await.map(|_| ()),
            index.end_all("ada").await.map(|_| ()),
            index.block("ada").await.map(|_| ()),
            index.end_everyone().await,
            sessions.index().end_all("ada").await.map(|_| ()),
        ] {
            let error = refused.unwrap_err();
            assert!(matches!(error, SessionError::Audit(_)), "{error}");
            assert_eq!(error.status(), 503);
        }
        assert!(is_logged_in(&ada).await);
        let own = sessions.index().end("ada", login).await;
        assert_eq!(own.is_ok(), lenient);
        assert_eq!(is_logged_in(&ada).await, !lenient);
    }
}

#[tokio::test]
async fn an_operator_gives_a_reason_and_everyone_is_not_ended_by_nobody() {
    let trail = Trail::default();
    let sessions = sessions(|builder| builder.audit(trail.clone()));
    let unreasonable = sessions.index().by(Operator::new("op", " "));
    assert!(matches!(
        unreasonable.end_all("ada").await,
        Err(SessionError::Audit(_))
    ));
    assert!(matches!(
        sessions.index().end_everyone().await,
        Err(SessionError::Audit(_))
    ));
    assert!(trail.entries().is_empty());
}

#[tokio::test]
async fn a_file_keeps_the_trail_of_every_process_that_wrote_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("audit.jsonl");
    for _ in 0..2 {
        let file = AuditFile::open(&path).unwrap();
        let sessions = sessions(|builder| builder.audit(file));
        sessions.index().end_all("ada").await.unwrap();
        sessions.index().end_all("grace").await.unwrap();
        // As if a process had died in the middle of a line.
        let torn = fs::read_to_string(&path).unwrap() + "{\"chain\":";
        fs::write(&path, torn).unwrap();
    }
    let text = fs::read_to_string(&path).unwrap();
    let entries: Vec<AuditEntry> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(entries.len(), 8);
    assert_eq!(verify_audit(&entries), None);
    let without_one: Vec<_> = [&entries[..1], &entries[2..]].concat();
    assert!(verify_audit(&without_one).is_some());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
