//! As much of Redis' protocol, RESP2, as a test needs without a driver.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A Redis server's reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "these are the replies of RESP2")]
pub enum Reply {
    /// A short text, like `OK`.
    Status(String),
    /// The server refused the command.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Nothing there.
    Nil,
    /// Several replies.
    Array(Vec<Self>),
}

impl fmt::Display for Reply {
    /// The reply as text: nothing for [`Reply::Nil`], one line for each element of an array.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(text) | Self::Error(text) => f.write_str(text),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Bulk(bytes) => f.write_str(&String::from_utf8_lossy(bytes)),
            Self::Nil => Ok(()),
            Self::Array(replies) => {
                for (index, reply) in replies.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "{reply}")?;
                }
                Ok(())
            }
        }
    }
}

/// Sends one command on a connection of its own.
pub(super) fn call(address: SocketAddr, arguments: &[&[u8]]) -> io::Result<Reply> {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    let mut request = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        request.extend(format!("${}\r\n", argument.len()).as_bytes());
        request.extend(*argument);
        request.extend(b"\r\n");
    }
    stream.write_all(&request)?;
    read_reply(&mut BufReader::new(stream))
}

/// How long the first complete request in these bytes is; `None` if it is not complete yet.
pub(super) fn request_len(bytes: &[u8]) -> Option<usize> {
    let (header, mut length) = line(bytes, 0)?;
    let Some(arguments) = header.strip_prefix(b"*").and_then(number) else {
        // Not an array, so an inline command: it ends with its line.
        return Some(length);
    };
    for _ in 0..arguments {
        let (header, start) = line(bytes, length)?;
        let argument = header.strip_prefix(b"$").and_then(number)?;
        length = start.checked_add(argument)?.checked_add(LINE_END.len())?;
    }
    (length <= bytes.len()).then_some(length)
}

/// The line that begins at `from`, and where the next one begins.
fn line(bytes: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(from..)?;
    let end = rest.windows(LINE_END.len()).position(|at| at == LINE_END)?;
    Some((&rest[..end], from + end + LINE_END.len()))
}

fn number(digits: &[u8]) -> Option<usize> {
    str::from_utf8(digits).ok()?.parse().ok()
}

fn read_reply(stream: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let line = line.trim_end_matches(['\r', '\n']);
    let (kind, text) = line.split_at_checked(1).ok_or_else(garbled)?;
    let length = || text.parse::<i64>().map_err(|_| garbled());
    Ok(match kind {
        "+" => Reply::Status(text.to_owned()),
        "-" => Reply::Error(text.to_owned()),
        ":" => Reply::Integer(length()?),
        "$" => match usize::try_from(length()?) {
            Ok(length) => {
                let mut bytes = vec![0; length + LINE_END.len()];
                stream.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Reply::Bulk(bytes)
            }
            // A negative length says that there is nothing.
            Err(_) => Reply::Nil,
        },
        "*" => match usize::try_from(length()?) {
            Ok(length) => {
                let replies = (0..length).map(|_| read_reply(&mut *stream));
                Reply::Array(replies.collect::<io::Result<_>>()?)
            }
            Err(_) => Reply::Nil,
        },
        _ => return Err(garbled()),
    })
}

fn garbled() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a reply of RESP2")
}

const LINE_END: &[u8] = b"\r\n";

/// Far above what a command on loopback takes; a stopped server is not waited for any longer.
const DEADLINE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_wherever_they_are_cut() {
        let first = b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n";
        let inline = b"PING\r\n";
        let both = [first.as_slice(), inline].concat();
        for cut in 0..first.len() {
            assert_eq!(request_len(&both[..cut]), None, "{cut} bytes");
        }
        assert_eq!(request_len(&both), Some(first.len()));
        assert_eq!(request_len(inline), Some(inline.len()));
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let stream = b"*6\r\n+OK\r\n-ERR no\r\n:-7\r\n$4\r\na\r\n\0\r\n$-1\r\n*0\r\n";
        let reply = read_reply(&mut stream.as_slice()).unwrap();
        let Reply::Array(replies) = &reply else {
            panic!("{reply:?}");
        };
        assert_eq!(
            replies[..],
            [
                Reply::Status("OK".to_owned()),
                Reply::Error("ERR no".to_owned()),
                Reply::Integer(-7),
                Reply::Bulk(b"a\r\n\0".to_vec()),
                Reply::Nil,
                Reply::Array(Vec::new()),
            ]
        );
        assert_eq!(reply.to_string(), "OK\nERR no\n-7\na\r\n\0\n\n");
    }
}
