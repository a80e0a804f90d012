//! The routes as an axum user would write them: extractors and a layer.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{Path, Query},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tenure_axum::{Session, SessionError, SessionLayer};

use crate::{
    App,
    action::{self, Action, Reply},
};

pub(crate) fn router(App { sessions, stats }: App) -> Router {
    Router::new()
        .route("/stats", get(|| async move { stats.json() }))
        .route("/plain", get(|| async { "plain" }))
        .route("/asset", get(|| async { Reply::asset() }))
        .route("/headers", get(headers))
        .route("/block", get(block))
        .route("/read", fixed(Action::Read))
        .route("/refresh", fixed(Action::Refresh))
        .route("/incr", fixed(Action::Incr))
        .route("/incr-now", fixed(Action::IncrNow))
        .route("/incr-twice", fixed(Action::IncrTwice))
        .route("/incr-naive", fixed(Action::IncrNaive))
        .route("/keys", fixed(Action::Keys))
        .route("/logout", fixed(Action::Logout))
        .route("/logout-boom", fixed(Action::LogoutBoom))
        .route("/rotate", fixed(Action::Rotate))
        .route("/whoami", fixed(Action::WhoAmI))
        .route("/boom", fixed(Action::Boom))
        .route("/version", fixed(Action::Version))
        .route("/public", fixed(Action::Public))
        .route("/cookies", fixed(Action::Cookies))
        .route("/set/{key}/{value}", get(set))
        .route("/get/{key}", get(read))
        .route("/login/{user}", get(login))
        .route("/login-remembered/{user}", get(login_remembered))
        .route("/fill/{bytes}", get(fill))
        .route("/grpc/{code}", get(grpc))
        .layer(SessionLayer::new(sessions))
}

#[derive(Deserialize)]
struct Pause {
    #[serde(default)]
    ms: u64,
}

type Outcome = Result<Reply, SessionError>;

fn fixed(action: Action) -> axum::routing::MethodRouter<(), Infallible> {
    get(|pause: Query<Pause>, session: Session| perform(action, pause, session))
}

async fn set(
    Path((key, value)): Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Set { key, value }, pause, session).await
}

async fn read(Path(key): Path<String>, pause: Query<Pause>, session: Session) -> Outcome {
    perform(Action::Get { key }, pause, session).await
}

async fn login(Path(user): Path<String>, pause: Query<Pause>, session: Session) -> Outcome {
    perform(Action::Login { user }, pause, session).await
}

async fn login_remembered(
    Path(user): Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::LoginRemembered { user }, pause, session).await
}

async fn fill(Path(bytes): Path<usize>, pause: Query<Pause>, session: Session) -> Outcome {
    perform(Action::Fill { bytes }, pause, session).await
}

async fn grpc(Path(code): Path<String>, pause: Query<Pause>, session: Session) -> Outcome {
    perform(Action::Grpc { code }, pause, session).await
}

async fn block(Query(pause): Query<Pause>) -> &'static str {
    action::block(Duration::from_millis(pause.ms))
}

async fn headers(fields: HeaderMap) -> String {
    format!("{fields:?}")
}

async fn perform(action: Action, Query(pause): Query<Pause>, session: Session) -> Outcome {
    Ok(action
        .perform(&session, Duration::from_millis(pause.ms))
        .await?)
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.body.into_response();
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or_default();
        for (name, text) in self.fields {
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}
