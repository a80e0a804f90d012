//! Whether a server that was named as the primary is one.

use redis::{ErrorKind, ServerErrorKind, Value, aio::MultiplexedConnection};
use tenure_core::{StoreError, StoreErrorKind};

use crate::error::unconnected;

/// Refuses a server that says of itself that it is a replica.
///
/// `ROLE` is asked for, and if this client must not, `INFO`: both count as dangerous, so a careful access list
/// leaves one or both out. Then there is no saying; a write would be refused by a replica.
pub(crate) async fn check(connection: &mut MultiplexedConnection) -> Result<(), StoreError> {
    let is_primary = match redis::cmd("ROLE").query_async::<Value>(connection).await {
        Ok(role) => told_by_role(&role),
        Err(error) if error.kind() == FORBIDDEN => {
            let mut info = redis::cmd("INFO");
            info.arg("replication");
            match info.query_async::<String>(connection).await {
                Ok(info) => told_by_info(&info),
                Err(error) if error.kind() == FORBIDDEN => None,
                Err(error) => return Err(unconnected(error)),
            }
        }
        Err(error) => return Err(unconnected(error)),
    };
    match is_primary {
        Some(true) => Ok(()),
        Some(false) => Err(StoreError::with_source(
            StoreErrorKind::Unavailable,
            "the server that was named as the primary is a replica",
        )),
        None => {
            tracing::info!("cannot tell whether a server is the primary: allow `ROLE`");
            Ok(())
        }
    }
}

fn told_by_role(role: &Value) -> Option<bool> {
    let Value::Array(parts) = role else {
        return None;
    };
    match parts.first()? {
        Value::BulkString(role) => Some(role == b"master"),
        Value::SimpleString(role) => Some(role == "master"),
        _ => None,
    }
}

fn told_by_info(info: &str) -> Option<bool> {
    let mut lines = info.lines();
    let role = lines.find_map(|line| line.strip_prefix("role:"))?;
    Some(role.trim() == "master")
}

const FORBIDDEN: ErrorKind = ErrorKind::Server(ServerErrorKind::NoPerm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_commands_tell_the_role() {
        let role = |role: &str| {
            let role = Value::BulkString(role.as_bytes().to_vec());
            told_by_role(&Value::Array(vec![role, Value::Int(0)]))
        };
        assert_eq!(role("master"), Some(true));
        assert_eq!(role("slave"), Some(false));
        assert_eq!(told_by_role(&Value::Nil), None);
        assert_eq!(told_by_info("# Replication\r\nrole:master\r\n"), Some(true));
        assert_eq!(told_by_info("role:slave\r\n"), Some(false));
        assert_eq!(told_by_info(""), None);
    }
}
