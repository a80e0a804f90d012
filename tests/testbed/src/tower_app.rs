//! The routes on bare hyper and tower, as somebody without a framework would write them.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tenure_core::{SessionError, SessionHandle, SessionManager};
use tenure_tower::SessionLayer;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::{
    App,
    action::{self, Action, Reply},
    admin::Admin,
    app::Stats,
};

/// Serves until it is dropped; so do the connections, which end with the listener's runtime.
pub(crate) async fn serve(
    App { sessions, stats }: App,
    listener: TcpListener,
) -> std::io::Result<()> {
    let service = ServiceBuilder::new()
        .layer(SessionLayer::new(sessions.clone()))
        .service_fn(move |request| respond(request, sessions.clone(), stats.clone()));
    let service = TowerToHyperService::new(service);
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        connections.spawn(connection);
        while connections.try_join_next().is_some() {}
    }
}

async fn respond(
    request: Request<Incoming>,
    sessions: SessionManager,
    stats: Stats,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    if path == "/plain" {
        return Ok(Response::new("plain".into()));
    }
    if path == "/block" {
        return Ok(Response::new(action::block(pause(&request)).into()));
    }
    if path == "/stats" {
        return Ok(Response::new(stats.json().into()));
    }
    if path == "/asset" {
        return Ok(response(Reply::asset()));
    }
    if path == "/headers" {
        return Ok(Response::new(format!("{:?}", request.headers()).into()));
    }
    if let Some(admin) = Admin::parse(path) {
        let reply = admin.perform(&sessions).await;
        return Ok(reply.map_or_else(|error| empty(error.status()), response));
    }
    let (Some(action), Some(handle)) = (
        Action::parse(path),
        request.extensions().get::<SessionHandle>(),
    ) else {
        return Ok(empty(404));
    };
    let reply = perform(action, &sessions, handle, pause(&request)).await;
    Ok(reply.map_or_else(|error| empty(error.status()), response))
}

async fn perform(
    action: Action,
    sessions: &SessionManager,
    handle: &SessionHandle,
    pause: Duration,
) -> Result<Reply, SessionError> {
    let session = handle.load().await?;
    action.perform(sessions, &session, pause).await
}

fn pause<B>(request: &Request<B>) -> Duration {
    let pairs = request.uri().query().unwrap_or_default().split('&');
    let ms = pairs
        .filter_map(|pair| pair.strip_prefix("ms=")?.parse().ok())
        .next();
    Duration::from_millis(ms.unwrap_or(0))
}

fn response(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(reply.body.into());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or_default();
    for (name, text) in reply.fields {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

fn empty(status: u16) -> Response<Full<Bytes>> {
    response(Reply {
        status,
        ..Reply::text(String::new())
    })
}
