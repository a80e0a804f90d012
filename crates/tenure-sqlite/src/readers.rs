//! The threads that read: each with a connection of its own, all from one queue.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tenure_core::Clock;

use crate::{
    OpenError,
    file::{File, Purpose},
    queue::Queue,
    sessions::Sessions,
    work::Read,
};

/// Starts them. They end when the queue is closed.
pub(crate) fn start(
    count: usize,
    queue: &Arc<Queue<Box<dyn Read>>>,
    file: &File,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<JoinHandle<()>>, OpenError> {
    let start = |_| {
        let reader = Reader {
            queue: Arc::clone(queue),
            file: file.clone(),
            clock: Arc::clone(clock),
        };
        thread::Builder::new()
            .name("tenure-sqlite-read".to_owned())
            .spawn(move || reader.run())
            .map_err(|source| OpenError::Thread { source })
    };
    (0..count).map(start).collect()
}

struct Reader {
    queue: Arc<Queue<Box<dyn Read>>>,
    file: File,
    clock: Arc<dyn Clock>,
}

impl Reader {
    fn run(self) {
        let mut connection = None;
        while let Some(work) = self.queue.take() {
            connection = self.read(connection, work);
        }
    }

    /// Connects if necessary, and returns the connection if it is of further use.
    ///
    /// No transaction: a single statement is one.
    fn read(&self, connection: Option<Connection>, work: Box<dyn Read>) -> Option<Connection> {
        let connection = connection.map_or_else(|| self.file.connect(Purpose::Reading), Ok);
        let connection = match connection {
            Ok(connection) => connection,
            Err(error) => {
                work.run(Err(error));
                return None;
            }
        };
        let sessions = Sessions::new(&connection, self.clock.now());
        work.run(Ok(&sessions));
        (!sessions.have_broken()).then_some(connection)
    }
}
