//! The thread that writes: whatever waits goes into one transaction, and so to the disk at once.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rusqlite::Connection;
use tenure_core::{Clock, StoreError, StoreErrorKind};
use tokio::time::Instant;

use crate::{
    error::{ends_connection, fault, fault_of_commit, is_busy, is_full},
    file::{File, Purpose},
    queue::{Queue, Wake},
    sessions::{Sessions, Swept},
    work::Write,
};

/// What the thread is given.
pub(crate) struct Writer {
    pub(crate) queue: Arc<Queue<Box<dyn Write>>>,
    pub(crate) file: File,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long another process may hold the file locked, before those who wait are left to their deadlines.
    pub(crate) patience: Duration,
    pub(crate) sweep_interval: Duration,
}

impl Writer {
    /// Writes until the queue is closed and empty. `readers` are the threads whose connections have to be
    /// closed before this one.
    pub(crate) fn run(self, connection: Connection, readers: Vec<JoinHandle<()>>) {
        // If this thread should panic, nobody waits for it in vain.
        let _closing = Closing(Arc::clone(&self.queue));
        let mut writing = Writing {
            sweep_at: Instant::now() + self.sweep_interval,
            writer: self,
            connection: Some(connection),
        };
        writing.run();
        for reader in readers {
            // One that has panicked has closed its connection.
            let _ = reader.join();
        }
        // The last connection of all processes moves the log into the file and removes it.
        drop(writing);
    }
}

struct Closing(Arc<Queue<Box<dyn Write>>>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
        // Their callers learn of it by being dropped.
        drop(self.0.drain(usize::MAX));
    }
}

type Batch = Vec<Box<dyn Write>>;

struct Writing {
    writer: Writer,
    /// `None` after a fault that it may not survive.
    connection: Option<Connection>,
    sweep_at: Instant,
}

impl Writing {
    fn run(&mut self) {
        loop {
            let patience = self.sweep_at.saturating_duration_since(Instant::now());
            match self.writer.queue.wait(patience) {
                Wake::Work => self.write(),
                Wake::TimedOut => self.sweep(),
                Wake::Closed => return,
            }
        }
    }

    /// Writes what waits.
    fn write(&mut self) {
        match self.begin() {
            Ok(()) => {}
            // They go on waiting, each until its deadline.
            Err(NotBegun::Locked) if !self.writer.queue.is_closed() => {
                return self.writer.queue.retain(|work| work.is_wanted());
            }
            Err(reason) => {
                return refuse(claimed(self.writer.queue.drain(usize::MAX)), &reason.into());
            }
        }
        // Only now: while another process held the lock, callers could still withdraw.
        let mut batch = claimed(self.writer.queue.drain(MAX_BATCH));
        if self.carry_out(&mut batch) == Transaction::Open
            && self.sweep_along(batch.len()) == Transaction::Open
        {
            match self.end() {
                // See below: less may fit.
                Err(error) if is_full(&error) && batch.len() > 1 => {}
                end => return answer(batch, &end.map_err(fault_of_commit)),
            }
        }
        // As a rule because there was no room for all of it.
        report(self.sweep_some());
        // Nothing of it has happened, since one thing made SQLite roll back all. Each by itself gets what it
        // deserves.
        for single in batch {
            self.write_alone(vec![single]);
        }
    }

    fn write_alone(&mut self, mut single: Batch) {
        if let Err(reason) = self.begin() {
            return refuse(single, &reason.into());
        }
        let end = match self.carry_out(&mut single) {
            Transaction::Open => self.end().map_err(fault_of_commit),
            // Its own outcome says why.
            Transaction::RolledBack => Ok(()),
        };
        answer(single, &end);
    }

    /// Runs a batch in the transaction that has begun, as far as that comes.
    fn carry_out(&mut self, batch: &mut Batch) -> Transaction {
        let now = self.writer.clock.now();
        self.within(|connection| {
            let sessions = Sessions::new(connection, now);
            for work in batch {
                work.run(&sessions);
                if connection.is_autocommit() {
                    break;
                }
            }
            sessions.have_broken()
        })
    }

    /// Takes some of the sessions that are due along with others' transaction, so that a store that is never
    /// idle is swept too. What goes wrong with it is no concern of those others'.
    fn sweep_along(&mut self, written: usize) -> Transaction {
        let now = self.writer.clock.now();
        let mut swept = Ok(Swept::default());
        let transaction = self.within(|connection| {
            let sessions = Sessions::new(connection, now);
            swept = sessions.due(written * SWEPT_PER_WRITE).and_then(|due| {
                if due.is_empty() {
                    return Ok(Swept::default());
                }
                connection.execute_batch("SAVEPOINT sweep").map_err(fault)?;
                let swept = sessions.sweep(due);
                // A savepoint that cannot be given up ends with the transaction.
                let _ = connection.execute_batch(match &swept {
                    Ok(_) => "RELEASE sweep",
                    Err(_) => "ROLLBACK TO sweep; RELEASE sweep",
                });
                swept
            });
            sessions.have_broken()
        });
        report(swept);
        transaction
    }

    /// Does something in the transaction that has begun, which says whether the connection may be broken by
    /// it. Then nothing is committed on it any more.
    fn within(&mut self, action: impl FnOnce(&Connection) -> bool) -> Transaction {
        let Some(connection) = self.connection.take() else {
            return Transaction::RolledBack;
        };
        let broken = action(&connection);
        if broken {
            // Closed, and with that rolled back.
            return Transaction::RolledBack;
        }
        let transaction = if connection.is_autocommit() {
            Transaction::RolledBack
        } else {
            Transaction::Open
        };
        self.connection = Some(connection);
        transaction
    }

    fn end(&mut self) -> rusqlite::Result<()> {
        let Some(connection) = self.connection.take() else {
            return Ok(());
        };
        let end = connection.execute_batch("COMMIT");
        let usable = match &end {
            Ok(()) => true,
            Err(error) => {
                !ends_connection(error)
                    && (connection.is_autocommit() || connection.execute_batch("ROLLBACK").is_ok())
            }
        };
        self.connection = usable.then_some(connection);
        end
    }

    /// Looks at what is due, as long as nobody has anything better for the thread to do.
    fn sweep(&mut self) {
        self.sweep_at = Instant::now() + self.writer.sweep_interval;
        loop {
            let swept = self.sweep_some();
            let seen = swept.as_ref().map_or(0, |swept| swept.seen);
            report(swept);
            if seen < SWEPT_AT_ONCE || !self.writer.queue.is_empty() {
                return;
            }
        }
    }

    fn sweep_some(&mut self) -> Result<Swept, StoreError> {
        self.begin()?;
        let now = self.writer.clock.now();
        let mut swept = Ok(Swept::default());
        let transaction = self.within(|connection| {
            let sessions = Sessions::new(connection, now);
            swept = sessions
                .due(SWEPT_AT_ONCE)
                .and_then(|due| sessions.sweep(due));
            sessions.have_broken()
        });
        if transaction == Transaction::Open {
            // What was swept before a fault stays swept.
            self.end().map_err(fault_of_commit)?;
        }
        swept
    }

    /// Begins a transaction, which holds the file's only lock for writing.
    fn begin(&mut self) -> Result<(), NotBegun> {
        let until = Instant::now() + self.writer.patience;
        loop {
            let connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    let connected = self.writer.file.connect(Purpose::Writing);
                    connected.map_err(NotBegun::Fault)?
                }
            };
            match connection.execute_batch("BEGIN IMMEDIATE") {
                Ok(()) => {
                    self.connection = Some(connection);
                    return Ok(());
                }
                Err(error) if is_busy(&error) => {
                    self.connection = Some(connection);
                    if Instant::now() >= until || self.writer.queue.is_closed() {
                        return Err(NotBegun::Locked);
                    }
                    thread::sleep(LOOK_AGAIN);
                }
                Err(error) => {
                    self.connection = (!ends_connection(&error)).then_some(connection);
                    return Err(NotBegun::Fault(fault(error)));
                }
            }
        }
    }
}

/// What has become of a transaction that was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    Open,
    /// By SQLite, as it does at some faults, or since the connection is closed.
    RolledBack,
}

enum NotBegun {
    /// Another process has held the file for too long.
    Locked,
    Fault(StoreError),
}

impl From<NotBegun> for StoreError {
    fn from(reason: NotBegun) -> Self {
        match reason {
            NotBegun::Locked => Self::with_source(
                StoreErrorKind::Unavailable,
                "another process holds the session file locked: end its transaction",
            ),
            NotBegun::Fault(error) => error,
        }
    }
}

/// Those who have not left. From now on they cannot withdraw.
fn claimed(mut batch: Batch) -> Batch {
    batch.retain(|work| work.claim());
    batch
}

fn answer(batch: Batch, end: &Result<(), StoreError>) {
    for work in batch {
        work.answer(end.clone());
    }
}

fn refuse(batch: Batch, error: &StoreError) {
    answer(batch, &Err(error.clone()));
}

fn report(swept: Result<Swept, StoreError>) {
    match swept {
        Ok(Swept { removed: 0, .. }) => {}
        Ok(Swept { removed, .. }) => tracing::debug!(
            target: "tenure_sqlite", event = "sqlite_swept", removed, "removed sessions that had ended"
        ),
        Err(error) => tracing::warn!(
            target: "tenure_sqlite", event = "sqlite_sweep_failed",
            error = &error as &dyn std::error::Error,
            "sessions that have ended could not be removed; trying again later"
        ),
    }
}

/// More would make the first of them wait for the last: at 20 µs each, 5 ms, about what the disk takes.
const MAX_BATCH: usize = 256;

/// What is written may expire; so each write that may add a session takes more than one away.
const SWEPT_PER_WRITE: usize = 2;

/// Some milliseconds, for which those who write have to wait.
const SWEPT_AT_ONCE: usize = 500;

/// Another process holds the lock for about as long as its disk takes to write, a few milliseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
