//! Looking anew who is where: by one at a time, not too often, and never in a caller's way.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tenure_core::StoreError;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{connector::about, home::Home};

/// Looks when it is asked to, in a task of its own.
///
/// However many calls ask, at most one look is under way. One that is asked for meanwhile follows it, since what
/// has made a call ask may have happened after the answers were given. Between a look and the next there is a
/// pause by chance, which doubles as long as nothing new is found: a thousand clients whose cluster is down
/// would otherwise keep it there with their questions.
pub(super) struct Refresh {
    inner: Arc<Inner>,
    /// The task, which ends with this value.
    tasks: Mutex<JoinSet<()>>,
    home: Arc<Home>,
}

struct Inner {
    look: Look,
    rhythm: Rhythm,
    book: Mutex<Book>,
    ended: watch::Sender<Ended>,
    epoch: Instant,
    /// When the last look ended, in milliseconds since `epoch`.
    ended_at: AtomicU64,
    /// When the last one was asked for without a reason.
    asked_at: AtomicU64,
}

type Look = Box<dyn Fn() -> BoxFuture<'static, Result<Found, StoreError>> + Send + Sync>;

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rhythm {
    /// After news, and before the first look that finds none.
    pub(super) shortest_pause: Duration,
    pub(super) longest_pause: Duration,
    /// How often to look without a reason, while there are calls.
    pub(super) now_and_then: Duration,
}

/// Whether a look has brought something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    News,
    Nothing,
}

struct Book {
    is_running: bool,
    is_wanted: bool,
    begun: u64,
    /// When the next look may begin.
    due: Instant,
    pause: Duration,
}

#[derive(Clone)]
struct Ended {
    number: u64,
    outcome: Result<(), StoreError>,
}

/// A look that begins after it was asked for.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    number: u64,
    due: Instant,
}

impl Refresh {
    pub(super) fn new<F>(
        home: Arc<Home>,
        rhythm: Rhythm,
        look: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Found, StoreError>> + Send + 'static,
    {
        let now = Instant::now();
        let look: Look = Box::new(move || Box::pin(look()));
        let inner = Inner {
            look,
            rhythm,
            book: Mutex::new(Book {
                is_running: false,
                is_wanted: false,
                begun: 0,
                due: now,
                pause: rhythm.shortest_pause,
            }),
            ended: watch::Sender::new(Ended {
                number: 0,
                outcome: Ok(()),
            }),
            epoch: now,
            ended_at: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
        };
        Self {
            inner: Arc::new(inner),
            tasks: Mutex::default(),
            home,
        }
    }

    /// Asks for a look. Returns at once.
    pub(super) fn ask(&self) -> Ticket {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        let mut book = self.inner.book.lock();
        if book.is_running && tasks.is_empty() {
            // Its runtime has ended, and the look with it.
            book.is_running = false;
            self.home.move_here();
        }
        book.is_wanted = true;
        let ticket = Ticket {
            number: book.begun + 1,
            due: book.due,
        };
        if !book.is_running {
            book.is_running = true;
            drop(book);
            let look = Arc::clone(&self.inner).run();
            self.home.spawn(&mut tasks, look);
        }
        ticket
    }

    /// Asks for a look if the last one was long ago, and says how long: whoever says nothing may be the one who is
    /// wrong.
    pub(super) fn ask_now_and_then(&self, now: Instant) -> Duration {
        let ended = self.inner.ended_at.load(Ordering::Relaxed);
        let ended = self.inner.epoch + Duration::from_millis(ended);
        let age = now.saturating_duration_since(ended);
        if age >= self.inner.rhythm.now_and_then {
            let is_asked = self
                .inner
                .asked_at
                .swap(self.inner.millis(now), Ordering::Relaxed);
            // One of those that come at once, and then not again until that should have ended.
            if self.inner.epoch + Duration::from_millis(is_asked) + self.inner.rhythm.now_and_then
                <= now
            {
                self.ask();
            }
        }
        age
    }

    /// Waits for a look, and says how it went.
    ///
    /// # Cancellation
    ///
    /// Dropping the future does not end the look.
    pub(super) async fn wait(
        &self,
        ticket: Ticket,
        until: Instant,
    ) -> Option<Result<(), StoreError>> {
        let mut ended = self.inner.ended.subscribe();
        let look = ended.wait_for(|ended| ended.number >= ticket.number);
        let ended = timeout_at(until, look).await.ok()?.ok()?;
        Some(ended.outcome.clone())
    }

    /// The same, unless the look does not begin soon: for who would rather fail than wait.
    pub(super) async fn wait_if_soon(&self, ticket: Ticket, until: Instant) {
        if ticket.due <= Instant::now() + SOON {
            self.wait(ticket, until).await;
        }
    }
}

impl Inner {
    async fn run(self: Arc<Self>) {
        loop {
            let due = self.book.lock().due;
            sleep_until(due).await;
            let number = {
                let mut book = self.book.lock();
                book.is_wanted = false;
                book.begun += 1;
                book.begun
            };
            let found = (self.look)().await;
            let now = Instant::now();
            self.ended_at.store(self.millis(now), Ordering::Relaxed);
            let mut book = self.book.lock();
            book.pause = match found {
                Ok(Found::News) => self.rhythm.shortest_pause,
                Ok(Found::Nothing) | Err(_) => (book.pause * 2).min(self.rhythm.longest_pause),
            };
            book.due = now + about(book.pause);
            self.ended.send_replace(Ended {
                number,
                outcome: found.map(drop),
            });
            if !book.is_wanted {
                book.is_running = false;
                return;
            }
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from((now - self.epoch).as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refresh").finish_non_exhaustive()
    }
}

/// What a call rather waits for than to fail at once.
const SOON: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::time::sleep;

    use super::*;

    struct Looks {
        refresh: Refresh,
        begun: Arc<AtomicU32>,
    }

    impl Looks {
        fn new(found: Found, takes: Duration) -> Self {
            let begun = Arc::new(AtomicU32::new(0));
            let counter = Arc::clone(&begun);
            let look = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                async move {
                    sleep(takes).await;
                    Ok(found)
                }
            };
            let refresh = Refresh::new(Arc::new(Home::here()), RHYTHM, look);
            Self { refresh, begun }
        }

        fn begun(&self) -> u32 {
            self.begun.load(Ordering::Relaxed)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const RHYTHM: Rhythm = Rhythm {
        shortest_pause: Duration::from_millis(50),
        longest_pause: SECOND,
        now_and_then: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn a_thousand_calls_that_ask_at_once_share_one_look() {
        let looks = Looks::new(Found::News, SECOND);
        let until = Instant::now() + 10 * SECOND;
        let tickets: Vec<_> = (0..1000).map(|_| looks.refresh.ask()).collect();
        for ticket in tickets {
            assert!(matches!(
                looks.refresh.wait(ticket, until).await,
                Some(Ok(()))
            ));
        }
        sleep(10 * SECOND).await;
        assert_eq!(looks.begun(), 1);
    }

    /// What it has to see may have happened since the one under way was answered.
    #[tokio::test(start_paused = true)]
    async fn who_asks_during_a_look_gets_the_next_one() {
        let looks = Looks::new(Found::News, SECOND);
        let until = Instant::now() + 10 * SECOND;
        looks.refresh.ask();
        sleep(SECOND / 2).await;
        let asked = Instant::now();
        let ticket = looks.refresh.ask();
        looks.refresh.wait(ticket, until).await.unwrap().unwrap();
        assert!(
            asked.elapsed() > SECOND * 3 / 2 - RHYTHM.shortest_pause,
            "{:?}",
            asked.elapsed()
        );
        assert_eq!(looks.begun(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn looks_that_find_nothing_become_rare() {
        let looks = Looks::new(Found::Nothing, Duration::ZERO);
        let begun = Instant::now();
        while begun.elapsed() < 60 * SECOND {
            looks.refresh.ask();
            sleep(SECOND / 100).await;
        }
        assert!((30..=130).contains(&looks.begun()), "{}", looks.begun());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_look_that_does_not_begin_soon() {
        let looks = Looks::new(Found::Nothing, Duration::ZERO);
        let until = Instant::now() + 600 * SECOND;
        for _ in 0..10 {
            let ticket = looks.refresh.ask();
            looks.refresh.wait(ticket, until).await.unwrap().unwrap();
        }
        let asked = Instant::now();
        let ticket = looks.refresh.ask();
        looks.refresh.wait_if_soon(ticket, until).await;
        assert_eq!(asked.elapsed(), Duration::ZERO);
        let early = Instant::now() + SECOND / 1000;
        assert!(
            looks.refresh.wait(ticket, early).await.is_none(),
            "out of time"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_asked_all_the_time_is_looked_after_now_and_then() {
        let looks = Looks::new(Found::Nothing, Duration::ZERO);
        for _ in 0..100 {
            sleep(SECOND).await;
            looks.refresh.ask_now_and_then(Instant::now());
        }
        assert_eq!(looks.begun(), 3);
    }

    #[test]
    fn a_look_whose_runtime_has_ended_is_begun_on_another() {
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.enable_time().build().unwrap()
        };
        let first = runtime();
        let looks = first.block_on(async {
            let looks = Looks::new(Found::News, SECOND / 100);
            looks.refresh.ask();
            looks
        });
        drop(first);
        runtime().block_on(async {
            let ticket = looks.refresh.ask();
            let until = Instant::now() + 10 * SECOND;
            looks.refresh.wait(ticket, until).await.unwrap().unwrap();
        });
    }
}
