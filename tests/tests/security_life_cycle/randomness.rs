//! S14: where secrets and ids come from, and what happens when nothing comes.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use tenure_core::{
    Entropy, EntropyError, KeyRing, MemoryStore, OsEntropy, SessionManager, SessionSecret,
};
use tenure_testing::{FailingEntropy, SequenceEntropy, Verb};
use tenure_tests::{Browser, Combination, CookieParts, capture, for_every_combination};
use tokio::task::JoinSet;

/// Passes on what the operating system delivers, and keeps it.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<Vec<u8>>>);

impl Entropy for Witness {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        OsEntropy.fill(bytes)?;
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(())
    }
}

/// Which bits were set so often, or so seldom, as happens to a fair bit once in 16,000 times.
fn strays(secrets: &[[u8; 16]]) -> HashSet<usize> {
    let mut ones = [0_u32; 128];
    for secret in secrets {
        let secret = u128::from_be_bytes(*secret);
        for (bit, ones) in ones.iter_mut().enumerate() {
            *ones += u32::from(secret >> bit & 1 == 1);
        }
    }
    let draws = f64::from(u32::try_from(secrets.len()).unwrap());
    let four_sigma = 4.0 * draws.sqrt() / 2.0;
    let is_stray = |ones: u32| (f64::from(ones) - draws / 2.0).abs() > four_sigma;
    (0..128).filter(|bit| is_stray(ones[*bit])).collect()
}

/// Of 128 fair bits, one strays beyond 4σ in 0.8 % of all runs, but not the same one twice.
fn assert_fair(mut draw: impl FnMut() -> Vec<[u8; 16]>) {
    let first = strays(&draw());
    if !first.is_empty() {
        let twice: Vec<_> = strays(&draw()).intersection(&first).copied().collect();
        assert_eq!(twice, [0; 0], "biased bits");
    }
}

#[test]
fn s14_a_million_secrets_are_different_and_each_bit_is_fair() {
    assert_fair(|| {
        let witness = Witness::default();
        for _ in 0..1_000_000 {
            SessionSecret::random(&witness).unwrap();
        }
        let drawn = witness.0.into_inner().unwrap();
        // One draw of 128 bits for each secret, so these bytes are the secrets.
        assert_eq!(drawn.len(), 1_000_000);
        let secrets: Vec<[u8; 16]> = drawn
            .into_iter()
            .map(|bytes| bytes.try_into().unwrap())
            .collect();
        assert_eq!(secrets.iter().collect::<HashSet<_>>().len(), secrets.len());
        secrets
    });
}

/// What reaches browsers, 10,000 times: a manager takes about 0.1 ms for each in a debug build, so a
/// million would take minutes.
#[tokio::test]
async fn s14_the_secrets_in_cookies_are_those_that_were_drawn() {
    let witness = Arc::new(Witness::default());
    let manager = SessionManager::builder(MemoryStore::new(), KeyRing::generate().unwrap())
        .danger_entropy(Arc::clone(&witness))
        .build()
        .unwrap();
    let mut secrets = Vec::new();
    let mut ids = HashSet::new();
    for _ in 0..10_000 {
        let handle = manager.open([""; 0]);
        handle.load().await.unwrap().insert("n", 1).unwrap();
        let cookie = handle.finish(200).await.set_cookie.unwrap();
        let value = cookie.strip_prefix("__Host-session=").unwrap();
        let cookie = CookieParts::of(value.split(';').next().unwrap());
        secrets.push(cookie.secret());
        ids.insert(cookie.id());
    }
    let drawn: HashSet<_> = witness.0.lock().unwrap().iter().cloned().collect();
    assert!(secrets.iter().all(|secret| drawn.contains(&secret[..])));
    assert_eq!(secrets.iter().collect::<HashSet<_>>().len(), 10_000);
    assert_eq!(ids.len(), 10_000);
    // Three fair bits of 128 stray beyond 4σ once in ten million runs.
    let strays = strays(&secrets);
    assert!(strays.len() <= 2, "{strays:?}");
}

/// The operating system's generator, which can be made to fail.
#[derive(Clone, Debug, Default)]
struct Switch(Arc<AtomicBool>);

impl Entropy for Switch {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        if self.0.load(Ordering::SeqCst) {
            // A careless caller would go on with what is there already.
            return FailingEntropy.fill(bytes);
        }
        OsEntropy.fill(bytes)
    }
}

async fn s14_a_failing_generator_is_an_error_and_nothing_weaker_takes_its_place(
    combination: Combination,
) {
    let switch = Switch::default();
    let entropy = switch.clone();
    let cluster = combination
        .cluster()
        .configure(move |builder| builder.danger_entropy(entropy.clone()))
        .start()
        .await;
    let node = cluster.node(0);
    let mut browser = Browser::new();
    browser.get(node, "/incr").await.ok();
    switch.0.store(true, Ordering::SeqCst);
    for route in ["/incr", "/login/eve"] {
        let mut stranger = Browser::new();
        let answer = stranger.get(node, route).await;
        assert_eq!((answer.status, &*answer.body), (503, ""));
        assert_eq!(stranger.cookie(), None);
    }
    for route in ["/incr", "/login/ada", "/rotate"] {
        let answer = browser.get(node, route).await;
        assert_eq!((answer.status, &*answer.body), (503, ""));
        assert_eq!(answer.session_cookie(), None);
    }
    assert_eq!(cluster.stored(), 1);
    // What needs no randomness goes on, and afterwards everything does.
    assert_eq!(browser.get(node, "/whoami").await.ok(), "-");
    assert_eq!(browser.get(node, "/read").await.number(), 1);
    switch.0.store(false, Ordering::SeqCst);
    browser.get(node, "/login/ada").await.ok();
    assert_eq!(browser.get(node, "/incr").await.number(), 2);
    assert_eq!(browser.get(node, "/whoami").await.ok(), "ada");
}

/// Class 5. What a creation draws: secret, id, tag.
async fn s14_an_id_that_is_taken_is_refused_and_its_session_untouched(combination: Combination) {
    let log = capture();
    let creation = |secret: u8, id: u8, tag: u8| [vec![secret; 16], vec![id; 16], vec![tag; 8]];
    let script = [
        creation(1, 7, 1),
        // Three draws of a living id, then twice one and a new one.
        creation(2, 7, 2),
        creation(3, 7, 3),
        creation(4, 7, 4),
        creation(5, 7, 5),
        creation(6, 7, 6),
        creation(7, 8, 7),
    ];
    let script: Vec<u8> = script.concat().concat();
    let entropy = SequenceEntropy::scripted(script);
    let cluster = combination
        .cluster()
        .configure(move |builder| builder.danger_entropy(entropy.clone()))
        .start()
        .await;
    let node = cluster.node(0);
    let mut first = Browser::new();
    first.get(node, "/set/owner/first").await.ok();
    let id = CookieParts::of(first.cookie().unwrap()).id();
    let before = cluster.record(id).await.unwrap();

    let mut unlucky = Browser::new();
    let answer = unlucky.get(node, "/set/owner/unlucky").await;
    assert_eq!((answer.status, &*answer.body), (503, ""));
    assert_eq!(unlucky.cookie(), None);
    assert_eq!(log.events("id_collision").len(), 3);
    assert_eq!(cluster.calls(0).count(Verb::Create), 4);
    assert_eq!(cluster.record(id).await.as_ref(), Some(&before));

    let mut lucky = Browser::new();
    lucky.get(node, "/set/owner/lucky").await.ok();
    assert_eq!(log.events("id_collision").len(), 5);
    assert_ne!(CookieParts::of(lucky.cookie().unwrap()).id(), id);
    assert_eq!(cluster.record(id).await, Some(before));
    assert_eq!(first.get(node, "/get/owner").await.ok(), "first");
    assert_eq!(lucky.get(node, "/get/owner").await.ok(), "lucky");
    assert_eq!(cluster.stored(), 2);
}

/// Class 6: after the store has lost everything, visitors who come back at once share nothing.
async fn c6_parallel_logins_after_a_flush_share_no_session(combination: Combination) {
    let cluster = combination.cluster().start().await;
    let node = cluster.node(0);
    let mut visitors = Vec::new();
    for _ in 0..20 {
        let mut browser = Browser::new();
        browser.get(node, "/incr").await.ok();
        visitors.push(browser);
    }
    for browser in &visitors {
        let id = CookieParts::of(browser.cookie().unwrap()).id();
        cluster.forget(id).await;
    }
    assert_eq!(cluster.stored(), 0);
    let mut logins = JoinSet::new();
    for (number, mut browser) in visitors.into_iter().enumerate() {
        logins.spawn(async move {
            browser
                .get(node, &format!("/login/user-{number}"))
                .await
                .ok();
            assert_eq!(
                browser.get(node, "/whoami").await.ok(),
                format!("user-{number}")
            );
            CookieParts::of(browser.cookie().unwrap()).id()
        });
    }
    let ids: HashSet<_> = logins.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 20);
    assert_eq!(cluster.stored(), 20);
}

for_every_combination!(
    s14_a_failing_generator_is_an_error_and_nothing_weaker_takes_its_place,
    s14_an_id_that_is_taken_is_refused_and_its_session_untouched,
    c6_parallel_logins_after_a_flush_share_no_session,
);
