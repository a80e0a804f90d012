//! Many requests of one browser at once.

use std::net::SocketAddr;

use tokio::task::JoinSet;

use crate::{Answer, Browser};

/// Sends `requests` requests from `clients` clients that all begin with `browser`'s cookie, spread
/// over `nodes` in turn, and returns all answers. `path` gets the number of the request.
pub async fn storm(
    nodes: &[SocketAddr],
    browser: &Browser,
    clients: usize,
    requests: usize,
    path: impl Fn(usize) -> String,
) -> Vec<Answer> {
    let mut running = JoinSet::new();
    for client in 0..clients {
        let mut browser = browser.clone();
        let steps: Vec<_> = (client..requests)
            .step_by(clients)
            .map(|request| (nodes[request / clients % nodes.len()], path(request)))
            .collect();
        running.spawn(async move {
            let mut answers = Vec::with_capacity(steps.len());
            for (node, path) in steps {
                answers.push(browser.get(node, &path).await);
            }
            answers
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}
