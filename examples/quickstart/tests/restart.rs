//! The quickstart as its users start it, and start it again.

#![expect(
    clippy::unwrap_used,
    reason = "what the helpers of tests come upon is the tests' failure, too"
)]

use std::{path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time::timeout,
};

struct Quickstart {
    process: Child,
    address: String,
    file: String,
}

impl Quickstart {
    async fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_quickstart"))
            .current_dir(folder)
            .env("TENURE_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            // What the user's shell may have set for a quickstart of its own.
            .env_remove("TENURE_KEYS")
            .env_remove("TENURE_STORE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut line = async |begin: &str| {
            let line = timeout(Duration::from_secs(30), lines.next_line()).await;
            let line = line.unwrap().unwrap().unwrap();
            line.strip_prefix(begin).unwrap().to_owned()
        };
        let file = line("sessions are kept in ").await;
        let address = line("listening on http://").await;
        Self {
            process,
            address,
            file,
        }
    }
}

/// A cookie jar for one cookie.
#[derive(Default)]
struct Jar(Option<String>);

impl Jar {
    async fn request(&mut self, to: &Quickstart, line: &str, body: &str) -> String {
        let cookie = self.0.iter();
        let cookie: String = cookie.map(|pair| format!("cookie: {pair}\r\n")).collect();
        let form = "content-type: application/x-www-form-urlencoded";
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{cookie}{form}\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        let mut connection = TcpStream::connect(&to.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let set = head
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "));
        if let Some((pair, _)) = set.and_then(|set| set.split_once(';')) {
            self.0 = Some(pair.to_owned());
        }
        body.to_owned()
    }

    async fn get(&mut self, from: &Quickstart, path: &str) -> String {
        self.request(from, &format!("GET {path}"), "").await
    }
}

#[tokio::test]
async fn visits_and_logins_go_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut jar = Jar::default();
    let mut quickstart = Quickstart::start(folder.path()).await;
    assert!(Path::new(&quickstart.file).is_file());
    assert_eq!(jar.get(&quickstart, "/count").await, "visit number 1\n");
    jar.request(&quickstart, "POST /login", "user=ada").await;
    assert_eq!(jar.get(&quickstart, "/count").await, "visit number 2\n");

    // Not even in an orderly way.
    quickstart.process.kill().await.unwrap();
    let quickstart = Quickstart::start(folder.path()).await;
    assert_eq!(jar.get(&quickstart, "/count").await, "visit number 3\n");
    let home = jar.get(&quickstart, "/").await;
    assert!(home.contains("<strong>ada</strong>"), "{home}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_it_leaves_in_its_folder_is_for_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let quickstart = Quickstart::start(folder.path()).await;
    Jar::default().get(&quickstart, "/count").await;
    let mut names = Vec::new();
    for entry in folder.path().read_dir().unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let expected = [
        "quickstart.db",
        "quickstart.db-shm",
        "quickstart.db-wal",
        "quickstart.key",
    ];
    assert_eq!(names, expected);
}
