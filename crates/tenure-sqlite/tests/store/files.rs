//! What can be the matter with a file: each with an error that says what to do, and nothing in its place.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

use rusqlite::Connection;
use tenure_core::{Freshness, SessionStore, StoreErrorKind};
use tenure_sqlite::{Durability, OpenError, SqliteStore};

use crate::support::{Place, holds};

async fn refused(path: &Path) -> (OpenError, String) {
    let error = SqliteStore::open(path).await.unwrap_err();
    let text = error.to_string();
    (error, text)
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_what_is_beside_it_are_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let store = place.open().await;
    place.live(&store).await;
    for suffix in ["", "-wal", "-shm"] {
        let path = place.beside(suffix);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn sessions_survive_the_store_at_either_durability() {
    for durability in [Durability::PowerLoss, Durability::ProcessCrash] {
        let place = Place::new();
        let open = || place.builder().durability(durability).open();
        let store = open().await.unwrap();
        let session = place.live(&store).await;
        store.close().await;
        holds(&open().await.unwrap(), &session).await;
    }
}

#[tokio::test]
async fn a_relative_path_is_that_of_the_folder_at_the_start() {
    let store = SqliteStore::builder("/tmp/../tmp");
    let error = store.open().await.unwrap_err();
    assert!(matches!(error, OpenError::IsDirectory { .. }), "{error}");
    let folder = tempfile::tempdir_in(".").unwrap();
    let name = folder.path().file_name().unwrap();
    let path = Path::new(name).join(":memory:");
    let store = SqliteStore::open(&path).await.unwrap();
    assert!(store.path().is_absolute());
    assert!(path.is_file(), "no special name of SQLite's");
}

#[tokio::test]
async fn a_folder_that_is_missing_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing").join("sessions.db");
    let (error, text) = refused(&path).await;
    assert!(matches!(error, OpenError::MissingDirectory { .. }));
    assert!(
        text.contains("missing/sessions.db") && text.contains("create it"),
        "{text}"
    );
    assert!(!folder.path().join("missing").exists());
}

/// Nobody can write there, not even root.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_file_or_folder_that_cannot_be_written_is_said_to_be_so() {
    for path in [
        "/sys/kernel/sessions.db",
        "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
    ] {
        let (error, text) = refused(Path::new(path)).await;
        assert!(
            matches!(error, OpenError::ReadOnly { .. }),
            "{path}: {error:?}"
        );
        assert!(text.contains("needs the right to write both"), "{text}");
    }
}

#[tokio::test]
async fn what_is_no_database_is_left_as_it_is() {
    let place = Place::new();
    let novel = "It was a dark and stormy night; the rain fell in torrents. ".repeat(100);
    fs::write(place.path(), &novel).unwrap();
    let (error, text) = refused(&place.path()).await;
    assert!(matches!(error, OpenError::NotADatabase { .. }), "{error:?}");
    assert!(text.contains("is not an SQLite database"), "{text}");
    assert_eq!(fs::read_to_string(place.path()).unwrap(), novel);
}

#[tokio::test]
async fn the_database_of_another_application_is_left_as_it_is() {
    let place = Place::new();
    let other = Connection::open(place.path()).unwrap();
    other.execute_batch("CREATE TABLE accounts (id)").unwrap();
    let (error, text) = refused(&place.path()).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
    assert!(text.contains("a file of their own"), "{text}");
    let tables = "SELECT group_concat(name) FROM sqlite_schema";
    let tables: String = other.query_row(tables, (), |row| row.get(0)).unwrap();
    assert_eq!(tables, "accounts");
    let mode: String = other
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
}

#[tokio::test]
async fn the_file_of_a_later_version_is_left_as_it_is() {
    let place = Place::new();
    place.open().await.close().await;
    place
        .other()
        .pragma_update(None, "user_version", 7)
        .unwrap();
    let (error, text) = refused(&place.path()).await;
    assert!(
        matches!(
            error,
            OpenError::NewerSchema {
                found: 7,
                known: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        text.contains("schema 7") && text.contains("run that version again"),
        "{text}"
    );
    let schema: i64 = place
        .other()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(schema, 7);
}

#[tokio::test]
async fn a_file_that_another_process_does_not_let_go_is_said_to_be_locked() {
    let place = Place::new();
    let other = Connection::open(place.path()).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let error = SqliteStore::builder(place.path()).deadline(Duration::from_millis(10));
    let error = error.open().await.unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error:?}");
    assert!(error.to_string().contains("locked by another process"));
}

fn damage(place: &Place, from: u64) {
    let length = fs::metadata(place.path()).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(place.path()).unwrap();
    file.seek(SeekFrom::Start(from)).unwrap();
    let zeros = vec![0xee; usize::try_from(length - from).unwrap()];
    file.write_all(&zeros).unwrap();
}

#[tokio::test]
async fn a_file_whose_schema_is_damaged_is_not_opened() {
    let place = Place::new();
    let store = place.open().await;
    place.live(&store).await;
    store.close().await;
    damage(&place, 100);
    let (error, text) = refused(&place.path()).await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
    assert!(text.contains(".recover"), "{text}");
}

#[tokio::test]
async fn a_session_in_a_damaged_file_is_a_fault_and_no_new_session() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.live(&store).await;
    store.close().await;
    damage(&place, 4096);
    let store = place.open().await;
    let loaded = store.load(session.id(), Freshness::Latest).await;
    let created = store.create(session.clone()).await;
    for error in [loaded.unwrap_err(), created.unwrap_err()] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        let advice = std::error::Error::source(&error).unwrap().to_string();
        assert!(advice.contains("put a backup in its place"), "{advice}");
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_and_replaced_is_used_without_a_restart() {
    let place = Place::new();
    let store = place.open().await;
    let session = place.live(&store).await;
    store.close().await;
    let sound = fs::read(place.path()).unwrap();
    damage(&place, 4096);
    let store = place.open().await;
    let loaded = store.load(session.id(), Freshness::Latest).await;
    assert_eq!(loaded.unwrap_err().kind(), StoreErrorKind::Corrupt);
    fs::write(place.path(), sound).unwrap();
    holds(&store, &session).await;
    let next = place.live(&store).await;
    holds(&store, &next).await;
}
