use tokio::task::yield_now;

/// Lets what has been spawned on this thread's runtime get on, as far as it waits for nothing but its turn: what goes on
/// behind responses comes to its end.
pub async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}
