//! The storage contract, in terms of an SQLite file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use tenure_core::{
    Commit, Create, Delete, Freshness, Load, Record, Renewal, SessionId, SessionStore, StoreError,
    StoreErrorKind, Timestamp, Version, Whose,
};
use tokio::sync::watch;

use crate::{
    OpenError, SqliteStoreBuilder,
    queue::Queue,
    sessions::Sessions,
    work::{self, GivenUp, Read, Subject, Write},
};

/// Keeps sessions in an SQLite file, for one machine: durable, with nothing to install.
///
/// Clones share one file and its threads. See the [crate's documentation](crate) for what the store does when
/// the disk is slow or full, or when other processes use the file.
///
/// # Examples
///
/// ```no_run
/// # async fn example() -> Result<(), tenure_sqlite::OpenError> {
/// use std::time::Duration;
/// use tenure_sqlite::SqliteStore;
///
/// let store = SqliteStore::open("sessions.db").await?;
///
/// let with_limits = SqliteStore::builder("sessions.db")
///     .deadline(Duration::from_millis(500))
///     .max_record_bytes(64 << 10)
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Consistency
///
/// Linearizable per session, across all processes that use the file.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) path: PathBuf,
    pub(crate) writes: Arc<Queue<Box<dyn Write>>>,
    pub(crate) reads: Arc<Queue<Box<dyn Read>>>,
    pub(crate) given_up: Arc<GivenUp>,
    pub(crate) deadline: Duration,
    pub(crate) max_record_bytes: usize,
    /// Its other half is dropped when the threads have ended and the file is closed.
    pub(crate) ended: watch::Receiver<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn close(&self) {
        self.reads.close();
        self.writes.close();
    }
}

impl SqliteStore {
    /// Opens a file with the default limits, and creates it if it is not there.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do about it.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::builder(path).open().await
    }

    /// Begins a store with other limits.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::new(path.as_ref().to_owned())
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Where the file is; absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Closes the file, for all clones, and waits until that is done: what waits is written first, and the log
    /// is moved into the file. Calls made later fail as
    /// [`Unavailable`](tenure_core::StoreErrorKind::Unavailable).
    ///
    /// Nothing is lost without it: dropping the last clone closes the file too, but does not wait, and a process
    /// that ends before leaves a log beside the file, which whoever opens the file next takes in.
    ///
    /// # Cancellation
    ///
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(self) {
        self.shared.close();
        let mut ended = self.shared.ended.clone();
        // Nothing is ever sent; the end of the channel is the message.
        let _ = ended.changed().await;
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        subject: Subject,
        action: impl FnOnce(&Sessions<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.shared.given_up.concerns(subject) {
            // Behind it.
            Box::pin(self.write(subject, |_| Ok(()))).await?;
        }
        work::read(&self.shared.reads, self.shared.deadline, action).await
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        subject: Subject,
        action: impl FnMut(&Sessions<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let Shared {
            writes,
            deadline,
            given_up,
            ..
        } = &*self.shared;
        work::write(writes, *deadline, subject, given_up, action).await
    }

    fn encode(&self, record: &Record) -> Result<Bytes, StoreError> {
        if record.encoded_len() > self.shared.max_record_bytes {
            return Err(StoreError::new(StoreErrorKind::TooLarge));
        }
        Ok(record.encode())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl SessionStore for SqliteStore {
    async fn load(&self, id: SessionId, _: Freshness) -> Result<Load, StoreError> {
        let load = move |sessions: &Sessions<'_>| sessions.load(id);
        self.read(Subject::of(id), load).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let (id, encoded) = (Subject::of(record.id()), self.encode(&record)?);
        let create = move |sessions: &Sessions<'_>| sessions.create(&record, &encoded);
        self.write(id, create).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let (id, encoded) = (Subject::of(record.id()), self.encode(&record)?);
        let commit = move |sessions: &Sessions<'_>| sessions.commit(expected, &record, &encoded);
        self.write(id, commit).await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let renew = move |sessions: &Sessions<'_>| sessions.renew(id, whose, lease_end);
        self.write(Subject::of(id), renew).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let delete = move |sessions: &Sessions<'_>| sessions.delete(id, whose);
        self.write(Subject::of(id), delete).await
    }
}
