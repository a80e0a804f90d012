use std::io;

use tokio::net::TcpListener;

use crate::{App, actix_app, axum_app, tower_app};

/// What stands between the routes and the session manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Adapter {
    /// `tenure-actix` under actix's `HttpServer`.
    Actix,
    /// `tenure-axum` under `axum::serve`.
    Axum,
    /// `tenure-tower` under bare hyper.
    Tower,
}

/// Serves the routes on `listener` until the future is dropped.
///
/// # Errors
///
/// An [`io::Error`] if the listener fails.
pub async fn serve(adapter: Adapter, app: App, listener: TcpListener) -> io::Result<()> {
    match adapter {
        Adapter::Actix => actix_app::serve(app, listener)?.await,
        Adapter::Axum => {
            let app = axum_app::router(app);
            axum::serve(
                axum::serve::ListenerExt::tap_io(listener, |stream| {
                    // Small answers on kept connections would otherwise wait for acknowledgements.
                    let _ = stream.set_nodelay(true);
                }),
                app,
            )
            .await
        }
        Adapter::Tower => tower_app::serve(app, listener).await,
    }
}
