//! The same random verbs to the index in memory and to that on Redis: equal answers.

use std::time::Duration;

use futures_util::future::join_all;
use tenure_core::{
    Clock, Confirmation, Ending, Epoch, LoginCursor, LoginLimit, LoginName, LoginSeen, LoginStamp,
    MemoryStore, Principal, Reservation, SessionId, SessionIndex, Timestamp,
};
use tenure_redis::RedisStore;
use tenure_testing::{ManualClock, RedisServer};

#[tokio::test]
async fn the_same_verbs_get_the_same_answers_from_memory_and_from_redis() {
    let server = RedisServer::start();
    let tallies = join_all((1..=SEEDS).map(|seed| compare(&server, seed))).await;
    for (number, kind) in KINDS.iter().enumerate() {
        let times: u32 = tallies.iter().map(|tally| tally[number]).sum();
        assert!(times >= 20, "no verb was answered with {kind}: {times}");
    }
}

/// Runs one sequence, beside others on the same server.
async fn compare(server: &RedisServer, seed: u64) -> [u32; KINDS.len()] {
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let redis = RedisStore::builder(server.url())
        .prefix(format!("seed-{seed}"))
        .deadline(Duration::from_secs(30))
        .clock(clock.clone());
    let mut run = Run {
        memory,
        redis: redis.connect().await.unwrap(),
        clock,
        random: seed,
        seed,
        users: ["ada", "grace", "annie"].map(|name| Principal::new(name).unwrap()),
        epochs: vec![0],
        tags: vec![1],
        cursor: None,
        tally: [0; KINDS.len()],
    };
    for _ in 0..STEPS {
        run.step().await;
    }
    run.compare_all().await;
    run.tally
}

struct Run {
    memory: MemoryStore,
    redis: RedisStore,
    clock: ManualClock,
    random: u64,
    seed: u64,
    users: [Principal; 3],
    /// Epochs that were ever told.
    epochs: Vec<u64>,
    /// Tags of all endings.
    tags: Vec<u64>,
    cursor: Option<LoginCursor>,
    tally: [u32; KINDS.len()],
}

/// Asks both stores, compares and counts.
macro_rules! ask {
    ($run:ident, $user:expr, $verb:ident($($argument:expr),*)) => {{
        let memory = $run.memory.$verb($user, $($argument.clone()),*).await.unwrap();
        let redis = $run.redis.$verb($user, $($argument),*).await.unwrap();
        assert_eq!(memory, redis, "seed {}: {}", $run.seed, stringify!($verb));
        $run.count(&format!("{redis:?}"));
        redis
    }};
}

impl Run {
    async fn step(&mut self) {
        let drawn = self.below(self.users.len());
        let user = &self.users[drawn].clone();
        let login = self.login();
        match self.below(24) {
            0..6 => self.reserve(user, login).await,
            6..11 => {
                let confirmation = Confirmation {
                    login,
                    replaces: self.sometimes(4),
                    epoch: self.epoch(),
                    ends_at: self.end_of_session(),
                };
                let _ = ask!(self, user, confirm(confirmation));
            }
            11 => self.end(user).await,
            12 => {
                let _ = ask!(self, user, condemn(login));
            }
            13..15 => {
                let logins: Vec<_> = (0..self.below(6)).map(|_| self.login()).collect();
                ask!(self, user, settle(logins));
            }
            15..18 => {
                let seen = LoginSeen {
                    login,
                    epoch: self.epoch(),
                    ends_at: self.end_of_session(),
                };
                let _ = ask!(self, user, touch(seen));
            }
            18 => {
                let standing = ask!(self, user, standing());
                self.epochs.push(standing.epoch.as_u64());
            }
            19 => {
                let epoch = self.epoch();
                ask!(self, user, unblock(epoch));
            }
            20..22 => {
                let (after, most) = (self.cursor, self.below(4));
                let page = ask!(self, user, logins(after, most));
                self.cursor = page.logins.last().copied();
            }
            22 => {
                let to = Epoch::from_u64(1_700_000_000_000 + self.below(100_000) as u64);
                let raised = self.redis.raise_gate(to).await.unwrap();
                assert_eq!(self.memory.raise_gate(to).await.unwrap(), raised);
                assert_eq!(self.redis.gate().await.unwrap(), raised);
            }
            _ => {
                let span = Duration::from_millis(self.below(8000) as u64);
                self.clock.advance(span);
            }
        }
    }

    async fn reserve(&mut self, user: &Principal, login: LoginName) {
        let limit = LoginLimit {
            most: 1 + self.below(6) as u32,
            evicts: self.below(2) == 0,
        };
        let fence = self.epoch();
        let fence = (self.below(8) == 0).then_some(fence);
        let reservation = Reservation {
            login,
            replaces: self.sometimes(3),
            limit: (self.below(4) > 0).then_some(limit),
            fence,
            dead: (0..self.below(3)).map(|_| self.login()).collect(),
            kept_until: self.kept_until(),
        };
        let _ = ask!(self, user, reserve(reservation));
    }

    async fn end(&mut self, user: &Principal) {
        let again = self.below(self.tags.len());
        let tag = match self.below(3) {
            0 => self.tags[self.tags.len() - 1 - again.min(20)],
            _ => self.random,
        };
        self.tags.push(tag);
        let ending = Ending {
            tag,
            spares: self.sometimes(3),
            blocks: self.below(4) == 0,
            kept_until: self.kept_until(),
        };
        let ended = ask!(self, user, end(ending));
        self.epochs.push(ended.epoch.as_u64());
        if self.below(3) > 0 {
            ask!(self, user, unblock(ended.epoch));
        }
    }

    /// What is left, and that both list the same principals.
    async fn compare_all(&mut self) {
        for user in self.users.clone() {
            let _ = ask!(self, &user, standing());
            let _ = ask!(self, &user, logins(None, 1000));
        }
        let mut listed = [Vec::new(), Vec::new()];
        let mut after = None;
        loop {
            let page = self.memory.users(after).await.unwrap();
            listed[0].extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        loop {
            let page = self.redis.users(after).await.unwrap();
            listed[1].extend(page.users);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        listed.iter_mut().for_each(|users| {
            users.sort_unstable();
            users.dedup();
        });
        assert_eq!(listed[0], listed[1]);
    }

    /// Of few sessions and few logins each, so that they meet.
    fn login(&mut self) -> LoginName {
        let session = SessionId::from_bytes([self.below(4) as u8; 16]);
        LoginName::new(session, LoginStamp::from_u64(1 + self.below(4) as u64))
    }

    fn sometimes(&mut self, bound: usize) -> Option<LoginName> {
        let login = self.login();
        (self.below(bound) == 0).then_some(login)
    }

    /// Mostly the last that was told.
    fn epoch(&mut self) -> Epoch {
        let back = match self.below(3) {
            0 => self.below(self.epochs.len()),
            _ => self.below(self.epochs.len().min(2)),
        };
        Epoch::from_u64(self.epochs[self.epochs.len() - 1 - back])
    }

    /// Few different ones, so that they are equal.
    fn end_of_session(&mut self) -> Timestamp {
        let minute = 60_000;
        let ends = self.clock.now().as_millis() / minute + self.below(4) as u64;
        Timestamp::from_millis(ends * minute)
    }

    /// Beyond the end of the test: Redis collects by real time, which goes by while this clock stands still.
    fn kept_until(&mut self) -> Timestamp {
        self.clock
            .now()
            .after(Duration::from_secs(30 * 24 * 60 * 60))
    }

    fn count(&mut self, outcome: &str) {
        for (kind, times) in KINDS.iter().zip(self.tally.iter_mut()) {
            *times += u32::from(outcome.starts_with(kind));
        }
    }

    /// xorshift64*: reproducible, and good enough to choose with.
    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let drawn = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        drawn as usize % bound.max(1)
    }
}

const SEEDS: u64 = 10;
const STEPS: usize = 2000;

const KINDS: [&str; 12] = [
    "Admitted",
    "Full",
    "Revoked",
    "Displaced",
    "Blocked",
    "Confirmed",
    "Known",
    "Entered",
    "Ended",
    "Ended {",
    "UserStanding",
    "LoginPage",
];
