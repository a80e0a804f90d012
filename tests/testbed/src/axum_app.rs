//! The routes as an axum user would write them: extractors and a layer.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    extract::{Path, Query, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tenure_axum::{Session, SessionError, SessionLayer, SessionManager};

use crate::{
    App,
    action::{self, Action, Reply},
    admin::Admin,
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
        .route("/leave", fixed(Action::Leave))
        .route("/regenerate", fixed(Action::Regenerate))
        .route("/devices", fixed(Action::Devices))
        .route("/end-others", fixed(Action::EndOthers))
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
        .route("/end-all/{user}", get(end_all))
        .route("/block/{user}", get(block_user))
        .route("/unblock/{user}", get(unblock_user))
        .route("/end-everyone", get(end_everyone))
        .layer(SessionLayer::new(sessions.clone()))
        .with_state(sessions)
}

#[derive(Deserialize)]
struct Pause {
    #[serde(default)]
    ms: u64,
}

type Outcome = Result<Reply, SessionError>;

fn fixed(action: Action) -> axum::routing::MethodRouter<SessionManager, Infallible> {
    get(
        |sessions: State<SessionManager>, pause: Query<Pause>, session: Session| {
            perform(action, sessions, pause, session)
        },
    )
}

async fn set(
    sessions: State<SessionManager>,
    Path((key, value)): Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Set { key, value }, sessions, pause, session).await
}

async fn read(
    sessions: State<SessionManager>,
    Path(key): Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Get { key }, sessions, pause, session).await
}

async fn login(
    sessions: State<SessionManager>,
    Path(user): Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Login { user }, sessions, pause, session).await
}

async fn login_remembered(
    sessions: State<SessionManager>,
    Path(user): Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::LoginRemembered { user }, sessions, pause, session).await
}

async fn fill(
    sessions: State<SessionManager>,
    Path(bytes): Path<usize>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Fill { bytes }, sessions, pause, session).await
}

async fn grpc(
    sessions: State<SessionManager>,
    Path(code): Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    perform(Action::Grpc { code }, sessions, pause, session).await
}

async fn block(Query(pause): Query<Pause>) -> &'static str {
    action::block(Duration::from_millis(pause.ms))
}

async fn headers(fields: HeaderMap) -> String {
    format!("{fields:?}")
}

async fn end_all(sessions: State<SessionManager>, Path(user): Path<String>) -> Outcome {
    Ok(Admin::EndAll { user }.perform(&sessions).await?)
}

async fn block_user(sessions: State<SessionManager>, Path(user): Path<String>) -> Outcome {
    Ok(Admin::Block { user }.perform(&sessions).await?)
}

async fn unblock_user(sessions: State<SessionManager>, Path(user): Path<String>) -> Outcome {
    Ok(Admin::Unblock { user }.perform(&sessions).await?)
}

async fn end_everyone(sessions: State<SessionManager>) -> Outcome {
    Ok(Admin::EndEveryone.perform(&sessions).await?)
}

async fn perform(
    action: Action,
    State(sessions): State<SessionManager>,
    Query(pause): Query<Pause>,
    session: Session,
) -> Outcome {
    let pause = Duration::from_millis(pause.ms);
    Ok(action.perform(&sessions, &session, pause).await?)
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
