//! What the routes do, the same on every adapter.

use std::time::Duration;

use tenure_core::{Key, Session, SessionError, SessionManager};

/// What a route does with the session.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Read,
    Refresh,
    Incr,
    IncrNow,
    IncrTwice,
    IncrNaive,
    Set { key: String, value: String },
    Get { key: String },
    Keys,
    Login { user: String },
    LoginRemembered { user: String },
    Logout,
    Leave,
    Regenerate,
    Devices,
    EndOthers,
    LogoutBoom,
    Rotate,
    WhoAmI,
    Boom,
    Version,
    Fill { bytes: usize },
    Public,
    Cookies,
    Grpc { code: String },
}

/// A route's answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Action {
    /// The action of a path, for adapters without a router. `None` if there is no such route.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/').map(str::to_owned);
        let name = segments.next()?;
        let mut segment = || segments.next().filter(|segment| !segment.is_empty());
        let action = match &*name {
            "read" => Self::Read,
            "refresh" => Self::Refresh,
            "incr" => Self::Incr,
            "incr-now" => Self::IncrNow,
            "incr-twice" => Self::IncrTwice,
            "incr-naive" => Self::IncrNaive,
            "set" => Self::Set {
                key: segment()?,
                value: segment()?,
            },
            "get" => Self::Get { key: segment()? },
            "keys" => Self::Keys,
            "login" => Self::Login { user: segment()? },
            "login-remembered" => Self::LoginRemembered { user: segment()? },
            "logout" => Self::Logout,
            "leave" => Self::Leave,
            "regenerate" => Self::Regenerate,
            "devices" => Self::Devices,
            "end-others" => Self::EndOthers,
            "logout-boom" => Self::LogoutBoom,
            "rotate" => Self::Rotate,
            "whoami" => Self::WhoAmI,
            "boom" => Self::Boom,
            "version" => Self::Version,
            "fill" => Self::Fill {
                bytes: segment()?.parse().ok()?,
            },
            "public" => Self::Public,
            "cookies" => Self::Cookies,
            "grpc" => Self::Grpc { code: segment()? },
            _ => return None,
        };
        segments.next().is_none().then_some(action)
    }

    /// Does it, pausing where the route's `ms` says so.
    pub(crate) async fn perform(
        self,
        sessions: &SessionManager,
        session: &Session,
        pause: Duration,
    ) -> Result<Reply, SessionError> {
        let fields = self.fields();
        let body = match self {
            Self::Read | Self::Public => count(session)?.to_string(),
            Self::Refresh => {
                session.refresh().await?;
                count(session)?.to_string()
            }
            Self::Incr | Self::Cookies | Self::Grpc { .. } => {
                let count = increment(session)?;
                sleep(pause).await;
                count.to_string()
            }
            Self::IncrNow => {
                increment(session)?;
                sleep(pause).await;
                session.commit().await?;
                count(session)?.to_string()
            }
            Self::IncrTwice => {
                increment(session)?;
                session.commit().await?;
                sleep(pause).await;
                increment(session)?;
                session.commit().await?;
                count(session)?.to_string()
            }
            Self::IncrNaive => {
                let count = count(session)?;
                sleep(pause).await;
                session.insert(COUNT, count + 1)?;
                (count + 1).to_string()
            }
            Self::Set { key, value } => {
                sleep(pause).await;
                session.insert(&*key, &*value)?;
                value
            }
            Self::Get { key } => session.get::<String>(&*key)?.unwrap_or_else(nothing),
            Self::Keys => session.keys().len().to_string(),
            Self::Login { user } => {
                sleep(pause).await;
                session.login(&user)?;
                user
            }
            Self::LoginRemembered { user } => {
                sleep(pause).await;
                session.login_remembered(&user)?;
                user
            }
            Self::Logout => {
                sleep(pause).await;
                session.destroy()?;
                "logged out".to_owned()
            }
            Self::Leave => {
                sleep(pause).await;
                session.logout_keeping_values()?;
                "left".to_owned()
            }
            Self::Regenerate => {
                sleep(pause).await;
                session.regenerate()?;
                session.insert("message", "goodbye")?;
                "begun anew".to_owned()
            }
            Self::Devices => match session.principal() {
                Some(user) => devices(sessions, user.as_str()).await?.to_string(),
                None => nothing(),
            },
            Self::EndOthers => {
                sleep(pause).await;
                session.end_others().await?.to_string()
            }
            Self::LogoutBoom => {
                session.destroy()?;
                return Ok(Reply {
                    status: 500,
                    ..Reply::text("boom".to_owned())
                });
            }
            Self::Rotate => {
                sleep(pause).await;
                session.rotate()?;
                "rotated".to_owned()
            }
            Self::WhoAmI => {
                let principal = session.principal();
                principal.map_or_else(nothing, |principal| principal.as_str().to_owned())
            }
            Self::Boom => {
                session.insert("boom", true)?;
                return Ok(Reply {
                    status: 500,
                    ..Reply::text("boom".to_owned())
                });
            }
            Self::Version => session
                .version()
                .map_or(0, tenure_core::Version::counter)
                .to_string(),
            Self::Fill { bytes } => {
                // Hexadecimal text of random digits: nothing along the way can compress it away.
                let mut random = vec![0; bytes.div_ceil(2)];
                getrandom::fill(&mut random).map_err(tenure_core::EntropyError::new)?;
                let mut text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
                text.truncate(bytes);
                session.insert("blob", text)?;
                bytes.to_string()
            }
        };
        Ok(Reply {
            fields,
            ..Reply::text(body)
        })
    }

    /// The header fields of its answer.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let fields: &[_] = match self {
            Self::Public => &PUBLIC,
            Self::Cookies => &[
                ("set-cookie", "theme=dark; Path=/"),
                ("set-cookie", "session=the-application's; Path=/"),
            ],
            Self::Grpc { code } => &[("grpc-status", &**code)],
            _ => &[],
        };
        owned(fields)
    }
}

impl Reply {
    /// An answer that has nothing to do with the session, and that everybody may keep.
    pub(crate) fn asset() -> Self {
        Self {
            fields: owned(&PUBLIC),
            ..Self::text("asset".to_owned())
        }
    }

    pub(crate) const fn text(body: String) -> Self {
        Self {
            status: 200,
            fields: Vec::new(),
            body,
        }
    }
}

/// Keeps its thread busy, and with it whatever else is waiting for that thread.
pub(crate) fn block(pause: Duration) -> &'static str {
    std::thread::sleep(pause);
    "blocked"
}

/// How many logins of a user there are.
async fn devices(sessions: &SessionManager, user: &str) -> Result<usize, SessionError> {
    let (mut count, mut after) = (0, None);
    loop {
        let page = sessions.index().logins_of(user, after).await?;
        count += page.sessions.len();
        after = page.next;
        if after.is_none() {
            return Ok(count);
        }
    }
}

fn increment(session: &Session) -> Result<u64, SessionError> {
    session.update(COUNT, |count: Option<u64>| count.unwrap_or(0) + 1)
}

fn count(session: &Session) -> Result<u64, SessionError> {
    Ok(session.get(COUNT)?.unwrap_or(0))
}

/// How the routes print that something is not there.
fn nothing() -> String {
    "-".to_owned()
}

async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

const COUNT: Key<u64> = Key::new("count");

fn owned(fields: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let fields = fields.iter();
    fields
        .map(|(name, text)| (*name, (*text).to_owned()))
        .collect()
}

/// For everybody, and for those who do not obey `Cache-Control` once more.
const PUBLIC: [(&str, &str); 4] = [
    ("cache-control", "public, max-age=60"),
    ("cdn-cache-control", "public, max-age=60"),
    ("surrogate-control", "max-age=60"),
    ("x-accel-expires", "60"),
];
