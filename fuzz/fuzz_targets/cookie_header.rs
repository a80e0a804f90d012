//! Whatever a `Cookie` header says: no panic, and only our own cookie, without a different one beside it,
//! opens a session.
//!
//! Chance never finds a signature, so every `@` of the input stands for a genuine cookie value.
//! Line feeds separate header fields.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tenure_core::{KeyRing, MemoryStore, SessionManager};
use tokio::runtime::{Builder, Runtime};

fuzz_target!(|input: &[u8]| {
    let world = &*WORLD;
    let header = world.header(input);
    let visit = world.sessions.open(header.split(|byte| *byte == b'\n'));
    world.runtime.block_on(async {
        let session = visit.load().await.expect("this store never fails");
        let found: Option<u64> = session.get(KEY).expect("the type that was stored");
        let expected = world.is_genuine(&header).then_some(VALUE);
        assert_eq!(found, expected);
        let finish = visit.finish(200).await;
        let issued = finish
            .set_cookie
            .is_some_and(|text| !text.contains("Max-Age=0"));
        assert!(
            found.is_some() || !issued,
            "nothing was written, so there is nothing to issue a cookie for"
        );
    });
});

/// A manager with one session in its store, and the cookie of that session.
struct World {
    runtime: Runtime,
    sessions: SessionManager,
    genuine: String,
}

impl World {
    fn header(&self, input: &[u8]) -> Vec<u8> {
        let mut header = Vec::new();
        for byte in input {
            match byte {
                b'@' => header.extend_from_slice(self.genuine.as_bytes()),
                _ => header.push(*byte),
            }
        }
        header
    }

    /// What the parser under test decides, said in another way.
    fn is_genuine(&self, header: &[u8]) -> bool {
        let prefix = format!("{}=", self.sessions.cookie_name());
        let pairs = header.split(|byte| matches!(byte, b';' | b'\n'));
        let mut ours = pairs
            .map(|pair| String::from_utf8_lossy(pair).into_owned())
            .map(|pair| pair.trim_matches([' ', '\t']).to_owned())
            .filter(|pair| pair.starts_with(&prefix))
            .collect::<Vec<_>>();
        ours.dedup();
        ours == [prefix + &self.genuine]
    }
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let keys = KeyRing::generate().unwrap();
    let sessions = SessionManager::builder(MemoryStore::new(), keys)
        .build()
        .unwrap();
    let genuine = runtime.block_on(async {
        let visit = sessions.open([""; 0]);
        visit.load().await.unwrap().insert(KEY, VALUE).unwrap();
        let cookie = visit.finish(200).await.set_cookie.unwrap();
        let value = cookie.split(['=', ';']).nth(1);
        value.expect("a value behind the name").to_owned()
    });
    World {
        runtime,
        sessions,
        genuine,
    }
});

const KEY: &str = "key";
const VALUE: u64 = 42;
