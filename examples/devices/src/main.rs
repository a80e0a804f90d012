//! Serves the app; its library's page says what there is to see.

use std::error::Error;

use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let app = devices::app(devices::sessions()?);
    let listener = TcpListener::bind("127.0.0.1:3003").await?;
    announce(&listener)?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            // If the signal cannot be waited for, the server stops, which shows it.
            let _ = tokio::signal::ctrl_c().await;
        })
        .await?;
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what to open in the browser")]
fn announce(listener: &TcpListener) -> Result<(), Box<dyn Error>> {
    println!("listening on http://{}", listener.local_addr()?);
    Ok(())
}
