//! What others change, as Redis tells it: `CLIENT TRACKING` on the connection that all calls share.
//!
//! In the default mode a connection hears of the keys that it has read, and with `NOLOOP` not of its
//! own writes. What it writes itself it no longer tracks, so each script reads its key afterwards.
//! Redis puts a push into the stream when the change is made, so the answer to a `PING` that is sent
//! later comes behind it; the driver hands both on in that order.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use redis::{ErrorKind, PushInfo, PushKind, Value, aio::MultiplexedConnection};
use tenure_core::{Feed, FeedListener, SessionId, StoreError, StoreErrorKind};

use crate::{error::unconnected, node::Node};

/// A listener, and what it takes to tell it of sessions instead of keys.
#[derive(Clone, Debug)]
pub(crate) struct Tracking {
    listener: Arc<dyn FeedListener>,
    prefix: Arc<str>,
    /// Whether the server lets this client track.
    is_on: Arc<AtomicBool>,
}

impl Tracking {
    pub(crate) fn new(listener: Arc<dyn FeedListener>, prefix: Arc<str>) -> Self {
        Self {
            listener,
            prefix,
            is_on: Arc::default(),
        }
    }

    /// Begins on a new connection. Tracking ends with its connection, without a word, so whatever
    /// was read on an earlier one counts as lost.
    ///
    /// Where the server does not let this client track, the store works, but proves nothing.
    pub(crate) async fn begin(
        &self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), StoreError> {
        let mut command = redis::cmd("CLIENT");
        command.arg("TRACKING").arg("ON").arg("NOLOOP");
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
        self.is_on.store(is_on, Ordering::Relaxed);
        self.listener.lost();
        Ok(())
    }

    pub(crate) fn feed(&self, node: Arc<Node>) -> RedisFeed {
        let is_on = Arc::clone(&self.is_on);
        RedisFeed { node, is_on }
    }

    /// Called by the driver where it parses a push.
    pub(crate) fn receive(&self, push: &PushInfo) {
        match (&push.kind, push.data.first()) {
            (PushKind::Disconnection, _) => self.listener.lost(),
            (PushKind::Invalidate, Some(Value::Array(keys))) => {
                let ids = keys.iter().filter_map(|key| self.session(key));
                ids.for_each(|id| self.listener.changed(id));
            }
            // All keys at once: FLUSHALL, FLUSHDB.
            (PushKind::Invalidate, _) => self.listener.lost(),
            _ => {}
        }
    }

    fn session(&self, key: &Value) -> Option<SessionId> {
        let Value::BulkString(key) = key else {
            return None;
        };
        let key = str::from_utf8(key).ok()?;
        let id = key.strip_prefix(&*self.prefix)?.strip_prefix(':')?;
        let id = uuid::Uuid::try_parse(id).ok()?;
        Some(SessionId::from_bytes(id.into_bytes()))
    }
}

/// Proves that pushes arrive.
pub(crate) struct RedisFeed {
    node: Arc<Node>,
    is_on: Arc<AtomicBool>,
}

impl Feed for RedisFeed {
    fn prove(&self) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        Box::pin(async {
            self.node.ping().await?;
            if !self.is_on.load(Ordering::Relaxed) {
                let refused = "the server does not let this client track keys";
                return Err(StoreError::with_source(StoreErrorKind::Refused, refused));
            }
            Ok(())
        })
    }
}

impl fmt::Debug for RedisFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisFeed").field(&self.node).finish()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Debug, Default)]
    struct Heard(Mutex<Vec<Option<SessionId>>>);

    impl FeedListener for Heard {
        fn changed(&self, id: SessionId) {
            self.0.lock().push(Some(id));
        }

        fn lost(&self) {
            self.0.lock().push(None);
        }
    }

    #[test]
    fn a_push_names_sessions_by_their_keys_and_others_are_ignored() {
        let heard = Arc::new(Heard::default());
        let tracking = Tracking::new(Arc::clone(&heard) as _, "shop".into());
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
        let push = |kind, data| tracking.receive(&PushInfo { kind, data });

        push(PushKind::Invalidate, vec![Value::Array(keys.collect())]);
        assert_eq!(*heard.0.lock(), [Some(id)]);
        push(PushKind::Invalidate, vec![Value::Nil]);
        push(PushKind::Disconnection, vec![]);
        assert_eq!(*heard.0.lock(), [Some(id), None, None]);
        push(PushKind::Message, vec![Value::Nil]);
        assert_eq!(heard.0.lock().len(), 3);
    }
}
