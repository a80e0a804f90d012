//! The routes as an actix user would write them: extractors and a middleware.

use std::{future::ready, io, time::Duration};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer, Responder, Route,
    body::BoxBody,
    dev::Server,
    http::{KeepAlive, StatusCode},
    web::{self, Data, Path, Query, get},
};
use serde::Deserialize;
use tenure_actix::{Session, SessionError, SessionManager, SessionMiddleware};
use tokio::net::TcpListener;

use crate::{
    action::{self, Action, Reply},
    admin::Admin,
};

/// Serves until it is dropped: an actix server closes its listener and stops its workers then.
pub(crate) fn serve(app: crate::App, listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        let stats = app.stats.clone();
        App::new()
            .route("/stats", get().to(move || ready(stats.json())))
            .app_data(Data::new(app.sessions.clone()))
            .configure(routes)
            .wrap(SessionMiddleware::new(app.sessions.clone()))
    });
    let server = server
        .workers(workers())
        .tcp_nodelay(true)
        // Connections live as long as under the other adapters.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        // The process ends at once, as it does under the other adapters.
        .disable_signals()
        .listen(listener.into_std()?)?;
    Ok(server.run())
}

fn routes(app: &mut web::ServiceConfig) {
    app.route("/plain", get().to(|| ready("plain")))
        .route("/asset", get().to(|| ready(Reply::asset())))
        .route("/headers", get().to(headers))
        .route("/block", get().to(block))
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
        .route("/set/{key}/{value}", get().to(set))
        .route("/get/{key}", get().to(read))
        .route("/login/{user}", get().to(login))
        .route("/login-remembered/{user}", get().to(login_remembered))
        .route("/fill/{bytes}", get().to(fill))
        .route("/grpc/{code}", get().to(grpc))
        .route("/end-all/{user}", get().to(end_all))
        .route("/block/{user}", get().to(block_user))
        .route("/unblock/{user}", get().to(unblock_user))
        .route("/end-everyone", get().to(end_everyone));
}

#[derive(Deserialize)]
struct Pause {
    #[serde(default)]
    ms: u64,
}

type Outcome = Result<Reply, SessionError>;

fn fixed(action: Action) -> Route {
    get().to(move |sessions, pause, session| perform(action.clone(), sessions, pause, session))
}

async fn set(
    sessions: Data<SessionManager>,
    path: Path<(String, String)>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let (key, value) = path.into_inner();
    perform(Action::Set { key, value }, sessions, pause, session).await
}

async fn read(
    sessions: Data<SessionManager>,
    key: Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let key = key.into_inner();
    perform(Action::Get { key }, sessions, pause, session).await
}

async fn login(
    sessions: Data<SessionManager>,
    user: Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let user = user.into_inner();
    perform(Action::Login { user }, sessions, pause, session).await
}

async fn login_remembered(
    sessions: Data<SessionManager>,
    user: Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let user = user.into_inner();
    perform(Action::LoginRemembered { user }, sessions, pause, session).await
}

async fn fill(
    sessions: Data<SessionManager>,
    bytes: Path<usize>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let bytes = bytes.into_inner();
    perform(Action::Fill { bytes }, sessions, pause, session).await
}

async fn grpc(
    sessions: Data<SessionManager>,
    code: Path<String>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let code = code.into_inner();
    perform(Action::Grpc { code }, sessions, pause, session).await
}

async fn block(pause: Query<Pause>) -> &'static str {
    action::block(Duration::from_millis(pause.ms))
}

/// As actix' own logs print it: without cookies.
async fn headers(request: HttpRequest) -> String {
    format!("{request:?}")
}

async fn end_all(sessions: Data<SessionManager>, user: Path<String>) -> Outcome {
    let user = user.into_inner();
    Ok(Admin::EndAll { user }.perform(&sessions).await?)
}

async fn block_user(sessions: Data<SessionManager>, user: Path<String>) -> Outcome {
    let user = user.into_inner();
    Ok(Admin::Block { user }.perform(&sessions).await?)
}

async fn unblock_user(sessions: Data<SessionManager>, user: Path<String>) -> Outcome {
    let user = user.into_inner();
    Ok(Admin::Unblock { user }.perform(&sessions).await?)
}

async fn end_everyone(sessions: Data<SessionManager>) -> Outcome {
    Ok(Admin::EndEveryone.perform(&sessions).await?)
}

async fn perform(
    action: Action,
    sessions: Data<SessionManager>,
    pause: Query<Pause>,
    session: Session,
) -> Outcome {
    let pause = Duration::from_millis(pause.ms);
    Ok(action.perform(&sessions, &session, pause).await?)
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut response = HttpResponse::build(status);
        for field in self.fields {
            response.append_header(field);
        }
        response.body(self.body)
    }
}

/// Two, so that requests of one session meet on different threads; on a single core, as when it is
/// measured, they would only get in each other's way.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2))
}
