//! How the store behaves, apart from what it does.

use std::{ops::RangeInclusive, path::PathBuf, sync::Arc, thread, time::Duration};

use tenure_core::{Clock, SystemClock};
use tokio::sync::{oneshot, watch};

use crate::{
    OpenError, SqliteStore, file::File, queue::Queue, readers, store::Shared, writer::Writer,
};

/// Sets a [`SqliteStore`]'s limits and opens it.
#[derive(Debug)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct SqliteStoreBuilder {
    path: PathBuf,
    durability: Durability,
    deadline: Duration,
    readers: usize,
    max_waiting: usize,
    max_record_bytes: usize,
    max_file_bytes: Option<u64>,
    sweep_interval: Duration,
    clock: Arc<dyn Clock>,
}

impl SqliteStoreBuilder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            durability: Durability::default(),
            deadline: Duration::from_secs(1),
            readers: 4,
            max_waiting: 4096,
            max_record_bytes: 1 << 20,
            max_file_bytes: None,
            sweep_interval: Duration::from_secs(60),
            clock: Arc::new(SystemClock),
        }
    }

    /// What acknowledged writes survive. Default [`Durability::PowerLoss`], since otherwise a logout could be
    /// undone by pulling a plug.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long a call may take, in all: waiting for its turn, for other processes and for the disk. Default 1 s,
    /// between a millisecond and a minute.
    ///
    /// A write that has not begun by then did not happen
    /// ([`Unavailable`](tenure_core::StoreErrorKind::Unavailable)); one that has begun may still happen
    /// ([`TimedOut`](tenure_core::StoreErrorKind::TimedOut)).
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How many threads read, each with a connection of its own. Default 4, between 1 and 64.
    ///
    /// # Performance
    ///
    /// A read of what the operating system has in memory takes some microseconds, so that one thread is enough;
    /// the others are for those that wait for the disk. A connection takes up to 4 MiB.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// How many writes may wait for their turn, and how many reads; those beyond fail at once as
    /// [`Unavailable`](tenure_core::StoreErrorKind::Unavailable). Default 4096, between 1 and a million.
    ///
    /// # Performance
    ///
    /// Writes that wait go to the disk together, some thousands a second even where the disk takes
    /// milliseconds. So the default is not reached before they would time out, and bounds memory: 4096 records
    /// of 1 MiB at worst.
    pub fn max_waiting(mut self, max_waiting: usize) -> Self {
        self.max_waiting = max_waiting;
        self
    }

    /// The largest record, in bytes as stored. Larger ones are not written:
    /// [`TooLarge`](tenure_core::StoreErrorKind::TooLarge). Default 1 MiB, between 1 KiB and 64 MiB.
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.max_record_bytes = max_record_bytes;
        self
    }

    /// The largest the file may become, in bytes, 64 KiB or more. Default: as large as the disk allows.
    ///
    /// At the limit, new sessions and growing ones are refused as
    /// [`Full`](tenure_core::StoreErrorKind::Full); no live session is ever removed to make room. The log beside
    /// the file is not counted; it has some 16 MiB, and more only while a transaction does. A file that is larger
    /// already keeps its size.
    pub fn max_file_bytes(mut self, max_file_bytes: u64) -> Self {
        self.max_file_bytes = Some(max_file_bytes);
        self
    }

    /// How often a store with nothing to do removes the sessions that have ended. Default 1 minute, between a
    /// millisecond and a day.
    ///
    /// A store that is in use removes some with each write besides.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// The clock by which sessions expire. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the file, and creates it if it is not there, readable and writable by this process's user alone.
    ///
    /// # Errors
    ///
    /// [`OpenError`], which says what to do about it.
    ///
    /// # Cancellation
    ///
    /// Dropping the future leaves nothing behind but the file.
    pub async fn open(self) -> Result<SqliteStore, OpenError> {
        self.check()?;
        let file = File::new(
            &self.path,
            self.durability,
            self.deadline,
            self.max_file_bytes,
        )?;
        let (writes, reads) = (
            Arc::new(Queue::new(self.max_waiting)),
            Arc::new(Queue::new(self.max_waiting)),
        );
        let (has_ended, ended) = watch::channel(());
        let shared = Shared {
            path: file.path().to_owned(),
            writes: Arc::clone(&writes),
            reads: Arc::clone(&reads),
            given_up: Arc::default(),
            deadline: self.deadline,
            max_record_bytes: self.max_record_bytes,
            ended,
        };
        let writer = Writer {
            queue: writes,
            file: file.clone(),
            clock: Arc::clone(&self.clock),
            patience: self.deadline,
            sweep_interval: self.sweep_interval,
        };
        let (tell, opened) = oneshot::channel();
        let open = move || {
            // Dropped when all is closed.
            let _has_ended = has_ended;
            let connection = match writer.file.open() {
                Ok(connection) => connection,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let readers = readers::start(self.readers, &reads, &file, &self.clock);
            match readers {
                // Who has left has dropped its half of the store, and closed the queues.
                Ok(readers) => {
                    let _ = tell.send(Ok(()));
                    writer.run(connection, readers);
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        };
        thread::Builder::new()
            .name("tenure-sqlite-write".to_owned())
            .spawn(open)
            .map_err(|source| OpenError::Thread { source })?;
        let gone = || OpenError::Thread {
            source: std::io::Error::other("the thread that opens the file has panicked"),
        };
        opened.await.unwrap_or_else(|_| Err(gone()))?;
        Ok(SqliteStore::new(shared))
    }

    fn check(&self) -> Result<(), OpenError> {
        let Self {
            deadline,
            readers,
            max_waiting,
            max_record_bytes,
            sweep_interval: interval,
            ..
        } = *self;
        if !DEADLINES.contains(&deadline) {
            return Err(OpenError::Deadline { deadline });
        }
        if !(1..=64).contains(&readers) {
            return Err(OpenError::Readers { readers });
        }
        if !(1..=1_000_000).contains(&max_waiting) {
            return Err(OpenError::Waiting { max_waiting });
        }
        if !(1 << 10..=64 << 20).contains(&max_record_bytes) {
            return Err(OpenError::RecordBytes { max_record_bytes });
        }
        if let Some(max_file_bytes) = self.max_file_bytes.filter(|bytes| *bytes < 64 << 10) {
            return Err(OpenError::FileBytes { max_file_bytes });
        }
        if !INTERVALS.contains(&interval) {
            return Err(OpenError::SweepInterval { interval });
        }
        Ok(())
    }
}

/// What acknowledged writes survive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "SQLite offers these two with a write-ahead log"
)]
pub enum Durability {
    /// The loss of power, or a crash of the operating system: a write is acknowledged when the disk has it
    /// (`synchronous=FULL`). As far as the disk tells the truth.
    #[default]
    PowerLoss,
    /// A crash of the process, or `kill -9`. A loss of power may undo the writes of the last seconds, logouts
    /// among them, and leaves the file sound (`synchronous=NORMAL`).
    ProcessCrash,
}

impl Durability {
    pub(crate) const fn pragma(self) -> &'static str {
        match self {
            Self::PowerLoss => "FULL",
            Self::ProcessCrash => "NORMAL",
        }
    }
}

const DEADLINES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(60);

const INTERVALS: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_could_not_work_is_refused_before_a_file_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.db");
        let builder = || SqliteStore::builder(&path);
        for deadline in [Duration::ZERO, Duration::from_secs(61)] {
            let refused = builder().deadline(deadline).open().await;
            assert!(matches!(refused, Err(OpenError::Deadline { .. })));
        }
        for readers in [0, 65] {
            let refused = builder().readers(readers).open().await;
            assert!(matches!(refused, Err(OpenError::Readers { .. })));
        }
        let refused = builder().max_waiting(0).open().await;
        assert!(matches!(refused, Err(OpenError::Waiting { .. })));
        for bytes in [1000, 65 << 20] {
            let refused = builder().max_record_bytes(bytes).open().await;
            assert!(matches!(refused, Err(OpenError::RecordBytes { .. })));
        }
        let refused = builder().max_file_bytes(65_535).open().await;
        assert!(matches!(refused, Err(OpenError::FileBytes { .. })));
        for interval in [Duration::ZERO, Duration::from_secs(100_000)] {
            let refused = builder().sweep_interval(interval).open().await;
            assert!(matches!(refused, Err(OpenError::SweepInterval { .. })));
        }
        let refused = SqliteStore::open("").await;
        assert!(matches!(refused, Err(OpenError::EmptyPath)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
