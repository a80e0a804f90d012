//! Where the tasks live that outlive the call which begins them.

use parking_lot::Mutex;
use tokio::{runtime::Handle, task::JoinSet};

/// The runtime on which the store was connected.
///
/// A call may come from another one: actix has a runtime for each of its workers. Whatever a call began
/// there would stand still when that worker blocks, and with it the sessions of all others.
#[derive(Debug)]
pub(crate) struct Home(Mutex<Option<Handle>>);

impl Home {
    /// The present runtime; the first that needs one, if there is none at present.
    pub(crate) fn here() -> Self {
        Self(Mutex::new(Handle::try_current().ok()))
    }

    /// Makes the caller's runtime the home.
    pub(crate) fn move_here(&self) {
        *self.0.lock() = Some(Handle::current());
    }

    /// Runs a task at home, and if that runtime has shut down, on the caller's, which is the home from then
    /// on. `None` if that shuts down as well.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the task.
    pub(crate) async fn run<F>(&self, task: impl Fn() -> F) -> Option<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // The set owns the task, and ends it when it is dropped.
        let mut owner = JoinSet::new();
        owner.spawn_on(task(), &self.runtime());
        if let Some(Ok(output)) = owner.join_next().await {
            return Some(output);
        }
        self.move_here();
        owner.spawn_on(task(), &self.runtime());
        owner.join_next().await?.ok()
    }

    /// Begins a task at home, which ends with its owner.
    pub(crate) fn spawn(
        &self,
        owner: &mut JoinSet<()>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        owner.spawn_on(task, &self.runtime());
    }

    fn runtime(&self) -> Handle {
        self.0.lock().get_or_insert_with(Handle::current).clone()
    }
}
