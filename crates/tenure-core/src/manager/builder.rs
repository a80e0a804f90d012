use std::{fmt, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Core, SessionManager,
    combine::Terms,
    line::Lines,
    logins::{Audit, Index, OnLimit},
    recent::Recent,
};
use crate::{
    AuditSink, ClientInfo, Clock, CookieConfig, Entropy, InvalidKey, KeyRing, Lifetimes,
    LoginLimit, Observer, OsEntropy, RECORD_HEADER_BYTES, SessionIndex, SessionKey, SystemClock,
    changes::{Merges, OnConflict},
    cookie::CookieFinder,
    observe::{Auditor, ErasedSink},
    store::{ErasedIndex, ErasedStore},
};

/// Collects the settings of a [`SessionManager`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct SessionManagerBuilder {
    store: Box<dyn ErasedStore>,
    index: Option<Arc<dyn ErasedIndex>>,
    limit: Option<LoginLimit>,
    client_info: ClientInfo,
    observer: Option<Box<dyn Observer>>,
    audit: Option<Box<dyn ErasedSink>>,
    audits_users: bool,
    keys: KeyRing,
    application: String,
    cookie: CookieConfig,
    lifetimes: Lifetimes,
    remembered_lifetimes: Lifetimes,
    merges: Merges,
    invalid_key: Option<InvalidKey>,
    max_record_bytes: usize,
    rotation_grace: Duration,
    on_history_loss: OnHistoryLoss,
    deadline: Duration,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl SessionManagerBuilder {
    pub(super) fn new(store: Box<dyn ErasedStore>, keys: KeyRing) -> Self {
        Self {
            store,
            index: None,
            limit: None,
            client_info: ClientInfo::Off,
            observer: None,
            audit: None,
            audits_users: true,
            keys,
            application: String::new(),
            cookie: CookieConfig::default(),
            lifetimes: Lifetimes::default(),
            remembered_lifetimes: Lifetimes::REMEMBERED,
            merges: Merges::default(),
            invalid_key: None,
            max_record_bytes: 256 << 10,
            rotation_grace: Duration::from_secs(30),
            on_history_loss: OnHistoryLoss::EndSession,
            deadline: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// The session cookie's name and attributes. Default: [`CookieConfig::default`].
    pub fn cookie(mut self, cookie: CookieConfig) -> Self {
        self.cookie = cookie;
        self
    }

    /// A name that sets this application apart from others with the same keys and the same cookie
    /// name: their cookies are worth nothing here. Default: none.
    pub fn application(mut self, name: impl Into<String>) -> Self {
        self.application = name.into();
        self
    }

    /// How long sessions live. Default: 30 minutes idle, 24 hours in all; see [`Lifetimes`].
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// How long sessions live whose users asked to be remembered. Default: 14 days idle, 30 days in all,
    /// the longest time between logins that NIST SP 800-63B-4 recommends at AAL1; see
    /// [`Session::login_remembered`](crate::Session::login_remembered).
    pub fn remembered_lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.remembered_lifetimes = lifetimes;
        self
    }

    /// Keeps an index of who is logged in where, for [`LoginIndex`](crate::LoginIndex) and
    /// [`max_sessions`](Self::max_sessions). Default: none, and then nothing is written for it and nothing of it
    /// costs.
    ///
    /// Mostly it is the very store, whose clones are the same one:
    ///
    /// ```
    /// # use tenure_core::{KeyRing, MemoryStore, SessionManager};
    /// # let keys = KeyRing::generate().unwrap();
    /// let store = MemoryStore::new();
    /// let sessions = SessionManager::builder(store.clone(), keys)
    ///     .login_index(store)
    ///     .build();
    /// ```
    ///
    /// With an index, a login asks the store for two small things more, and a session in use tells the index of
    /// itself with each renewal, behind the response. Reads and other writes cost what they cost without.
    /// Sessions from before there was an index are entered when their lease is renewed, at the latest
    /// after 15 minutes of use.
    pub fn login_index(mut self, index: impl SessionIndex) -> Self {
        self.index = Some(Arc::new(index));
        self
    }

    /// How many sessions a user may be logged in to at a time, at least 1, and what to do about one more. Needs a
    /// [login index](Self::login_index). Default: any number.
    ///
    /// Sessions that have ended do not count. A login that replaces another one in the same session counts with it
    /// as one. Of a hundred logins at the same time no more than this number succeed.
    pub fn max_sessions(mut self, most: u32, on_limit: OnLimit) -> Self {
        self.limit = Some(LoginLimit {
            most,
            evicts: on_limit == OnLimit::EndOldest,
        });
        self
    }

    /// What sessions keep of the browser that they began in, or their users logged in with, for pages such as
    /// "my devices". Default: nothing, since it is personal data and nothing needs it.
    ///
    /// The address comes from the application, which alone knows what proxies are before it: see
    /// `client_address` of the adapter's layer. Without that none is kept.
    pub fn client_info(mut self, client_info: ClientInfo) -> Self {
        self.client_info = client_info;
        self
    }

    /// Who is told of what happens to sessions. Default: nobody, besides the log.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Where it is written down, before and after it, what is done to sessions of others: ending a user's logins,
    /// blocking users, ending everyone, acting in a user's name. What cannot be written down is not done
    /// ([`SessionError::Audit`](crate::SessionError::Audit)). Default: nowhere.
    pub fn audit(mut self, sink: impl AuditSink) -> Self {
        self.audit = Some(Box::new(sink));
        self
    }

    /// Lets users end one of their own logins although the audit trail cannot be written: whoever has lost a device
    /// should not have to wait for a disk. Default: not even that.
    pub fn lets_users_end_unaudited(mut self, lets: bool) -> Self {
        self.audits_users = !lets;
        self
    }

    /// What to do about true conflicts on keys without a [`merge`](Self::merge). Default:
    /// [`OnConflict::Refuse`].
    pub fn on_conflict(mut self, policy: OnConflict) -> Self {
        self.merges.policy = policy;
        self
    }

    /// Settles true conflicts on a key by a three-way merge `(base, ours, theirs)`: what this
    /// request had read, what it wants to put there, and what another one has put there meanwhile.
    /// `None` stands for no value.
    ///
    /// ```
    /// # use tenure_core::{KeyRing, MemoryStore, SessionManager};
    /// # let keys = KeyRing::generate().unwrap();
    /// // A shopping cart in two tabs: both tabs' articles stay in it.
    /// let sessions = SessionManager::builder(MemoryStore::new(), keys)
    ///     .merge("cart", |_base, ours: Option<Vec<u32>>, theirs| {
    ///         let mut articles = theirs.unwrap_or_default();
    ///         articles.extend(ours.unwrap_or_default());
    ///         articles.sort_unstable();
    ///         articles.dedup();
    ///         Some(articles)
    ///     })
    ///     .build();
    /// ```
    pub fn merge<T, K, F>(mut self, key: K, merge: F) -> Self
    where
        T: Serialize + DeserializeOwned,
        K: SessionKey<T>,
        F: Fn(Option<T>, Option<T>, Option<T>) -> Option<T> + Send + Sync + 'static,
    {
        match key.into_name() {
            Ok(name) => self.merges.add(name, merge),
            Err(invalid) => self.invalid_key = Some(invalid),
        }
        self
    }

    /// The largest session, in bytes as stored. Default 256 KiB: a session is read with most
    /// requests, and at this size that takes 2 ms of a gigabit network.
    pub fn max_record_bytes(mut self, max_record_bytes: usize) -> Self {
        self.max_record_bytes = max_record_bytes;
        self
    }

    /// How long requests with a secret that was just replaced may not write, rather than begin a
    /// session of their own. Should be longer than the longest request. Default 30 seconds.
    pub fn rotation_grace(mut self, grace: Duration) -> Self {
        self.rotation_grace = grace;
        self
    }

    /// What to do with a session whose store has lost commits that a cookie proves. Default:
    /// [`OnHistoryLoss::EndSession`].
    pub fn on_history_loss(mut self, policy: OnHistoryLoss) -> Self {
        self.on_history_loss = policy;
        self
    }

    /// How long the store may take to load a session, and again to commit it, retries included.
    /// After that the request is answered with 503. Default 1 second.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The clock by which leases run. Default: the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of randomness than the operating system's generator. For tests only: whoever
    /// can predict it can take over every session.
    pub fn danger_entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// [`SessionManagerError`] for settings under which no session would work.
    pub fn build(self) -> Result<SessionManager, SessionManagerError> {
        if self.deadline.is_zero() {
            return Err(SessionManagerError::Deadline);
        }
        if self.max_record_bytes < LEAST_RECORD_BYTES {
            return Err(SessionManagerError::RecordLimit {
                bytes: self.max_record_bytes,
            });
        }
        if let Some(invalid) = self.invalid_key {
            return Err(SessionManagerError::MergeKey(invalid));
        }
        match (&self.index, self.limit) {
            (None, Some(_)) => return Err(SessionManagerError::NoIndex),
            (Some(_), Some(LoginLimit { most: 0, .. })) => {
                return Err(SessionManagerError::NoSessions);
            }
            _ => {}
        }
        let token_keys = self.keys.token_keys(self.cookie.name(), &self.application);
        Ok(SessionManager {
            core: Arc::new(Core {
                version_use: self.store.version_use(),
                client_info: self.client_info,
                observer: self.observer,
                audit: self.audit.map(|sink| Audit {
                    auditor: Arc::new(Auditor::new(sink, Arc::clone(&self.entropy))),
                    is_strict_with_users: self.audits_users,
                }),
                index: self.index.map(|store| Index::new(store, self.limit)),
                store: self.store,
                cookie_finder: CookieFinder::new(self.cookie.name()),
                cookie: self.cookie,
                token_keys,
                terms: Terms {
                    lifetimes: self.lifetimes,
                    remembered_lifetimes: self.remembered_lifetimes,
                    merges: self.merges,
                    max_record_bytes: self.max_record_bytes,
                    rotation_grace: self.rotation_grace,
                    on_history_loss: self.on_history_loss,
                },
                deadline: self.deadline,
                clock: self.clock,
                entropy: self.entropy,
                lines: Lines::default(),
                absent: Recent::default(),
                renewed: Recent::default(),
                touched: Recent::default(),
            }),
        })
    }
}

impl fmt::Debug for SessionManagerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManagerBuilder")
            .field("store", &self.store)
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

/// What to do with a session whose store has lost acknowledged commits, as after a failover to a
/// replica that had not received them, or the restoration of an old backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnHistoryLoss {
    /// The session ends: a logout or a loss of rights may be among what was lost.
    EndSession,
    /// The session goes on from what the store has. An event tells of it.
    Continue,
}

/// Settings under which no session would work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionManagerError {
    /// The deadline is zero, so every store call would fail.
    #[error("a deadline of zero leaves the store no time at all")]
    Deadline,
    /// The record limit leaves no room for values.
    #[error("a record limit of {bytes} bytes leaves no room for values; 1024 are the least")]
    #[non_exhaustive]
    RecordLimit {
        /// The limit that was refused.
        bytes: usize,
    },
    /// A number of sessions was set, and there is no index to count them in.
    #[error(
        "`max_sessions` counts a user's logins in an index; \
         give the manager one with `SessionManagerBuilder::login_index`"
    )]
    NoIndex,
    /// No session is allowed, so nobody could log in.
    #[error("with `max_sessions(0, …)` nobody could log in; 1 is the least")]
    NoSessions,
    /// A merge was given for a name that cannot be a key.
    #[error("a merge was given for a name that cannot be a key")]
    MergeKey(#[source] InvalidKey),
}

const LEAST_RECORD_BYTES: usize = 1024;

const _: () = assert!(LEAST_RECORD_BYTES > 2 * RECORD_HEADER_BYTES);
