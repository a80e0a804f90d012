//! Everything that the processes of one run share, and what must hold of it.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tenure_core::{
    Entropy, EntropyError, Epoch, Freshness, Load, LoginName, LoginState, MemoryStore, Principal,
    Record, SessionManager, SessionStore,
};
use tokio::task::{JoinHandle, yield_now};

use super::{
    process::{Act, Plan},
    stage::Stage,
    store::{FixedClock, NodeStore, Storage, hash_of, hash_roll},
};
use crate::cookie::Cookie;

pub(super) struct World {
    plan: Plan,
    pub(super) storage: Arc<Storage>,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What has come out of the nodes.
#[derive(Debug, Default)]
struct Seen {
    browsers: Vec<Browser>,
    /// Logins whose cookies have left, and their users.
    issued: Vec<(LoginName, Principal)>,
    /// The epoch before which all of a user's logins were said to have ended.
    ended: BTreeMap<Principal, Epoch>,
    is_done: Vec<bool>,
    has_failures: bool,
}

#[derive(Clone, Debug, Default)]
struct Browser {
    cookie: Option<String>,
    /// The record at the beginning.
    first: Option<Record>,
}

impl World {
    /// With what there is at the beginning, and all processes waiting for their first turns.
    pub(super) async fn new(plan: &Plan, key: &str) -> Self {
        let clock = FixedClock::new();
        let storage = Arc::new(Storage {
            stage: Stage::default(),
            sessions: MemoryStore::builder().clock(clock.clone()).build(),
            ids: Mutex::default(),
            rolls: Mutex::default(),
            clock: clock.clone(),
            left_out: plan.left_out,
        });
        let mut world = Self {
            plan: plan.clone(),
            storage,
            seen: Arc::default(),
            tasks: Vec::new(),
        };
        world.seen.lock().is_done = vec![false; plan.processes.len()];
        if !plan.browsers.is_empty() {
            let node = world.node(usize::from(u8::MAX), key);
            for (number, user) in plan.browsers.iter().enumerate() {
                world.seen.lock().browsers.push(Browser::default());
                let cookie = visit(&node, None, Visit::LogIn(user)).await;
                let first = issue(&world.storage, &world.seen, Some(number), cookie).await;
                world.seen.lock().browsers[number].first = first;
            }
        }
        // So that the next request renews a session's lease.
        clock.advance(Duration::from_secs(10 * 60));
        world.storage.stage.begin(plan.processes.len());
        for number in 0..plan.processes.len() {
            let task = world.process(number, key);
            world.tasks.push(tokio::spawn(task));
        }
        world.rest().await;
        world
    }

    fn node(&self, actor: usize, key: &str) -> SessionManager {
        let store = NodeStore {
            actor,
            storage: Arc::clone(&self.storage),
        };
        let builder = SessionManager::builder(store.clone(), key.parse().expect("a key"))
            .login_index(store)
            .clock(self.storage.clock.clone())
            .danger_entropy(Counting::new(actor))
            .deadline(Duration::from_secs(24 * 60 * 60));
        let builder = match self.plan.limit {
            Some((most, on_limit)) => builder.max_sessions(most, on_limit),
            None => builder,
        };
        builder.build().expect("a manager")
    }

    /// A process, on a node of its own.
    fn process(&self, number: usize, key: &str) -> impl Future<Output = ()> + Send + 'static {
        let node = self.node(number, key);
        // The same storage without turns, to look at what a cookie opens.
        let (storage, seen) = (Arc::clone(&self.storage), Arc::clone(&self.seen));
        let process = self.plan.processes[number];
        async move {
            // Whoever looks at what others have left begins with a turn, so that it can be at any time.
            if process.after.is_some() || !matches!(process.act, Act::LogIn(_)) {
                storage.stage.turn(number, "begin").await;
                storage.stage.told(number, "begin", &());
            }
            let cookie_of = |browser: usize| seen.lock().browsers[browser].cookie.clone();
            let first_of = |browser: usize| seen.lock().browsers[browser].first.clone();
            match process.act {
                Act::LogIn(user) => {
                    let cookie = visit(&node, None, Visit::LogIn(user)).await;
                    let _ = issue(&storage, &seen, None, cookie).await;
                }
                Act::LogInAt(browser, user) => {
                    let cookie = cookie_of(browser);
                    storage.stage.told(number, "cookie", &cookie);
                    let cookie = visit(&node, cookie, Visit::LogIn(user)).await;
                    let _ = issue(&storage, &seen, Some(browser), cookie).await;
                }
                Act::LogOut(browser) => {
                    let cookie = cookie_of(browser);
                    storage.stage.told(number, "cookie", &cookie);
                    let _ = visit(&node, cookie, Visit::LogOut).await;
                }
                Act::Read(browser) => {
                    let cookie = cookie_of(browser);
                    storage.stage.told(number, "cookie", &cookie);
                    let _ = visit(&node, cookie, Visit::Read).await;
                }
                Act::EndAll(user) => {
                    let ended = node.index().end_all(user).await.expect("no faults here");
                    let mut seen = seen.lock();
                    let latest = seen.ended.entry(principal(user)).or_default();
                    *latest = ended.fence.max(*latest);
                }
                Act::List(user) => {
                    let listed = node.index().logins_of(user, None).await;
                    listed.expect("no faults here");
                }
                Act::LoseEntry(browser) => {
                    let name = first_of(browser).as_ref().and_then(LoginName::of);
                    let name = name.expect("a login");
                    for roll in storage.rolls.lock().values_mut() {
                        roll.entries.remove(&name);
                    }
                }
                Act::LoseDeletion(browser) => {
                    let record = first_of(browser).expect("a session");
                    // If it was not deleted, there is nothing to lose.
                    let _ = storage
                        .sessions
                        .create(record)
                        .await
                        .expect("no faults here");
                }
            }
            seen.lock().is_done[number] = true;
        }
    }

    /// Which turns there are to be given.
    pub(super) fn turns(&self) -> Vec<(usize, usize, &'static str)> {
        let seen = self.seen.lock();
        let may = |actor: usize, label: &str| {
            let after = self.plan.processes[actor].after;
            label != "begin" || after.is_none_or(|other| seen.is_done[other])
        };
        let waiting = self.storage.stage.waiting().into_iter().enumerate();
        waiting
            .filter(|(_, (actor, label))| may(*actor, label))
            .map(|(number, (actor, label))| (number, actor, label))
            .collect()
    }

    /// Whether something of it is still to come, be it behind its response.
    pub(super) fn is_under_way(&self, actor: usize) -> bool {
        self.turns().iter().any(|(_, other, _)| *other == actor)
    }

    pub(super) fn is_done(&self, actor: usize) -> bool {
        self.seen.lock().is_done[actor]
    }

    pub(super) async fn take_turn(&self, number: usize) {
        self.storage.stage.go(number);
        self.rest().await;
    }

    pub(super) fn kill(&self, actor: usize) {
        self.seen.lock().has_failures = true;
        self.storage.stage.kill(actor);
    }

    pub(super) async fn leave(&self, actor: usize) {
        self.seen.lock().has_failures = true;
        self.storage.stage.leave(actor);
        self.tasks[actor].abort();
        self.rest().await;
    }

    /// Lets everything run until all wait for their turns.
    async fn rest(&self) {
        loop {
            let before = self.storage.stage.activity();
            // Each lets all tasks run that can.
            for _ in 0..4 {
                yield_now().await;
            }
            if self.storage.stage.activity() == before {
                return;
            }
        }
    }

    /// Everything that what comes next depends on.
    pub(super) async fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.storage.stage.hash_into(&mut hasher);
        for (_, record) in self.stored().await {
            hash_of(&record.encode()).hash(&mut hasher);
        }
        for (user, roll) in &*self.storage.rolls.lock() {
            user.hash(&mut hasher);
            hash_roll(roll, &mut hasher);
        }
        let seen = self.seen.lock();
        (&seen.issued, &seen.ended, &seen.is_done).hash(&mut hasher);
        for browser in &seen.browsers {
            browser.cookie.hash(&mut hasher);
        }
        hasher.finish()
    }

    async fn stored(&self) -> Vec<(LoginName, Record)> {
        let ids = self.storage.ids.lock().clone();
        let mut records = Vec::new();
        for id in ids {
            let load = self.storage.sessions.load(id, Freshness::Latest).await;
            if let Load::Found(record) = load.expect("no faults here") {
                let name = LoginName::new(id, record.login().stamp);
                records.push((name, record));
            }
        }
        records
    }

    /// What must hold and does not.
    pub(super) async fn violation(&self) -> Option<String> {
        let is_at_rest = self.turns().is_empty();
        if self.plan.at_rest_only && !is_at_rest {
            return None;
        }
        let stored = self.stored().await;
        let seen = self.seen.lock();
        let rolls = self.storage.rolls.lock();
        let mut usable: BTreeMap<&Principal, u32> = BTreeMap::new();
        for (name, user) in &seen.issued {
            let Some((_, record)) = stored.iter().find(|(stored, _)| stored == name) else {
                continue;
            };
            *usable.entry(user).or_default() += 1;
            let state = rolls
                .get(user)
                .and_then(|roll| Some(roll.entries.get(name)?.state));
            if !matches!(state, Some(LoginState::Confirmed | LoginState::Condemned)) {
                return Some("cover: a login is usable and not in the index".to_owned());
            }
            let ended = seen.ended.get(user).copied().unwrap_or_default();
            if record.login().epoch < ended {
                return Some("revoked: a login is usable after all were ended".to_owned());
            }
        }
        self.limit_violation(&rolls, &usable, is_at_rest && !seen.has_failures)
            .or_else(|| self.exactness_violation(&seen, &stored, is_at_rest))
    }

    fn limit_violation(
        &self,
        rolls: &BTreeMap<Principal, tenure_core::LoginRoll>,
        usable: &BTreeMap<&Principal, u32>,
        is_undisturbed_rest: bool,
    ) -> Option<String> {
        let (most, _) = self.plan.limit?;
        for roll in rolls.values() {
            let taken = roll.entries.values();
            let taken = taken.filter(|entry| entry.state != LoginState::Condemned);
            let taken = taken.count();
            if taken > most as usize {
                return Some(format!("limit: {taken} logins, {most} allowed"));
            }
        }
        let many = usable.values().find(|usable| **usable > most);
        many.filter(|_| is_undisturbed_rest)
            .map(|many| format!("limit: {many} usable logins at rest, {most} allowed"))
    }

    /// A user whose logins nobody ends, and who does not log out, stays logged in.
    fn exactness_violation(
        &self,
        seen: &Seen,
        stored: &[(LoginName, Record)],
        is_at_rest: bool,
    ) -> Option<String> {
        let ends = |user: &Principal| {
            self.plan.limit.is_some()
                || self.plan.processes.iter().any(|process| match process.act {
                    Act::EndAll(ended) => *user == ended,
                    Act::LogOut(_) => true,
                    _ => false,
                })
        };
        let (name, user) = seen.issued.last().filter(|_| is_at_rest)?;
        let lives = stored.iter().any(|(stored, _)| stored == name);
        let is_replaced = stored
            .iter()
            .any(|(stored, _)| stored.session() == name.session());
        (!lives && !is_replaced && !ends(user))
            .then(|| "exact: a login was ended on behalf of somebody else".to_owned())
    }
}

enum Visit<'a> {
    LogIn(&'a str),
    LogOut,
    Read,
}

/// One request; returns the cookie that its response sets.
async fn visit(node: &SessionManager, cookie: Option<String>, visit: Visit<'_>) -> Option<String> {
    let name = node.cookie_name();
    let fields = cookie.map(|value| format!("{name}={value}"));
    let handle = node.open(fields);
    let session = handle.load().await.expect("no faults here");
    match visit {
        Visit::LogIn("") => session.insert("basket", 1).expect("a value"),
        Visit::LogIn(user) => session.login(user).expect("a login"),
        Visit::LogOut => session.destroy().expect("a logout"),
        Visit::Read => {}
    }
    let finish = handle.finish(200).await;
    let text = finish.set_cookie.filter(|_| finish.refusal.is_none())?;
    let (pair, attributes) = text.split_once(';')?;
    let (_, value) = pair.split_once('=')?;
    (!attributes.contains("Max-Age=0")).then(|| value.to_owned())
}

/// A cookie arrives at its browser. Returns what it opens.
async fn issue(
    storage: &Storage,
    seen: &Mutex<Seen>,
    browser: Option<usize>,
    text: Option<String>,
) -> Option<Record> {
    let text = text?;
    let cookie = Cookie::parse(&format!("cookie={text}")).expect("a cookie");
    let load = storage.sessions.load(cookie.id, Freshness::Latest).await;
    let mut seen = seen.lock();
    if let Some(browser) = browser {
        seen.browsers[browser].cookie = Some(text);
    }
    match load.expect("no faults here") {
        Load::Found(record) if record.secret_hash() == cookie.secret => {
            let login = LoginName::of(&record).zip(record.principal().cloned());
            seen.issued.extend(login);
            Some(record)
        }
        // Others have been faster.
        Load::Found(_) | Load::Expired(_) | Load::Absent => None,
    }
}

fn principal(name: &str) -> Principal {
    Principal::new(name).expect("a name")
}

/// Numbers instead of chance: other ones on each node, the same ones in each run.
#[derive(Debug)]
struct Counting(Mutex<u64>);

impl Counting {
    fn new(node: usize) -> Self {
        Self(Mutex::new((node as u64 + 1) << 32))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut number = self.0.lock();
        for chunk in bytes.chunks_mut(8) {
            *number += 1;
            let drawn = hash_of(&*number).to_be_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
        Ok(())
    }
}
