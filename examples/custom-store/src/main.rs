//! A visit counter whose sessions lie in a store of its own.
//!
//! ```console
//! $ cargo run -p custom-store
//! listening on http://127.0.0.1:3002
//! $ curl -c jar -b jar http://127.0.0.1:3002        # elsewhere, more than once
//! visit number 1, of 1 stored sessions
//! ```

use std::error::Error;

use axum::{Router, extract::State, routing::get};
use custom_store::{Table, TableStore};
use tenure_axum::{CookieConfig, KeyRing, Session, SessionError, SessionLayer, SessionManager};
use tokio::net::TcpListener;

async fn visit(State(table): State<Table>, session: Session) -> Result<String, SessionError> {
    let visits = session.update("visits", |visits: Option<u64>| visits.unwrap_or(0) + 1)?;
    // Without this, the table is counted before a new visitor's session is in it.
    session.commit().await?;
    let sessions = table.lock().len();
    Ok(format!(
        "visit number {visits}, of {sessions} stored sessions\n"
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let table = Table::default();
    let cookie = CookieConfig::builder()
        .danger_insecure_for_localhost()
        .build()?;
    let sessions = SessionManager::builder(TableStore::new(table.clone()), KeyRing::generate()?)
        .cookie(cookie)
        .build()?;
    let app = Router::new()
        .route("/", get(visit))
        .layer(SessionLayer::new(sessions))
        .with_state(table);
    let listener = TcpListener::bind("127.0.0.1:3002").await?;
    announce(&listener)?;
    axum::serve(listener, app).await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "where to send requests")]
fn announce(listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on http://{}", listener.local_addr()?);
    Ok(())
}
