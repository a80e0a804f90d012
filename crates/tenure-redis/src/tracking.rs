//! What others change, as Redis tells it: `CLIENT TRACKING` on the connection that all calls share.
//!
//! In the default mode a connection hears of the keys that it has read, whoever changes them and for
//! whatever reason they go. What it changes itself it no longer tracks, so each script reads its key
//! afterwards; which pushes are its own, [`OwnWrites`] tells. Redis puts a push into the stream when the
//! change is made, so the answer to a `PING` that is sent later comes behind it; the driver hands both
//! on in that order.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use redis::{ErrorKind, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tenure_core::{
    Absence, Feed, FeedListener, Part, SessionId, Standing, StoreError, StoreErrorKind,
};

use crate::{
    error::unconnected,
    own_writes::{Outcome, OwnWrites, Report},
    script::Request,
    topology::Topology,
};

/// A listener, and what it takes to tell it of sessions instead of keys.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    listener: Arc<dyn FeedListener>,
    prefix: Arc<str>,
    part: Part,
    /// Whether the server lets this client track.
    is_on: Arc<AtomicBool>,
}

impl Tracking {
    pub(crate) fn new(listener: Arc<dyn FeedListener>, prefix: Arc<str>) -> Self {
        Self {
            listener,
            prefix,
            part: Part::ONLY,
            is_on: Arc::default(),
        }
    }

    /// The same listener, for another of several servers.
    pub(crate) fn of_part(&self, part: Part) -> Self {
        Self {
            listener: Arc::clone(&self.listener),
            prefix: Arc::clone(&self.prefix),
            part,
            is_on: Arc::default(),
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Refuses to take answers for proofs where the server reports nothing.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Refused`]
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_on.load(Ordering::Relaxed) {
            return Ok(());
        }
        let refused = "the server does not let this client track keys";
        Err(StoreError::with_source(StoreErrorKind::Refused, refused))
    }

    /// The key of a session.
    pub(crate) fn key(&self, id: SessionId) -> String {
        session_key(&self.prefix, id)
    }

    /// Reports a session whose answer came from somewhere else than was to be expected.
    pub(crate) fn took_a_detour(&self, key: &[u8]) {
        if let Some(id) = self.session(key) {
            self.listener.changed(id);
        }
    }

    /// Reports that the part does not speak for these keys any more.
    pub(crate) fn left(&self, has_left: impl Fn(&[u8]) -> bool) {
        let has_left = |id| has_left(self.key(id).as_bytes());
        self.listener.left(self.part, &has_left);
    }

    /// The accounts of a connection that is about to be made.
    pub(crate) fn stream(&self) -> Stream {
        Stream {
            tracking: self.clone(),
            own: Mutex::default(),
        }
    }

    fn session(&self, key: &[u8]) -> Option<SessionId> {
        let key = str::from_utf8(key).ok()?;
        let id = key.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        let id = uuid::Uuid::try_parse(id).ok()?;
        Some(SessionId::from_bytes(id.into_bytes()))
    }
}

/// What one connection tells: as long as it lasts it is its part. Nothing carries over to the next one.
///
/// The listener is told under the lock of the accounts, so that no proof can slip in between a decision
/// to report and the report.
pub(crate) struct Stream {
    tracking: Tracking,
    /// `None` before tracking has begun, when it has ended, and where the server does not allow it.
    own: Mutex<Option<OwnWrites>>,
}

impl Stream {
    /// Begins on a new connection. Tracking ends with its connection, without a word, so whatever
    /// was read on an earlier one counts as lost.
    ///
    /// Where the server does not let this client track, the store works, but proves nothing.
    pub(crate) async fn begin(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("CLIENT");
        // Not `NOLOOP`: see `OwnWrites`.
        command.arg("TRACKING").arg("ON");
        let is_on = match command.exec_async(connection).await {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => {
                tracing::warn!(
                    "Redis does not let this client track keys, so caches must ask for every \
                     session again and again: allow `CLIENT TRACKING`"
                );
                false
            }
            Err(error) => return Err(unconnected(error)),
        };
        let mut own = self.own.lock();
        *own = is_on.then(OwnWrites::default);
        self.tracking.is_on.store(is_on, Ordering::Relaxed);
        self.tracking.listener.lost(self.tracking.part);
        Ok(())
    }

    /// Called by the driver where it parses a push.
    pub(crate) fn receive(&self, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                let mut own = self.own.lock();
                for key in keys {
                    let Value::BulkString(key) = key else {
                        continue;
                    };
                    let Some(id) = self.tracking.session(key) else {
                        continue;
                    };
                    let report = own.as_mut().map_or(Report::Changed, |own| own.pushed(id));
                    self.report(id, report);
                }
            }
            // All keys at once: FLUSHALL, FLUSHDB.
            (PushKind::Invalidate, _) => self.tracking.listener.lost(self.tracking.part),
            _ => {}
        }
    }

    /// Called when the connection has ended, in whatever way.
    pub(crate) fn end(&self) {
        let mut own = self.own.lock();
        if own.take().is_some() {
            self.tracking.listener.lost(self.tracking.part);
        }
    }

    /// Begins a call on the connection.
    pub(crate) fn watch<'a>(&'a self, request: &'a Request) -> Watch<'a> {
        let mut own = self.own.lock();
        let written = match own.as_mut() {
            Some(own) if request.is_proof() => {
                own.ask_for_proof();
                None
            }
            Some(own) => {
                let id = request
                    .written_key()
                    .and_then(|key| self.tracking.session(key));
                id.inspect(|id| own.begin(*id))
            }
            None => None,
        };
        Watch {
            stream: self,
            request,
            written,
            outcome: Outcome::NotKnownToHaveWritten,
        }
    }

    fn prove(&self) {
        if let Some(own) = self.own.lock().as_mut() {
            own.prove(|id| self.report(id, Report::Changed));
        }
    }

    fn report(&self, id: SessionId, report: Report) {
        if report == Report::Changed {
            self.tracking.listener.changed(id);
        }
    }
}

/// A call under way. Dropping it ends the call: what it has done is unknown unless it was answered.
#[must_use = "a call ends when its watch is dropped"]
pub(crate) struct Watch<'a> {
    stream: &'a Stream,
    request: &'a Request,
    /// The session whose account it is in.
    written: Option<SessionId>,
    outcome: Outcome,
}

impl Watch<'_> {
    pub(crate) fn answered(mut self, reply: &Value) {
        if self.request.is_proof() {
            self.stream.prove();
        } else if self.request.has_written(reply) {
            self.outcome = Outcome::Wrote;
        }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let Some(id) = self.written else { return };
        if let Some(own) = self.stream.own.lock().as_mut() {
            let report = own.end(id, self.outcome);
            self.stream.report(id, report);
        }
    }
}

/// Proves that pushes arrive.
pub(crate) struct RedisFeed {
    topology: Arc<Topology>,
    prefix: Arc<str>,
}

impl RedisFeed {
    pub(crate) const fn new(topology: Arc<Topology>, prefix: Arc<str>) -> Self {
        Self { topology, prefix }
    }
}

impl Feed for RedisFeed {
    fn prove(
        &self,
        part: Part,
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(self.topology.prove(part))
    }

    fn parts(&self) -> Option<Vec<Part>> {
        self.topology.parts()
    }

    fn standing(&self, id: SessionId) -> Standing {
        let key = || session_key(&self.prefix, id);
        self.topology.standing(key)
    }

    fn absence(&self) -> Absence {
        self.topology.absence()
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisFeed").field(&self.topology).finish()
    }
}

/// One key per session, so also one slot of a cluster.
pub(crate) fn session_key(prefix: &str, id: SessionId) -> String {
    let mut digits = uuid::Uuid::encode_buffer();
    let digits = id.as_uuid().hyphenated().encode_lower(&mut digits);
    [prefix, ":", digits].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Option<SessionId>>>);

    impl FeedListener for Heard {
        fn changed(&self, id: SessionId) {
            self.0.lock().push(Some(id));
        }

        fn lost(&self, _: Part) {
            self.0.lock().push(None);
        }
    }

    #[test]
    fn a_push_names_sessions_by_their_keys_and_others_are_ignored() {
        let heard = Arc::new(Heard::default());
        let stream = Tracking::new(Arc::clone(&heard) as _, "shop".into()).stream();
        let id = SessionId::from_bytes([7; 16]);
        let ours = format!("shop:{}", id.as_uuid());
        let keys = [
            ours.as_str(),
            "shop:cart",
            "shopping:x",
            &ours[1..],
            "\u{0}",
        ];
        let keys = keys
            .iter()
            .map(|key| Value::BulkString(key.as_bytes().to_vec()));
        let push = |kind, data| stream.receive(&PushInfo { kind, data });

        push(PushKind::Invalidate, vec![Value::Array(keys.collect())]);
        assert_eq!(*heard.0.lock(), [Some(id)]);
        push(PushKind::Invalidate, vec![Value::Nil]);
        assert_eq!(*heard.0.lock(), [Some(id), None]);
        push(PushKind::Message, vec![Value::Nil]);
        assert_eq!(heard.0.lock().len(), 2);
    }

    #[test]
    fn what_a_connection_owes_is_not_waited_for_on_the_next_one() {
        let heard = Arc::new(Heard::default());
        let tracking = Tracking::new(Arc::clone(&heard) as _, "shop".into());
        let id = SessionId::from_bytes([7; 16]);
        let key = format!("shop:{}", id.as_uuid());
        let creation = Request::script(&script::CREATE, &key, &[]);
        let begun = || {
            let stream = tracking.stream();
            *stream.own.lock() = Some(OwnWrites::default());
            stream
        };
        let push = PushInfo {
            kind: PushKind::Invalidate,
            data: vec![Value::Array(vec![Value::BulkString(key.into())])],
        };
        let (old, new) = (begun(), begun());
        // Its push is lost with the connection.
        old.watch(&creation).answered(&Value::Int(1));
        let slow = old.watch(&creation);
        old.end();
        assert_eq!(*heard.0.lock(), [None]);
        slow.answered(&Value::Int(1));
        new.receive(&push);
        assert_eq!(*heard.0.lock(), [None, Some(id)]);
        new.watch(&creation).answered(&Value::Int(1));
        new.receive(&push);
        assert_eq!(heard.0.lock().len(), 2, "its own");
    }
}
