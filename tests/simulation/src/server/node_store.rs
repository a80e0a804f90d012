//! The server as a node's manager or cache sees it: a store.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tenure_core::{
    Commit, Create, Delete, Fed, Feed, FeedListener, Freshness, Load, Part, Record, Renewal,
    SessionId, SessionStore, StoreError, StoreErrorKind, Timestamp, Version, VersionUse, Whose,
};

use super::{Answer, Ask, Shared};

/// A node's handle to the server.
#[derive(Clone)]
pub(crate) struct NodeStore {
    server: Shared,
    node: usize,
}

impl NodeStore {
    pub(crate) const fn new(server: Shared, node: usize) -> Self {
        Self { server, node }
    }

    async fn call<T>(
        &self,
        ask: Ask,
        expect: impl Fn(Answer) -> Option<T>,
    ) -> Result<T, StoreError> {
        let number = self.server.lock().send(self.node, ask);
        let answer = Awaited {
            server: &self.server,
            number,
        }
        .await?;
        // Unreachable: the server answers what it was asked.
        expect(answer).ok_or(StoreError::new(StoreErrorKind::Corrupt))
    }
}

impl SessionStore for NodeStore {
    async fn load(&self, id: SessionId, freshness: Freshness) -> Result<Load, StoreError> {
        let expect = |answer| match answer {
            Answer::Load(load) => Some(load),
            _ => None,
        };
        self.call(Ask::Load(id, freshness), expect).await
    }

    async fn create(&self, record: Record) -> Result<Create, StoreError> {
        let expect = |answer| match answer {
            Answer::Create(create) => Some(create),
            _ => None,
        };
        self.call(Ask::Create(record), expect).await
    }

    async fn commit(&self, expected: Version, record: Record) -> Result<Commit, StoreError> {
        let expect = |answer| match answer {
            Answer::Commit(commit) => Some(commit),
            _ => None,
        };
        self.call(Ask::Commit(expected, record), expect).await
    }

    async fn renew(
        &self,
        id: SessionId,
        whose: Whose,
        lease_end: Timestamp,
    ) -> Result<Renewal, StoreError> {
        let expect = |answer| match answer {
            Answer::Renew(renewal) => Some(renewal),
            _ => None,
        };
        self.call(Ask::Renew(id, whose, lease_end), expect).await
    }

    async fn delete(&self, id: SessionId, whose: Whose) -> Result<Delete, StoreError> {
        let expect = |answer| match answer {
            Answer::Delete(delete) => Some(delete),
            _ => None,
        };
        self.call(Ask::Delete(id, whose), expect).await
    }

    fn version_use(&self) -> VersionUse {
        self.server.lock().version_use
    }

    fn feed(&self, listener: Arc<dyn FeedListener>) -> Option<Fed<Self>> {
        let mut server = self.server.lock();
        let link = &mut server.links[self.node];
        link.is_ordered().then(|| {
            link.listen(listener);
            Fed {
                store: self.clone(),
                feed: Arc::new(self.clone()) as _,
            }
        })
    }
}

impl Feed for NodeStore {
    fn prove(&self, _: Part) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + '_>> {
        let expect = |answer| matches!(answer, Answer::Prove).then_some(());
        Box::pin(self.call(Ask::Prove, expect))
    }
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeStore")
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// Waits for a call's end. Dropping it abandons the call, which may be executed all the same.
struct Awaited<'a> {
    server: &'a Shared,
    number: usize,
}

impl Future for Awaited<'_> {
    type Output = Result<Answer, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut server = self.server.lock();
        let call = &mut server.calls[self.number];
        match call.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                call.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut server = self.server.lock();
        let step = server.step;
        let call = &mut server.calls[self.number];
        if call.ended.is_none() {
            call.ended = Some(step);
            call.is_abandoned = true;
        }
    }
}
