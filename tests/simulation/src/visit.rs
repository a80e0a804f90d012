//! One request, from the browser's cookie to the response, with a handler that does its steps.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tenure_core::{Session, SessionError};

use crate::{
    cookie::Cookie,
    journal::{Change, Commit, Ending, Fate, Kind, List, Read, Violation},
    scenario::{Request, Step},
    world::{Response, World},
};

/// The handler's side of one request.
struct Handler {
    world: Rc<World>,
    visit: usize,
    /// The basket as it was looked at.
    basket: Option<Vec<u32>>,
}

/// Runs one request. Dropping it is what happens when the client leaves.
pub(crate) async fn visit(world: Rc<World>, visit: usize, request: Request) {
    let (browser, manager) = (request.browser, world.managers[request.node].clone());
    let handle = {
        let browsers = world.browsers.borrow();
        let browser = &browsers[browser];
        let cookie = if request.is_replay {
            &browser.first
        } else {
            &browser.cookie
        };
        let mut journal = world.journal.borrow_mut();
        journal.visits[visit].presented = cookie.as_deref().and_then(Cookie::parse);
        journal.visits[visit].presented_text.clone_from(cookie);
        manager.open(cookie)
    };
    let phase = world.enter(visit, "load");
    let loaded = handle.load().await;
    let ended = world.leave(visit, phase, loaded.as_ref().err());
    let Ok(session) = loaded else {
        // The response of a request that failed says nothing of its session.
        let _ = handle.finish(503).await;
        return;
    };
    let mut handler = Handler {
        world: Rc::clone(&world),
        visit,
        basket: None,
    };
    handler.read(&session, phase.step, phase.at, ended, false);

    let mut status = request.status;
    for (place, step) in request.steps.iter().enumerate() {
        let number = number_of(visit, place);
        if let Err(error) = handler.take(*step, number, &session).await {
            status = error.status();
            break;
        }
    }
    let behind = request.steps.last() == Some(&Step::Detach) && status < 400;
    let detached = behind.then(|| session.detach()).flatten();

    let phase = world.enter(visit, "finish");
    let finish = handle.finish(status).await;
    let ended = world.leave(visit, phase, finish.refusal.as_ref());
    match &finish.refusal {
        None if status >= 500 => handler.drop_pending(),
        None => handler.acknowledge(&session, ended),
        Some(error) => handler.fail(error),
    }
    if finish.refusal.is_none() {
        let mut journal = world.journal.borrow_mut();
        let destroyed = journal.visits[visit].destroyed;
        journal
            .endings
            .extend(destroyed.map(|id| Ending { id, step: ended }));
    }
    if let Some(set_cookie) = finish.set_cookie {
        handler.check_cookie(&set_cookie, ended);
        world.browsers.borrow_mut()[browser]
            .responses
            .push(Response { visit, set_cookie });
    }
    if let Some(session) = detached {
        let number = number_of(visit, request.steps.len());
        let _ = handler.take(Step::Append, number, &session).await;
        let _ = handler.take(Step::Commit, number, &session).await;
    }
}

impl Handler {
    async fn take(
        &mut self,
        step: Step,
        number: u32,
        session: &Session,
    ) -> Result<(), SessionError> {
        let canary = Arc::clone(&self.world.canary);
        let append = move |log: Option<Vec<u32>>| {
            let _ = &canary;
            let mut log = log.unwrap_or_default();
            log.push(number);
            log
        };
        match step {
            Step::Look => self.basket = Some(session.get("basket")?.unwrap_or_default()),
            Step::Note => {
                let seen = match self.basket.take() {
                    Some(seen) => seen,
                    None => session.get("basket")?.unwrap_or_default(),
                };
                let basket: Vec<u32> = seen.into_iter().chain([number]).collect();
                session.insert("basket", basket)?;
                self.change(number, List::Basket);
            }
            Step::Append => {
                session.update("log", append)?;
                self.change(number, List::Log);
            }
            Step::Burst => {
                for part in 1..=BURST {
                    let number = number + part * NUMBERS;
                    session.update("log", move |log: Option<Vec<u32>>| {
                        log.unwrap_or_default()
                            .into_iter()
                            .chain([number])
                            .collect()
                    })?;
                    self.change(number, List::Log);
                    self.commit(session).await?;
                }
            }
            Step::AppendReading => {
                let other = session.clone();
                session.update("log", move |log| {
                    let _: Result<Option<Vec<u32>>, _> = other.get("basket");
                    append(log)
                })?;
                self.change(number, List::Log);
            }
            Step::Mark => {
                session.insert(format!("mark {number}").as_str(), number)?;
                self.change(number, List::Mark);
            }
            Step::Merge => {
                let _: Option<u32> = session.get("cart")?;
                session.insert("cart", number)?;
            }
            Step::Spin => self.spin(session)?,
            Step::Commit => self.commit(session).await?,
            Step::Refresh => self.refresh(session).await?,
            Step::Login => session.login(format!("user {number}"))?,
            Step::LoginRemembered => session.login_remembered(format!("user {number}"))?,
            Step::Rotate => session.rotate()?,
            Step::Destroy => {
                let id = session.id();
                session.destroy()?;
                self.drop_pending();
                let mut journal = self.world.journal.borrow_mut();
                let log = &mut journal.visits[self.visit];
                (log.has_destroyed, log.destroyed) = (true, id);
            }
            Step::Detach => {}
        }
        Ok(())
    }

    async fn commit(&mut self, session: &Session) -> Result<(), SessionError> {
        let phase = self.world.enter(self.visit, "commit");
        let outcome = session.commit().await;
        let ended = self.world.leave(self.visit, phase, outcome.as_ref().err());
        match &outcome {
            Ok(()) => self.acknowledge(session, ended),
            Err(error) => self.fail(error),
        }
        outcome
    }

    async fn refresh(&mut self, session: &Session) -> Result<(), SessionError> {
        let phase = self.world.enter(self.visit, "refresh");
        let outcome = session.refresh().await;
        let ended = self.world.leave(self.visit, phase, outcome.as_ref().err());
        if outcome.is_ok() {
            self.read(session, phase.step, phase.at, ended, true);
        }
        outcome
    }

    /// An update whose closure writes what it updates must come to an end, whatever comes of it.
    fn spin(&self, session: &Session) -> Result<(), SessionError> {
        let (other, runs) = (session.clone(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&runs);
        let updating = std::panic::AssertUnwindSafe(|| {
            session.update("spin", move |old: Option<u32>| {
                let run = counted.fetch_add(1, Ordering::Relaxed);
                if run > MOST_RUNS {
                    std::panic::resume_unwind(Box::new("spins"));
                }
                // Refused or not, it must not begin again for ever.
                let _ = other.insert("spin", run);
                old.unwrap_or_default() + 1
            })
        });
        let outcome = std::panic::catch_unwind(updating);
        if runs.load(Ordering::Relaxed) > MOST_RUNS {
            let story = format!(
                "an update of request {} that writes its own value has no end",
                self.visit
            );
            self.world.journal.borrow_mut().violations.push(Violation {
                kind: Kind::Spin,
                story,
            });
        }
        outcome.unwrap_or(Ok(0)).map(|_| ())
    }

    fn change(&self, number: u32, list: List) {
        let change = Change {
            number,
            list,
            visit: self.visit,
            fate: Fate::Pending,
        };
        self.world.journal.borrow_mut().changes.push(change);
    }

    fn read(
        &self,
        session: &Session,
        began: u32,
        began_at: tenure_core::Timestamp,
        ended: u32,
        is_refresh: bool,
    ) {
        let seen = session.id().zip(session.version());
        let read = Read {
            visit: self.visit,
            is_refresh,
            began,
            began_at,
            ended,
            seen,
        };
        self.world.journal.borrow_mut().reads.push(read);
    }

    /// What was changed since the last commit is written.
    fn acknowledge(&self, session: &Session, ended: u32) {
        let mut journal = self.world.journal.borrow_mut();
        let id = session.id();
        let held = id.zip(session.version());
        journal.visits[self.visit].held.extend(held);
        let mut added = Vec::new();
        let mut has_changes = false;
        for change in journal.pending(self.visit) {
            change.fate = Fate::Acknowledged { id, step: ended };
            has_changes = true;
            if change.list == List::Log {
                added.push(change.number);
            }
        }
        if let (true, Some(id), Some(version)) = (has_changes, id, session.version()) {
            let log = session.get("log").ok().flatten().unwrap_or_default();
            journal.commits.push(Commit {
                visit: self.visit,
                ended,
                id,
                version,
                log,
                added,
            });
        }
    }

    /// What was changed since the last commit came to this error.
    fn fail(&self, error: &SessionError) {
        let fate = match error {
            SessionError::Store(error) if error.outcome_unknown() => Fate::Unknown,
            SessionError::Decode { .. } => Fate::Unknown,
            _ => Fate::Refused,
        };
        let mut journal = self.world.journal.borrow_mut();
        journal
            .pending(self.visit)
            .for_each(|change| change.fate = fate);
    }

    /// What was changed since the last commit was never asked to be written.
    fn drop_pending(&self) {
        let mut journal = self.world.journal.borrow_mut();
        journal
            .pending(self.visit)
            .for_each(|change| change.fate = Fate::Refused);
    }

    /// A response may set a cookie whose secret was replaced only if nothing told its request so: none of
    /// its own calls was carried out since.
    fn check_cookie(&self, set_cookie: &str, ended: u32) {
        let Some(cookie) = Cookie::parse(set_cookie) else {
            return;
        };
        let server = self.world.server.lock();
        if server.past.has_losses() {
            return;
        }
        let Some(replaced) = server.past.replaced(cookie.id, cookie.secret) else {
            return;
        };
        let knew = server.calls.iter().any(|call| {
            call.actor == Some(self.visit)
                && call.ask.id() == Some(cookie.id)
                && !call.is_abandoned
                && call.answered.is_some_and(|answered| answered <= ended)
                && call
                    .executed
                    .is_some_and(|executed| executed > replaced.cause.step)
        });
        if knew {
            let story = format!(
                "the response of request {} sets a cookie whose secret was replaced before the store \
                 answered it",
                self.visit
            );
            let violation = Violation {
                kind: Kind::ReplacedCookie,
                story,
            };
            self.world.journal.borrow_mut().violations.push(violation);
        }
    }
}

/// What a step of a request writes: no two steps the same.
fn number_of(visit: usize, place: usize) -> u32 {
    let number = visit * STEPS_PER_VISIT + place + 1;
    u32::try_from(number).expect("a scenario has a few requests")
}

/// The request that wrote that number.
pub(crate) const fn visit_of(number: u32) -> usize {
    ((number % NUMBERS) as usize - 1) / STEPS_PER_VISIT
}

const STEPS_PER_VISIT: usize = 10;

/// More than all steps of all requests. A burst adds multiples of it to its number.
const NUMBERS: u32 = 1000;

/// A session remembers its last eight commits.
const BURST: u32 = 8;

/// How often an update's closure may run for its handler.
const MOST_RUNS: u32 = 100;
