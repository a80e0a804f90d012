//! The same random commands to the memory store and to Redis: equal replies (workload W10, small).

use std::time::Duration;

use tenure_core::{
    Clock, Freshness, Load, MemoryStore, Record, Renewal, SecretHash, SessionStore, Timestamp,
    Whose,
};
use tenure_redis::RedisStore;
use tenure_testing::{ManualClock, RedisServer, records};

#[tokio::test]
async fn the_same_commands_get_the_same_replies_from_memory_and_from_redis() {
    let server = RedisServer::start();
    let clock = ManualClock::new();
    let memory = MemoryStore::builder().clock(clock.clone()).build();
    let redis = RedisStore::builder(server.url()).clock(clock.clone());
    let redis = redis.connect().await.unwrap();
    for seed in 1..=8 {
        let mut run = Run {
            memory: &memory,
            redis: &redis,
            clock: &clock,
            random: seed,
            sessions: Vec::new(),
            tally: [0; KINDS.len()],
        };
        for _ in 0..600 {
            run.step().await;
        }
        for (kind, times) in KINDS.iter().zip(run.tally) {
            assert!(
                times > 0,
                "seed {seed}: no command was answered with {kind}"
            );
        }
    }
}

struct Run<'a> {
    memory: &'a MemoryStore,
    redis: &'a RedisStore,
    clock: &'a ManualClock,
    random: u64,
    /// Every record that was ever sent, by session.
    sessions: Vec<Vec<Record>>,
    tally: [u32; KINDS.len()],
}

impl Run<'_> {
    async fn step(&mut self) {
        let session = self.below(self.sessions.len().clamp(1, 6));
        let Some(sent) = self.sessions.len().checked_sub(1 + session) else {
            return self.begin().await;
        };
        match self.below(20) {
            0 => self.begin().await,
            1 => self.create_again(sent).await,
            2..10 => self.commit(sent).await,
            10..13 => self.renew(sent).await,
            13 => self.delete(sent).await,
            14 => {
                let span = Duration::from_millis(self.below(150_000) as u64);
                self.clock.advance(span);
            }
            _ => {
                self.load(sent).await;
            }
        }
    }

    async fn begin(&mut self) {
        let record = records::fresh(self.clock.now()).with_lease_end(self.lease_end());
        self.create(record.clone()).await;
        self.sessions.push(vec![record]);
    }

    /// A retry, or an id drawn twice. Not under an id that expired: a store may call that taken.
    async fn create_again(&mut self, session: usize) {
        let id = self.sessions[session][0].id();
        if self.load(session).await {
            let retried = self.sessions[session][0].clone();
            let intruder = records::fresh_under(id, self.clock.now());
            let record = if self.below(2) == 0 {
                retried
            } else {
                intruder
            };
            self.create(record).await;
        }
    }

    async fn create(&mut self, record: Record) {
        let memory = self.memory.create(record.clone()).await.unwrap();
        let redis = self.redis.create(record).await.unwrap();
        assert_eq!(memory, redis);
        self.count(&format!("{redis:?}"));
    }

    /// From any version ever sent, not only the newest; sometimes a record that was sent before.
    async fn commit(&mut self, session: usize) {
        let base = match self.below(3) {
            0 => self.any_of(session),
            _ => self.sessions[session][self.sessions[session].len() - 1].clone(),
        };
        let again = self.below(5) == 0;
        let record = if again {
            self.any_of(session)
        } else {
            self.changed(&base)
        };
        let memory = self
            .memory
            .commit(base.version(), record.clone())
            .await
            .unwrap();
        let redis = self
            .redis
            .commit(base.version(), record.clone())
            .await
            .unwrap();
        assert_eq!(memory, redis);
        self.count(&format!("{redis:?}"));
        if !again {
            self.sessions[session].push(record);
        }
    }

    fn any_of(&mut self, session: usize) -> Record {
        let drawn = self.below(self.sessions[session].len());
        self.sessions[session][drawn].clone()
    }

    fn changed(&mut self, base: &Record) -> Record {
        let next = records::successor(base).with_lease_end(self.lease_end());
        match self.below(4) {
            0 => next.with_principal(None),
            1 => next.with_secret(SecretHash::from_bytes([self.byte(); 32]), self.clock.now()),
            2 => next,
            _ => {
                let value = vec![self.byte(); self.below(3000)];
                next.with_values(records::values([("value", &value)]))
            }
        }
    }

    async fn renew(&mut self, session: usize) {
        let record = self.sessions[session][0].clone();
        let (id, whose) = (record.id(), Whose::Login(record.login().stamp));
        // Also to the past, and to far beyond the absolute end.
        let end = match self.below(4) {
            0 => Timestamp::default(),
            1 => Timestamp::from_millis(u64::MAX),
            _ => self.lease_end(),
        };
        let memory = self.memory.renew(id, whose, end).await.unwrap();
        let redis = self.redis.renew(id, whose, end).await.unwrap();
        assert_eq!(memory, redis);
        if let Renewal::Renewed(_) = redis {
            self.count("Renewed");
        }
    }

    async fn delete(&mut self, session: usize) {
        let record = &self.sessions[session][0];
        let (id, whose) = (record.id(), Whose::Login(record.login().stamp));
        let is_live = matches!(
            self.redis.load(id, Freshness::Latest).await.unwrap(),
            Load::Found(_)
        );
        let memory = self.memory.delete(id, whose).await.unwrap();
        let redis = self.redis.delete(id, whose).await.unwrap();
        // When an ended session is collected is each store's own affair.
        assert!(memory == redis || !is_live, "{memory:?}, {redis:?}");
        self.count("Deleted");
    }

    /// Whether the session is live.
    async fn load(&mut self, session: usize) -> bool {
        let id = self.sessions[session][0].id();
        let memory = self.memory.load(id, Freshness::Latest).await.unwrap();
        let redis = self.redis.load(id, Freshness::Latest).await.unwrap();
        // When an ended session is collected is each store's own affair.
        let ended = |load: &Load| matches!(load, Load::Expired(_) | Load::Absent);
        if !(ended(&memory) && ended(&redis)) {
            assert_eq!(memory, redis);
        }
        self.count(&format!("{redis:?}"));
        matches!(redis, Load::Found(_))
    }

    /// Redis collects by real time, which goes by while this clock stands still: so never short.
    fn lease_end(&mut self) -> Timestamp {
        let span = 120_000 + self.below(120_000) as u64;
        self.clock.now().after(Duration::from_millis(span))
    }

    fn count(&mut self, outcome: &str) {
        for (kind, times) in KINDS.iter().zip(&mut self.tally) {
            *times += u32::from(outcome.starts_with(kind));
        }
    }

    fn byte(&mut self) -> u8 {
        let [byte, ..] = self.random.to_be_bytes();
        byte
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

const KINDS: [&str; 10] = [
    "Created", "Exists", "Stored", "Conflict", "Gone", "Renewed", "Deleted", "Found", "Expired",
    "Absent",
];
